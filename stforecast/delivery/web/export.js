"use strict";
/* Exports: the selected cells, or where none is all of them, as CSV, GeoJSON and KML; for the hours that are chosen.
   Columns are called, and numbers are, as in risk.csv. */

const KML = 'xmlns="http://www.opengis.net/kml/2.2"';
const PART = 4000; // cells that are spelled at once, so that the page stays alive
const USUAL = 4; // digits of what is usual

/** What is exported, whatever is chosen while it is made: cells, hours (as instants and in local time), and what a file is
    called. */
function exported(kind) {
  const { view } = grid, { span, category } = chosen, steps = grid.stepsOf(span), cells = selection.cells.length ? selection.cells : [...Array(grid.n).keys()];
  const [from, until] = [view.times[steps[0]], view.times[steps.at(-1) + 1]];
  const name = fileName([view.city, from.replace(/[-:]/g, ""), spanName(span), kind !== "csv" && category && view.categories[category], selection.cells.length && "selection"]);
  return { cells, span, category, steps, colours: city.colours, name, times: { valid_from: from, valid_until: until, local_from: localTime(from), local_until: localTime(until) } };
}

/** An instant as ISO 8601 in the city's own time, such as 2024-09-30T15:00:00-06:00. */
function localTime(instant) {
  const zone = grid.view.time_zone, parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }).formatToParts(new Date(instant));
  const { day, month, year, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  const offset = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" }).formatToParts(new Date(instant)).find(({ type }) => type === "timeZoneName").value;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${offset.replace("GMT", "") || "+00:00"}`;
}

/** What `make` gives of some cells and their figures for one category, as a list; in parts, between which the page may draw. */
async function inParts({ cells, span, steps }, category, make) {
  const found = [];
  for (let i = 0; i < cells.length; i += PART) {
    const part = cells.slice(i, i + PART), figures = figuresOf(part, span, steps, category);
    for (let j = 0; j < part.length; j++) found.push(make(part[j], figures[j]));
    if (cells.length > PART) await new Promise((done) => setTimeout(done));
  }
  return found;
}

/** The figures of each cell for one category: {intensity, low, high, risk, rank, usual}, without those that are not known. */
function figuresOf(cells, span, steps, category) {
  const lam = grid.values("intensity", span, category), usual = grid.has("usual") && grid.values("usual", span, category);
  const ranges = rangesOfCells(cells, steps, category), ranks = grid.ranks(span, category);
  return cells.map((cell, i) => ({
    intensity: lam[cell],
    ...(ranges ? { low: ranges[i][0], high: ranges[i][1] } : {}),
    risk: risk(lam[cell]),
    rank: ranks[cell],
    ...(usual ? { usual: Number(usual[cell].toPrecision(USUAL)) } : {}), // a view holds no more digits (compact.py)
  }));
}

/** Where a cell is, by the names of the columns. */
function placeOf(cell) {
  const { places, hexagons, districts } = grid.view;
  return { ...(places ? { place: places[cell] } : {}), hexagon: hexagons[cell], district: districts?.[cell] ?? null, latitude: grid.centres[2 * cell], longitude: grid.centres[2 * cell + 1] };
}

/** A row a cell and category. */
async function asCsv(asked) {
  const { categories, issue_time, model, complete_until } = grid.view, parts = [];
  for (const [index, category] of categories.entries()) {
    const lines = await inParts(asked, index, (cell, figures) => {
      const rows = rowsOf([{ ...placeOf(cell), ...asked.times, category, ...figures, issue_time, model, complete_until }]);
      return csv(parts.length || cell !== asked.cells[0] ? rows.slice(1) : rows);
    });
    parts.push(lines.join(""));
  }
  return parts.join("");
}

/** RFC 7946: a feature a cell, with its figures for the chosen category. */
async function asGeoJson(asked) {
  const outlines = unpackRings(grid.view.outlines), category = grid.view.categories[asked.category];
  const { city, model, issue_time, complete_until, time_zone, credits } = grid.view;
  const features = await inParts(asked, asked.category, (cell, figures) => JSON.stringify({
    type: "Feature",
    id: grid.view.hexagons[cell],
    geometry: geometryOf(outlines[cell]),
    properties: { ...placeOf(cell), ...asked.times, category, ...shortened(figures) },
  }));
  const metadata = { city, ...asked.times, category, time_zone, model, issue_time, complete_until, notice: text("notice"), credits };
  const head = JSON.stringify({ type: "FeatureCollection", metadata });
  return `${head.slice(0, -1)},"features":[${features.join(",")}]}\n`;
}

function shortened(figures) {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, short(value)]));
}

/** A placemark a cell, in the colours of the map. */
async function asKml(asked) {
  const { view } = grid, category = view.categories[asked.category], outlines = unpackRings(view.outlines);
  const tag = (name, said) => `<${name}>${inXml(said)}</${name}>`;
  const ring = (points) => `<LinearRing><coordinates>${points.map((point) => point.join(",")).join(" ")}</coordinates></LinearRing>`;
  const shape = ([outer, ...holes]) => `<Polygon><outerBoundaryIs>${ring(outer)}</outerBoundaryIs>${holes.map((hole) => `<innerBoundaryIs>${ring(hole)}</innerBoundaryIs>`).join("")}</Polygon>`;
  const marks = await inParts(asked, asked.category, (cell, figures) => {
    const { low, high, intensity } = figures, said = `${digits(intensity)}${rangeWords(low === undefined ? null : [low, high])}`;
    const data = Object.entries({ ...placeOf(cell), category, ...shortened(figures) }).filter(([, value]) => value !== null);
    const [red, green, blue] = [1, 3, 5].map((at) => asked.colours[cell].slice(at, at + 2));
    return [
      `<Placemark>${tag("name", grid.called(cell))}${tag("description", text("kml_placemark", { expected: said, risk: percent(risk(intensity)) }))}`,
      `<Style><LineStyle><color>ff1b1b1b</color><width>1</width></LineStyle><PolyStyle><color>b0${blue}${green}${red}</color></PolyStyle></Style>`,
      `<ExtendedData>${data.map(([name, value]) => `<Data name="${name}">${tag("value", value)}</Data>`).join("")}</ExtendedData>`,
      `<MultiGeometry>${polygonsOf(outlines[cell]).map(shape).join("")}</MultiGeometry></Placemark>`,
    ].join("");
  });
  const about = [`${grid.label(asked.span)}, ${categoryName(category)}`, text("notice"), text("made_by", { model: view.model, issued: view.issue_time }), ...view.credits].join("\n");
  const when = `<TimeSpan>${tag("begin", asked.times.valid_from)}${tag("end", asked.times.valid_until)}</TimeSpan>`;
  const body = `<Document>${tag("name", document.title)}${tag("description", about)}${when}\n${marks.join("\n")}\n</Document>`;
  return `<kml ${KML}>${body}</kml>\n`;
}

/** Words as XML holds them, without what it forbids. */
function inXml(value) {
  const held = String(value).replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "");
  return held.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

const EXPORTS = { csv: [asCsv, "text/csv"], geojson: [asGeoJson, "application/geo+json"], kml: [asKml, "application/vnd.google-earth.kml+xml"], png: [(asked) => pictureOf(asked), "image/png"] };

async function exportAs(kind) {
  const asked = exported(kind);
  const [make, type] = EXPORTS[kind];
  download(`${asked.name}.${kind}`, type, await make(asked));
  say(text("exported", { name: `${asked.name}.${kind}` }));
}

features.push({
  start() {
    byId("exports").addEventListener("click", ({ target }) => target.value && exportAs(target.value));
  },
});
