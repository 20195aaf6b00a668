"use strict";
/* The section of the plan: its controls, its words, its places, and the box that asks why one is left out. */

const MOST_WEIGHT = 10, REASONS = ["reason_works", "reason_covered", "reason_access", "reason_agreed"];
let leaving = null; // the place that is about to be left out

function setPlan(view) {
  byId("plan-rule-choice").hidden = !grid.districts.size;
  byId("unit-area").textContent = text(`unit_${measures.units}`);
  byId("plan-weights").hidden = grid.leaves < 2;
  byId("weights").replaceChildren(...grid.leafNames().map((name, leaf) => {
    const label = element("label", categoryName(name)), input = element("input");
    Object.assign(input, { type: "number", name: "weight", min: 0, max: MOST_WEIGHT, step: "any", inputMode: "decimal" });
    input.dataset.leaf = leaf;
    label.append(input);
    return label;
  }));
  byId("reasons").replaceChildren(...REASONS.map((key) => new Option(text(key))));
  byId("plan-falls").hidden = !grid.districts.size && !Object.keys(view.plan.tenths).length;
  listenToPlan();
}

function listenToPlan() {
  byId("plan-rule").addEventListener("change", () => ((plan.rule = byId("plan-rule").value), choose({})));
  byId("plan-unit").addEventListener("change", () => setUnit(byId("plan-unit").value));
  for (const id of ["area", "area-number"]) {
    byId(id).addEventListener("input", () => setAmount(byId(id).valueAsNumber || 0));
  }
  byId("weights").addEventListener("input", ({ target }) => {
    const weight = Math.min(MOST_WEIGHT, Math.max(0, target.valueAsNumber || 0));
    plan.weights = plan.weights.map((other, leaf) => (leaf === Number(target.dataset.leaf) ? weight : other));
    choose({});
  });
  for (const id of ["plan-places", "plan-falls"]) byId(id).addEventListener("toggle", drawPlan);
  for (const id of ["plan-list", "plan-out-list"]) byId(id).addEventListener("click", pickPlace);
  byId("leave").addEventListener("click", () => (plan.out.has(pinned) ? leaveOut(pinned) : askWhy(pinned)));
  byId("leave-cancel").addEventListener("click", () => byId("leaving").close());
  byId("leaving-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const reason = byId("reason").value.trim();
    byId("reason").setCustomValidity(reason ? "" : text("reason_needed"));
    if (!byId("reason").reportValidity()) return;
    byId("leaving").close();
    leaveOut(leaving, reason);
  });
  byId("reason").addEventListener("input", () => byId("reason").setCustomValidity(""));
  for (const [id, save] of [["plan-csv", savePlanCsv], ["plan-geojson", savePlanGeojson], ["plan-json", savePlanJson]]) byId(id).addEventListener("click", save);
}

/** Of a list: go to a place, leave it out, or put it back. */
function pickPlace(event) {
  const button = event.target.closest("button"), row = Number(button?.dataset.hexagon);
  if (!button) return;
  if (button.name === "leave") askWhy(row);
  else if (button.name === "back") leaveOut(row);
  else city.zoomTo(row), pin(row);
}

function askWhy(row) {
  leaving = row;
  byId("leaving-title").textContent = text("leave_out_of", { place: grid.called(row) });
  byId("reason").value = "";
  byId("leaving").showModal();
}

function setAmount(amount) {
  if (!showsArea()) return (plan.places = Math.max(1, Math.round(amount))), choose({ area: null });
  plan.places = null;
  return choose({ area: inKm2(Math.max(0, amount)) });
}

/** Keep about the same budget in the other unit. */
function setUnit(unit) {
  const { rows, names, hexagon } = makePlan(), groups = plan.rule === "district" ? names.length : 1;
  if (unit === "places") return (plan.places = Math.max(1, Math.round(rows.length / groups))), choose({ area: null });
  plan.places = null;
  const area = hexagon === null ? areaOf(rows) / groups : Math.ceil(rows.length / groups) * hexagon;
  return choose({ area: Math.ceil(100 * area) / 100 });
}

/** Whether the budget is shown in km²; of the city's top, without a budget, it is the area of that. */
function showsArea() {
  return plan.places === null && (chosen.area !== null || plan.rule === "city");
}

function drawPlan() {
  const made = makePlan();
  drawBudget(made);
  byId("plan-words").replaceChildren(...planWords(made).map((sentence) => element("li", sentence)));
  const single = grid.leaves > 1 && chosen.category > 0;
  byId("weights-note").textContent = text(single ? "weights_of_one" : "weights_help");
  for (const input of byId("weights").querySelectorAll("input")) {
    input.disabled = single;
    if (document.activeElement !== input) input.value = plan.weights[input.dataset.leaf];
  }
  const listed = byId("plan-places").open;
  byId("plan-places-title").textContent = text(new Set(made.weights).size > 1 && chosen.category === 0 ? "plan_places_weighted" : "plan_places", { count: made.rows.length });
  byId("plan-list").replaceChildren(...(listed ? made.rows.slice(0, MOST_LISTED).map((row, i) => placeItem(row, `${i + 1}`, "leave", digits(made.value[row]))) : []));
  byId("plan-more").textContent = listed && made.rows.length > MOST_LISTED ? text("plan_more", { count: made.rows.length - MOST_LISTED }) : "";
  city.number(listed ? made.rows.slice(0, NUMBERED) : []);
  byId("plan-out").hidden = !plan.out.size;
  byId("plan-out-title").textContent = text("plan_out", { count: plan.out.size });
  byId("plan-out-list").replaceChildren(...[...plan.out].map(([row, reason]) => placeItem(row, "", "back", reason)));
  if (byId("plan-falls").open) byId("plan-tables").replaceChildren(...fallTables(made));
}

function drawBudget({ rows, amount }) {
  const area = showsArea(), groups = plan.rule === "district" ? grid.districts.size : 1;
  byId("plan-rule").value = plan.rule;
  byId("plan-unit").value = area ? "km2" : "places";
  const whole = inUnit(grid.totalArea), step = area ? 10 ** Math.floor(Math.log10(whole / 200)) : 1; // fine enough for one hexagon, and round
  const most = area ? whole / groups : Math.max(NUMBERED, grid.n / 10 / groups);
  const label = text(`budget_${area ? measures.units : "places"}`, { rule: text(`rule_${plan.rule}`) });
  for (const id of ["area", "area-number"]) {
    Object.assign(byId(id), { step, max: id === "area" ? Math.ceil(most / step) * step : "", min: area ? 0 : 1, ariaLabel: label });
    if (document.activeElement !== byId(id)) byId(id).value = Number((area ? inUnit(chosen.area ?? areaOf(rows)) : amount).toPrecision(4));
  }
  byId("area-number").step = area ? "any" : 1;
}

/** What the plan covers against the usual top places, and what else must be known of it. */
function planWords(made) {
  const { rows, usual, gap, value, weights, group } = made, sentences = [];
  if (usual) {
    const same = String([...usual].sort()) === String([...rows].sort()), base = coverage(made, usual, chosen.category);
    sentences.push(text(same ? "usual_same" : "usual_cover", { cover: coverWords(base) }));
  }
  if (!weights.some(Boolean)) sentences.push(text("weights_none"));
  if (new Set(weights).size > 1 && chosen.category === 0) sentences.push(text("weighted_share", { share: share(sum(rows.map((row) => value[row])), sum(value)) }));
  sentences.push(text(gap > 0 ? "plan_gap" : "plan_best", { percent: percent(Math.max(1e-4, gap)) }));
  if (plan.out.size) sentences.push(text("out_cover", { cover: coverWords(coverage(made, [...plan.out.keys()], chosen.category)) }));
  const outside = group.reduce((count, g) => count + (g < 0), 0);
  if (outside) sentences.push(text("plan_outside", { count: outside, counted: grid.counted(outside) }));
  return sentences;
}

function coverWords({ places, area, expected, range, share: part }) {
  return text("hits", { counted: grid.counted(places), area: areaText(area), share: share(part, 1) }) + (range ? `: ${rounded(expected)}${rangeWords(range)}` : "");
}

/** A place of a list, what is said behind it, and the button that moves it to the other list. */
function placeItem(row, number, act, said) {
  const item = element("li"), go = element("button"), does = element("button", text(act === "leave" ? "leave_short" : "put_back"));
  Object.assign(go, { type: "button", name: "go", title: grid.view.hexagons[row] });
  Object.assign(does, { type: "button", name: act, ariaLabel: text(act === "leave" ? "leave_out_of" : "put_back_place", { place: grid.called(row) }) });
  for (const button of [go, does]) button.dataset.hexagon = row;
  go.append(element("span", number), element("span", grid.called(row)), element(number ? "b" : "small", said));
  item.append(go, does);
  return item;
}

/** How the places fall on districts, and on the tenths of what is known of who lives there. */
function fallTables(made) {
  const { plan: { people, tenths } } = grid.view, sensitive = Object.keys(tenths);
  const columns = ["places", "plan", "expected", "area", ...Object.keys(people)];
  const one = (title, labels, words) => {
    const table = element("table"), head = element("tr"), rows = fallsOn(made, labels);
    head.append(element("td"), ...columns.map((name) => heading(name in people ? named("of", name) : text(`falls_${name}`), "col")));
    table.append(element("caption", title), element("thead"), element("tbody"));
    table.tHead.append(head);
    table.tBodies[0].append(...rows.map((row) => {
      const line = element("tr"), cells = columns.map((name) => (name === "places" ? row.places : row[`share_of_${name}`]));
      line.append(heading(words(row.part), "row"), ...cells.map((value, i) => element("td", i === 0 ? value : value === null ? "–" : share(value, 1))));
      return line;
    }));
    return table;
  };
  const labels = districtLabels();
  return [
    ...(labels ? [one(text("falls_districts"), labels, (name) => (name === TEXTS.en.no_district ? text("no_district") : districtName(name)))] : []),
    ...sensitive.map((name) => one(text("falls_tenths", { name: name.replaceAll("_", " ") }), tenthLabels(name), (tenth) => text("tenth", { tenth, from: digits(tenths[name].ends[tenth][0]), to: digits(tenths[name].ends[tenth][1]) }))),
    ...(sensitive.length ? [element("p", text("falls_never"))] : []),
  ];
}

features.push({
  start: setPlan,
  draw: drawPlan,
  /** Of the box of a place. */
  box(hexagon) {
    byId("leave").hidden = hexagon !== pinned;
    byId("leave").textContent = text(plan.out.has(hexagon) ? "put_back" : "leave_out");
  },
});
