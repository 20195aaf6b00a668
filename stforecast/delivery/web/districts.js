"use strict";
/* The table of districts: what is expected of each in what is chosen, with its range, the most first. A click selects
   one. */

features.push({
  start() {
    byId("districts").hidden = !grid.districts.size;
    byId("districts-title").textContent = text("districts_title");
    const columns = ["column_district", "column_expected", ...(grid.view.sums ? ["column_range"] : [])];
    byId("district-columns").replaceChildren(...columns.map((key) => heading(text(key), "col")));
    byId("districts").addEventListener("toggle", drawDistricts);
  },
  draw: drawDistricts,
});

function drawDistricts() {
  if (!byId("districts").open) return;
  const { span, category } = chosen, lam = grid.values("intensity", span, category);
  const rows = [...grid.districts].map(([name, hexagons]) => ({ name, hexagons, expected: sum(hexagons.map((hexagon) => lam[hexagon])) }));
  rows.sort((a, b) => b.expected - a.expected);
  const held = byId("district-rows").contains(document.activeElement) ? document.activeElement.value : undefined;
  byId("district-rows").replaceChildren(...rows.map(({ name, hexagons, expected }) => {
    const row = element("tr"), range = rangeOfSum(hexagons, grid.stepsOf(span), category);
    const all = hexagons.every((hexagon) => selection.chosen.has(hexagon)), button = Object.assign(element("button", districtName(name)), { type: "button", value: name });
    button.setAttribute("aria-pressed", String(all));
    const head = heading("", "row");
    head.append(button);
    row.append(head, element("td", rounded(expected)));
    if (range) row.append(element("td", text("range", { low: number(range[0]), high: number(range[1]) })));
    return row;
  }));
  if (held !== undefined) [...byId("district-rows").querySelectorAll("button")].find(({ value }) => value === held)?.focus();
}
