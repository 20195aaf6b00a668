"use strict";
/* The panel that compares: the last weeks and the year to date with the year before, an earlier forecast with what came;
   and, of a service, the forecasts of earlier days. */

const CITY = "city", DISTRICTS = "districts";

function setComparison({ comparison }) {
  byId("comparison-open").hidden = !comparison;
  if (!comparison) return;
  const places = [...new Set(comparison.table.district)].filter((name) => name !== null);
  const options = [new Option("Whole city", CITY), new Option("all districts", DISTRICTS), ...places.map((name, index) => new Option(districtName(name), index))];
  byId("compared-place").replaceChildren(...(places.length ? options : options.slice(0, 1)));
  byId("compared-place").addEventListener("change", drawComparison);
  drawOutcome(comparison.earlier);
  byId("comparison-open").addEventListener("click", () => {
    drawComparison();
    byId("comparison").showModal();
  });
  byId("comparison-close").addEventListener("click", () => byId("comparison").close());
}

features.push({ start: setComparison });

/** A row a category of the place that is chosen, or a row a district of the category that is chosen. */
function drawComparison() {
  const { table, spans, notes, until_label, horizon } = grid.view.comparison, select = byId("compared-place");
  const category = grid.view.categories[chosen.category], byDistrict = select.value === DISTRICTS;
  const place = [...new Set(table.district)][select.value === CITY ? 0 : Number(select.value) + 1];
  const rows = new Map();
  table.span.forEach((span, at) => {
    if (byDistrict ? table.category[at] !== category : table.district[at] !== place) return;
    const name = byDistrict ? districtName(table.district[at] ?? "Whole city") : words(table.category[at]);
    rows.set(name, { ...rows.get(name), [span]: at });
  });
  const what = byDistrict ? `${words(category)}, by district` : `${select.selectedOptions[0].text}, by category`;
  byId("compared-title").textContent = `Reports until ${until_label} against the year before: ${what}`;
  byId("compared-spans").replaceChildren(element("td"), ...spans.map(({ label }) => heading(label, "colgroup", 3)), heading(`Expected in the ${horizon}`, "col"));
  byId("compared-columns").replaceChildren(element("td"), ...spans.flatMap(() => ["reported", "year before", "change"].map((label) => heading(label, "col"))), heading("reports", "col"));
  byId("compared-rows").replaceChildren(...[...rows].map(([name, at]) => {
    const row = element("tr");
    row.append(heading(name, "row"), ...spans.flatMap((span) => figures(table, at[span.name])), expectedIn(table, at[spans[0].name]));
    return row;
  }));
  const why = spans.flatMap(({ name, label }) => [...rows.values()].map((at) => table.note[at[name]]).filter(Boolean).map((text) => `–: ${label}, ${text}.`));
  byId("comparison-notes").replaceChildren(...[...new Set([...why, ...notes])].map((sentence) => element("li", sentence)));
}

/** What was reported (and the estimate of all that will be), the same a year before, and the change. */
function figures(table, at) {
  const shown = (value) => (value === null ? "–" : value.toLocaleString("en"));
  const signed = (value) => (value > 0 ? "+" : "") + shown(value).replace("-", "−");
  const cells = [shown(table.reported[at]), shown(table.before[at]), table.difference[at] === null ? "–" : signed(table.difference[at])].map((text) => element("td", text));
  if (table.estimate[at] !== null && table.estimate[at] !== table.reported[at]) cells[0].append(element("small", `≈ ${shown(table.estimate[at])} in all`));
  if (table.percent[at] !== null) cells[2].append(element("small", `${signed(Math.round(table.percent[at]))} %`));
  return cells;
}

/** What is expected of a place in the horizon, and its range where the forecast has the place. */
function expectedIn(table, at) {
  const cell = element("td", rounded(table.expected[at])), name = table.district[at], category = grid.view.categories.indexOf(table.category[at]);
  const hexagons = grid.districts.get(name);
  const range = name === null ? rangeOfCity(null, category) : hexagons && rangeOfSum(hexagons, grid.stepsOf(null), category);
  if (range) cell.append(element("small", rangeWords(range)));
  return cell;
}

/** How the newest forecast did whose reports are in. */
function drawOutcome(earlier) {
  byId("outcome").hidden = !earlier;
  byId("no-outcome").hidden = Boolean(earlier);
  if (!earlier) return;
  const share = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
  const range = earlier.level === null ? [] : [`${grid.view.cell}s within their ${share(earlier.level)} range`];
  const late = earlier.in_advance ? "" : ", made afterwards";
  byId("outcome-title").textContent = `The newest forecast whose reports are in, against what came: ${earlier.label} (${earlier.model}${late})`;
  byId("outcome-columns").replaceChildren(element("td"), ...["expected", "came", `of these in its top ${share(earlier.top_share)} of ${grid.view.cell}s`, ...range].map((label) => heading(label, "col")));
  byId("outcome-rows").replaceChildren(...earlier.categories.map(({ category, expected, came, top, inside }) => {
    const row = element("tr");
    row.append(heading(words(category), "row"), ...[rounded(expected), came, share(top), ...range.map(() => share(inside))].map((text) => element("td", text)));
    return row;
  }));
}

function heading(text, scope, columns = 1) {
  return Object.assign(element("th", text), { scope, colSpan: columns });
}

function words(name) {
  return name.replaceAll("_", " ");
}

/** Of a service: choose the forecast of an earlier day, or the newest again. */
function setEarlier(grids, newest, shown) {
  const label = (time) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: grid.view.time_zone }).format(new Date(time));
  byId("issue").replaceChildren(...grids.map(({ grid_id, issue_time }) => new Option(`${label(issue_time)}${grid_id === newest ? " (newest)" : ""}`, grid_id)));
  byId("issue").value = shown ?? newest;
  byId("issue-choice").hidden = false;
  byId("issue").addEventListener("change", () => {
    const { value } = byId("issue");
    location.search = Number(value) === newest ? "" : `?grid=${value}`;
  });
}
