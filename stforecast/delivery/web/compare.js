"use strict";
/* The panel that compares: the last weeks and the year to date with the year before, an earlier forecast with what came;
   and, of a service, the forecasts of earlier days. */

const CITY = "city", DISTRICTS = "districts";

function setComparison({ comparison }) {
  byId("comparison-open").hidden = !comparison;
  if (!comparison) return;
  const places = [...new Set(comparison.table.district)].filter((name) => name !== null);
  const options = [new Option(text("whole_city"), CITY), new Option(text("all_districts"), DISTRICTS), ...places.map((name, index) => new Option(districtName(name), index))];
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
  const { table, spans, notes, until } = grid.view.comparison, select = byId("compared-place");
  const category = grid.view.categories[chosen.category], byDistrict = select.value === DISTRICTS;
  const place = [...new Set(table.district)][select.value === CITY ? 0 : Number(select.value) + 1];
  const rows = new Map();
  table.span.forEach((span, at) => {
    if (byDistrict ? table.category[at] !== category : table.district[at] !== place) return;
    const name = byDistrict ? districtName(table.district[at] ?? text("whole_city")) : categoryName(table.category[at]);
    rows.set(name, { ...rows.get(name), [span]: at });
  });
  const what = byDistrict ? text("by_district", { what: categoryName(category) }) : text("by_category", { what: select.selectedOptions[0].text });
  byId("compared-title").textContent = text("compared", { time: momentText(until, grid.view.time_zone), what });
  byId("compared-spans").replaceChildren(element("td"), ...spans.map(({ name }) => heading(text(`span_${name}`), "colgroup", 3)), heading(text("expected_during", { during: grid.during(null) }), "col"));
  byId("compared-columns").replaceChildren(element("td"), ...spans.flatMap(() => ["reported", "year_before", "change"].map((key) => heading(text(key), "col"))), heading(text("reports"), "col"));
  byId("compared-rows").replaceChildren(...[...rows].map(([name, at]) => {
    const row = element("tr");
    row.append(heading(name, "row"), ...spans.flatMap((span) => figures(table, at[span.name])), expectedIn(table, at[spans[0].name]));
    return row;
  }));
  const why = spans.flatMap(({ name, label }) => [...rows.values()].map((at) => table.note[at[name]]).filter(Boolean).map((note) => `–: ${label}, ${note}.`));
  byId("comparison-notes").replaceChildren(...[...new Set([...why, ...notes])].map((sentence) => inEnglish(element("li", sentence))));
}

/** What was reported (and the estimate of all that will be), the same a year before, and the change. */
function figures(table, at) {
  const shown = (value) => (value === null ? "–" : number(value));
  const signed = (value) => (value > 0 ? "+" : "") + shown(value).replace("-", "−");
  const cells = [shown(table.reported[at]), shown(table.before[at]), table.difference[at] === null ? "–" : signed(table.difference[at])].map((words) => element("td", words));
  if (table.estimate[at] !== null && table.estimate[at] !== table.reported[at]) cells[0].append(element("small", text("in_all", { count: shown(table.estimate[at]) })));
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
  const share = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`), cells = grid.cells();
  const range = earlier.level === null ? [] : [text("outcome_inside", { cells, percent: share(earlier.level) })];
  const begin = momentText(earlier.issue_time, grid.view.time_zone);
  byId("outcome-title").textContent = text(earlier.in_advance ? "outcome" : "outcome_after", { begin, model: earlier.model });
  byId("outcome-columns").replaceChildren(element("td"), ...[text("outcome_expected"), text("outcome_came"), text("outcome_top", { percent: share(earlier.top_share), cells }), ...range].map((label) => heading(label, "col")));
  byId("outcome-rows").replaceChildren(...earlier.categories.map(({ category, expected, came, top, inside }) => {
    const row = element("tr");
    row.append(heading(categoryName(category), "row"), ...[rounded(expected), number(came), share(top), ...range.map(() => share(inside))].map((words) => element("td", words)));
    return row;
  }));
}

function heading(words, scope, columns = 1) {
  return Object.assign(element("th", words), { scope, colSpan: columns });
}

/** Of a service: choose the forecast of an earlier day, or the newest again. */
function setEarlier(grids, newest, shown) {
  const label = (time) => momentText(time, grid.view.time_zone);
  byId("issue").replaceChildren(...grids.map(({ grid_id, issue_time }) => new Option(grid_id === newest ? text("newest", { time: label(issue_time) }) : label(issue_time), grid_id)));
  byId("issue").value = shown ?? newest;
  byId("issue-choice").hidden = false;
  byId("issue").addEventListener("change", () => {
    const { value } = byId("issue");
    location.search = Number(value) === newest ? "" : `?grid=${value}`;
  });
}
