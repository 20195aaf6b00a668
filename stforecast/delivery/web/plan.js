"use strict";
/* Places to cover: which ones the greedy rule chooses within a budget, what they cover, and which are left out. A choice
   of the reader is in `plan`, but for a budget in km², which is `chosen.area`; without a budget it is the top share. */

const NUMBERED = 20, MOST_LISTED = 200, RULES = ["city", "district", "proportion"];
const plan = { rule: "city", places: null, weights: [], out: new Map() };

/** What the configuration says. */
function configuredPlan() {
  const { rule, places, area_km2, weights, leave_out } = grid.view.plan;
  const out = new Map(Object.entries(leave_out).map(([id, reason]) => [grid.view.hexagons.indexOf(id), reason]).filter(([row]) => row >= 0));
  return { rule: grid.districts.size ? rule : "city", places, area: area_km2, weights: grid.leafNames().map((name) => weights[name] ?? 1), out };
}

/** What a report of each category counts: of one that is chosen only its own do. */
function weightsInUse() {
  const { category } = chosen;
  return grid.leaves > 1 && category > 0 ? plan.weights.map((_, leaf) => Number(leaf === category - 1)) : plan.weights;
}

/** Whether places are counted, or their area. */
function inPlaces() {
  return plan.places !== null || chosen.area === null;
}

/** The places of each group, -1 where they are in none, and the names of groups. */
function groupsOf(rule) {
  if (rule === "city") return { group: new Int32Array(grid.n), names: ["city"] };
  const names = [...grid.districts.keys()].sort(), group = new Int32Array(grid.n).fill(-1);
  names.forEach((name, g) => grid.districts.get(name).forEach((row) => (group[row] = g)));
  return { group, names };
}

/** The plan for what is chosen: rows, the usual top places within the same budgets, and the bound on any other choice. */
function makePlan() {
  const { span, area } = chosen, { rule, places, out } = plan, weights = weightsInUse();
  return grid.once(["plan", span, area, rule, places, weights, [...out.keys()]].join(" "), () => {
    const { area_km2, top_share, cell } = grid.view, { group, names } = groupsOf(rule), counted = inPlaces();
    const value = grid.weighted("intensity", span, weights), need = names.map(() => 0);
    group.forEach((g, row) => g >= 0 && (need[g] += value[row]));
    const top = topCount(top_share, grid.n), amount = places ?? area ?? (rule === "district" ? Math.max(1, Math.round(top / names.length)) : top);
    const size = counted ? new Float64Array(grid.n).fill(1) : area_km2;
    const hexagon = cell === "hexagon" ? area_km2.reduce((most, one) => Math.max(most, one), 0) : null;
    const budget = budgetOf(rule, amount, need, counted ? 1 : hexagon), free = group.slice();
    for (const row of out.keys()) free[row] = -1;
    const choose = (values, order) => {
      const rows = greedy(values, size, free, budget, order);
      if (rows.length || rule !== "city" || !(amount > 0)) return rows;
      return byDensity(values, new Float64Array(grid.n).fill(1), free).slice(0, 1); // at least one place
    };
    const order = byDensity(value, size, free), rows = choose(value, order), bound = boundOf(value, size, free, budget, order);
    const gap = bound > 0 ? Math.max(0, 1 - sum(rows.map((row) => value[row])) / bound) : 0;
    const usual = grid.has("usual") ? choose(grid.weighted("usual", span, weights)) : null;
    return { rows, usual, gap, value, amount, names, group, budget, counted, hexagon, weights };
  });
}

/** What some places cover: reports of a category with the range of their count, and all by weight. */
function coverage({ value }, rows, category) {
  const { span } = chosen, lam = grid.values("intensity", span, category);
  const of = (values) => sum(rows.map((row) => values[row]));
  const [area, expected, weighted] = [of(grid.view.area_km2), of(lam), of(value)];
  const part = (some, all) => (all ? some / all : 0);
  return {
    places: rows.length, area, shareOfArea: part(area, grid.totalArea), expected, share: part(expected, sum(lam)),
    range: rangeOfSum(rows, grid.stepsOf(span), category), weighted, weightedShare: part(weighted, sum(value)),
  };
}

/** Whether the plan is but the top of the city, so that it may be called so. */
function isTop() {
  return plan.rule === "city" && !plan.out.size && weightsInUse().every((weight) => weight === 1 || chosen.category > 0);
}

/** How the plan falls on parts of the city, [n] labels (null: not counted): a row a part, in shares of the whole. */
function fallsOn({ rows, value }, labels) {
  const { area_km2, plan: { people } } = grid.view, lam = grid.values("intensity", chosen.span, 0);
  const held = new Uint8Array(grid.n), sums = new Map(), totals = new Map();
  for (const row of rows) held[row] = 1;
  const of = { places: (row) => held[row], plan: (row) => held[row] * area_km2[row], area: (row) => area_km2[row], expected: (row) => lam[row], weighted: (row) => value[row] };
  for (const name of Object.keys(people)) of[name] = (row) => grid.people[name][row];
  for (const [name, at] of Object.entries(of)) {
    for (let row = 0; row < grid.n; row++) {
      const one = at(row), label = labels[row];
      if (Number.isNaN(one)) continue; // not known
      totals.set(name, (totals.get(name) ?? 0) + one);
      if (label === null) continue;
      if (!sums.has(label)) sums.set(label, {});
      sums.get(label)[name] = (sums.get(label)[name] ?? 0) + one;
    }
  }
  const order = [...sums.keys()].sort((a, b) => (a > b ? 1 : -1));
  const shares = (found) => Object.keys(of).map((name) => [`share_of_${name}`, found[name] === undefined ? null : found[name] / Math.max(totals.get(name), 1e-300)]);
  return order.map((part) => ({ part, places: sums.get(part).places, ...Object.fromEntries(shares(sums.get(part))) }));
}

/** Labels of each place: its district, in the words of the files, or its tenth by what is known of who lives there. */
function districtLabels() {
  return grid.districts.size ? grid.view.districts.map((name) => name ?? TEXTS.en.no_district) : null;
}

function tenthLabels(name) {
  return Array.from(grid.tenths[name], (tenth) => tenth || null);
}

/** Leave a place out for a reason, or (without one) put it back. */
function leaveOut(row, reason) {
  if (reason) plan.out.set(row, reason);
  else plan.out.delete(row);
  choose({});
  if (document.activeElement === document.body) byId(plan.out.size ? "plan-out-title" : "plan-places-title").focus(); // its button is gone
}

function outText(out) {
  return [...out].map(([row, reason]) => `${encodeURIComponent(grid.view.hexagons[row])}:${reason.replaceAll(";", ",")}`).join(";");
}

/** Places and reasons of an address, as far as this forecast has them. */
function outOf(words) {
  const parts = words.split(";").map((part) => part.split(/:(.*)/s)).filter(([, reason]) => reason?.trim());
  return new Map(parts.map(([id, reason]) => [grid.view.hexagons.indexOf(decoded(id)), reason.trim()]).filter(([row]) => row >= 0));
}

function decoded(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

features.push({
  start() {
    const { area, ...given } = configuredPlan();
    Object.assign(plan, given);
    chosen.area = area;
  },
  fields() {
    const given = configuredPlan(), { rule, places, weights, out } = plan;
    return {
      ...(rule === given.rule ? {} : { rule }),
      ...(places === null ? {} : { places }),
      ...(String(weights) === String(given.weights) ? {} : { weights: weights.join() }),
      ...(outText(out) === outText(given.out) ? {} : { out: outText(out) }),
    };
  },
  read(fields) {
    const given = configuredPlan(), weights = (fields.get("weights") ?? "").split(",").map(Number);
    plan.rule = RULES.includes(fields.get("rule")) && grid.districts.size ? fields.get("rule") : given.rule;
    plan.weights = fields.has("weights") && weights.length === grid.leaves && weights.every((weight) => weight >= 0 && weight <= MOST_WEIGHT) ? weights : given.weights;
    plan.out = fields.has("out") ? outOf(fields.get("out")) : given.out;
    const places = /^[1-9]\d{0,6}$/.test(fields.get("places") ?? "") ? Number(fields.get("places")) : null;
    if (chosen.area !== null) plan.places = null;
    else Object.assign(chosen, { area: places === null ? given.area : null }), (plan.places = places ?? given.places);
  },
});
