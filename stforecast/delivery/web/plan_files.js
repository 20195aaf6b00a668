"use strict";
/* The plan as files, in the columns and the words of those that `stforecast plan` writes (delivery/plan_files.py). */

/** A row a place: the chosen ones in their order, behind them those left out with their reason. */
function planTable() {
  const made = makePlan(), { span } = chosen, { view } = grid, { value } = made, whole = Math.max(sum(value), 1e-300);
  const row = (hexagon, number, reason) => ({
    number,
    ...(view.places && { place: view.places[hexagon] }),
    hexagon: view.hexagons[hexagon],
    ...(view.districts && { district: view.districts[hexagon] }),
    latitude: grid.centres[2 * hexagon],
    longitude: grid.centres[2 * hexagon + 1],
    area_km2: view.area_km2[hexagon],
    expected: short(grid.values("intensity", span, 0)[hexagon]),
    ...(grid.has("usual") && { usual: short(grid.values("usual", span, 0)[hexagon]) }),
    rank: grid.ranks(span, 0)[hexagon],
    weighted: short(value[hexagon]),
    weighted_share: short(value[hexagon] / whole),
    ...Object.fromEntries(grid.leafNames().map((name, leaf) => [`expected_${name}`, short(grid.values("intensity", span, leaf + Number(view.categories.length > 1))[hexagon])])),
    left_out: reason,
  });
  return [...made.rows.map((hexagon, i) => row(hexagon, i + 1, null)), ...[...plan.out.keys()].sort((a, b) => a - b).map((hexagon) => row(hexagon, null, plan.out.get(hexagon)))];
}

/** The plan but its places. */
function planFacts() {
  const made = makePlan(), { view } = grid, steps = grid.stepsOf(chosen.span), shift = grid.shift(chosen.span);
  const covered = (rows) => {
    const { places, area, shareOfArea, expected, share, range, weighted, weightedShare } = coverage(made, rows, 0);
    return { places, area_km2: area, share_of_area: shareOfArea, expected, share, low: range?.[0] ?? null, high: range?.[1] ?? null, weighted, weighted_share: weightedShare };
  };
  return {
    city: view.city,
    issue_time: view.issue_time,
    time_zone: view.time_zone,
    model: view.model,
    notice: text("notice"),
    purpose: text("plan_purpose"),
    valid_from: view.times[steps[0]],
    valid_until: view.times[steps.at(-1) + 1],
    shift: shift ? { label: shift.label, hours: (shift.hours ?? []).map((hour) => String(hour).padStart(2, "0")).join("–"), whole: !shift.cut } : null,
    rule: plan.rule,
    budget: { unit: made.counted ? "places" : "km2", of: Object.fromEntries(made.names.map((name, g) => [name, made.budget[g]])) },
    weights: Object.fromEntries(grid.leafNames().map((name, leaf) => [name, made.weights[leaf]])),
    level: view.sums?.level ?? null,
    covered: covered(made.rows),
    usual_top_places: made.usual && covered(made.usual),
    greedy: { ...covered(made.rows), gap_at_most: made.gap },
    left_out: Object.fromEntries([...plan.out].map(([row, reason]) => [view.hexagons[row], reason])),
    assumptions: view.assumptions,
    ...(view.credits.length && { credits: view.credits }),
  };
}

/** The same with what stands beside it in plan.json. */
function planJson() {
  const made = makePlan(), { tenths } = grid.view.plan, labels = districtLabels();
  const named = (rows, name, more = () => ({})) => rows.map(({ part, ...rest }) => ({ [name]: part, ...more(part), ...rest }));
  return {
    ...planFacts(),
    in_words: [byId("hits").textContent, ...planWords(made)],
    places: planTable(),
    districts: labels ? named(fallsOn(made, labels), "district") : [],
    tenths: Object.fromEntries(Object.entries(tenths).map(([name, { ends }]) => [name, named(fallsOn(made, tenthLabels(name)), "tenth", (tenth) => ({ from: ends[tenth][0], to: ends[tenth][1] }))])),
  };
}

function planGeojson() {
  const outlines = unpackRings(grid.view.outlines);
  const features = planTable().map((properties) => ({
    type: "Feature", id: properties.hexagon, geometry: geometryOf(outlines[grid.view.hexagons.indexOf(properties.hexagon)]), properties,
  }));
  return { type: "FeatureCollection", metadata: planFacts(), features };
}

function planName(end) {
  const { span, category } = chosen, { view } = grid;
  return fileName(["plan", view.city, view.issue_time.replace(/[-:]/g, ""), span && spanName(span), category && view.categories[category]]) + end;
}

function savePlanCsv() {
  download(planName(".csv"), "text/csv", csv(rowsOf(planTable())));
}

function savePlanGeojson() {
  download(planName(".geojson"), "application/geo+json", `${JSON.stringify(planGeojson())}\n`);
}

function savePlanJson() {
  download(planName(".json"), "application/json", `${JSON.stringify(planJson(), null, 2)}\n`);
}

/** A number as the files have it: eight digits behind the point. */
function short(value) {
  return Math.round(1e8 * value) / 1e8;
}
