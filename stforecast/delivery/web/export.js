"use strict";
/* Exports: the selected cells, or where none is all of them, as CSV, GeoJSON and KML; for the hours that are chosen.
   Columns are called, and numbers are, as in risk.csv. */

const KML = 'xmlns="http://www.opengis.net/kml/2.2"';
const USUAL = 4; // digits of what is usual

/** What is exported: cells, the begin and end of the hours (as instants and in local time), and what a file is called. */
function exported() {
  const { view } = grid, steps = grid.stepsOf(chosen.span), cells = selection.cells.length ? selection.cells : [...Array(grid.n).keys()];
  const [from, until] = [view.times[steps[0]], view.times[steps.at(-1) + 1]];
  const name = [view.city, from.replace(/[-:]/g, ""), spanName(chosen.span), ...(selection.cells.length ? ["selection"] : [])].join("_");
  return { cells, steps, name: name.replace(/[^\w-]+/g, "_"), times: { valid_from: from, valid_until: until, local_from: localTime(from), local_until: localTime(until) } };
}

/** An instant as ISO 8601 in the city's own time, such as 2024-09-30T15:00:00-06:00. */
function localTime(instant) {
  const zone = grid.view.time_zone, parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }).formatToParts(new Date(instant));
  const { day, month, year, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  const offset = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" }).formatToParts(new Date(instant)).find(({ type }) => type === "timeZoneName").value;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${offset.replace("GMT", "") || "+00:00"}`;
}

/** The figures of each cell for one category: {intensity, low, high, risk, rank, usual}, without those that are not known. */
function figuresOf(cells, steps, category) {
  const lam = grid.values("intensity", chosen.span, category), usual = grid.has("usual") && grid.values("usual", chosen.span, category);
  const ranges = rangesOfCells(cells, steps, category), ranks = grid.ranks(chosen.span, category);
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
function asCsv({ cells, steps, times }) {
  const { categories, issue_time, model, complete_until } = grid.view;
  return csv(rowsOf(categories.flatMap((category, index) => figuresOf(cells, steps, index).map((figures, i) => {
    return { ...placeOf(cells[i]), ...times, category, ...figures, issue_time, model, complete_until };
  }))));
}

/** RFC 7946: a feature a cell, with its figures for the chosen category. */
function asGeoJson({ cells, steps, times }) {
  const outlines = unpackRings(grid.view.outlines), figures = figuresOf(cells, steps, chosen.category), category = grid.view.categories[chosen.category];
  const { city, model, issue_time, complete_until, time_zone, credits } = grid.view;
  const features = cells.map((cell, i) => ({
    type: "Feature",
    id: grid.view.hexagons[cell],
    geometry: geometryOf(outlines[cell]),
    properties: { ...placeOf(cell), ...times, category, ...shortened(figures[i]) },
  }));
  const metadata = { city, ...times, category, time_zone, model, issue_time, complete_until, notice: text("notice"), credits };
  return `${JSON.stringify({ type: "FeatureCollection", metadata, features })}\n`;
}

function shortened(figures) {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, short(value)]));
}

/** A placemark a cell, in the colours of the map. */
function asKml({ cells, steps, times }) {
  const figures = figuresOf(cells, steps, chosen.category), { view } = grid, category = view.categories[chosen.category], outlines = unpackRings(view.outlines);
  const tag = (name, words) => `<${name}>${inXml(words)}</${name}>`;
  const ring = (points) => `<LinearRing><coordinates>${points.map((point) => point.join(",")).join(" ")}</coordinates></LinearRing>`;
  const shape = ([outer, ...holes]) => `<Polygon><outerBoundaryIs>${ring(outer)}</outerBoundaryIs>${holes.map((hole) => `<innerBoundaryIs>${ring(hole)}</innerBoundaryIs>`).join("")}</Polygon>`;
  const marks = cells.map((cell, i) => {
    const { low, high, intensity } = figures[i], said = `${digits(intensity)}${rangeWords(low === undefined ? null : [low, high])}`;
    const data = Object.entries({ ...placeOf(cell), category, ...shortened(figures[i]) }).filter(([, value]) => value !== null);
    const [red, green, blue] = [1, 3, 5].map((at) => city.colours[cell].slice(at, at + 2));
    return [
      `<Placemark>${tag("name", grid.called(cell))}${tag("description", text("kml_placemark", { expected: said, risk: percent(risk(intensity)) }))}`,
      `<Style><LineStyle><color>ff1b1b1b</color><width>1</width></LineStyle><PolyStyle><color>b0${blue}${green}${red}</color></PolyStyle></Style>`,
      `<ExtendedData>${data.map(([name, value]) => `<Data name="${name}">${tag("value", value)}</Data>`).join("")}</ExtendedData>`,
      `<MultiGeometry>${polygonsOf(outlines[cell]).map(shape).join("")}</MultiGeometry></Placemark>`,
    ].join("");
  });
  const about = [`${grid.label(chosen.span)}, ${categoryName(category)}`, text("notice"), text("made_by", { model: view.model, issued: view.issue_time }), ...view.credits].join("\n");
  const when = `<TimeSpan>${tag("begin", times.valid_from)}${tag("end", times.valid_until)}</TimeSpan>`;
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
  const asked = exported();
  const [make, type] = EXPORTS[kind];
  download(`${asked.name}.${kind}`, type, await make(asked));
  say(text("exported", { name: `${asked.name}.${kind}` }));
}

features.push({
  start() {
    byId("exports").addEventListener("click", ({ target }) => target.value && exportAs(target.value));
  },
});
