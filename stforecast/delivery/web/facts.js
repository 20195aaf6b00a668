"use strict";
/* The box with the figures of one hexagon: the one under the mouse, or the one that was picked and stays. */

let pinned = null;

/** The figures of a hexagon as words and numbers. */
function factsOf(hexagon) {
  const { span, category } = chosen, { view } = grid;
  const lam = grid.values("intensity", span, category)[hexagon];
  const drivers = grid.drivers(hexagon, span, category);
  const { cell } = view, row = (name, words, values = {}) => [text(`fact_${name}`, values), words, name];
  const rows = [
    ...(grid.district(hexagon) ? [row("district", view.districts[hexagon])] : []),
    row("expected", digits(lam)),
    row("risk", percent(risk(lam))),
    row("rank", text("fact_rank_of", { rank: number(grid.ranks(span, category)[hexagon]), number: number(grid.n) })),
  ];
  if (grid.has("rate")) {
    const none = Number.isNaN(grid.denominator(span)[hexagon]);
    rows.push(row("rate", none ? text("fact_no_rate", { rule: grid.rateRule() }) : rateOf(hexagon), { rate: grid.rateWords() }));
  }
  const ofSpan = view.sums ? span : null; // without a law of sums a range is known of the whole horizon alone
  const range = rangeOfSum([hexagon], grid.stepsOf(ofSpan), category);
  if (range) {
    const level = `${Math.round(100 * (view.sums ?? view).level)} %`;
    rows.push(row("interval", text("fact_range", { low: number(range[0]), high: number(range[1]) }), { during: grid.during(ofSpan), level }));
  }
  if (drivers) rows.push([text(view.step_unit === "month" ? "fact_usual_years" : "fact_usual"), digits(drivers.usual), "usual"]);
  if (drivers && !partsOf(hexagon, span, category)) {
    rows.push(row("city", factor(drivers.city)));
    rows.push([text(`fact_rest_${cell}`), factor(drivers.rest), "rest"]);
  }
  if (grid.has("reported")) rows.push(row("reported", grid.reportedWords(category, hexagon), { during: grid.during(null) }));
  rows.push([text(`fact_id_${cell}`), view.hexagons[hexagon], "id"]);
  return rows;
}

function showFacts(hexagon) {
  const { span, category } = chosen, id = grid.view.hexagons[hexagon];
  const list = element("dl");
  for (const [term, words, name] of factsOf(hexagon)) {
    const value = element("dd", words);
    value.dataset.fact = name;
    list.append(element("dt", term), value);
  }
  const when = `${grid.label(span)}, ${byId("category").options[category].text}`;
  byId("facts").replaceChildren(element("h2", grid.called(hexagon)), element("p", when), list, ...reasonsOf(hexagon, hexagon === pinned));
  byId("tip").hidden = false;
  byId("tip").dataset.hexagon = id;
  byId("tip").classList.toggle("pinned", hexagon === pinned);
  labelSelect();
  city.highlight(hexagon);
  for (const { box } of features) box?.(hexagon);
}

/** Beside a point of the map, and inside it. */
function placeTip({ x, y }) {
  const tip = byId("tip"), { clientWidth, clientHeight } = byId("map"), gap = 14;
  tip.style.setProperty("--most", `${clientHeight - 8}px`);
  const left = x + gap + tip.offsetWidth < clientWidth ? x + gap : x - gap - tip.offsetWidth;
  const top = Math.min(Math.max(4, y - tip.offsetHeight / 2), clientHeight - tip.offsetHeight - 4);
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function showHovered(hexagon, point) {
  if (pinned !== null) return;
  if (hexagon === null || drawing.on) {
    byId("tip").hidden = true;
    city.highlight(null);
    return;
  }
  showFacts(hexagon);
  placeTip(point);
}

/** Keep the figures of a hexagon in view until another is picked, Escape or a click elsewhere; null lets go. */
function pin(hexagon) {
  pinned = hexagon;
  if (hexagon === null) {
    showHovered(null);
  } else {
    showFacts(hexagon);
    placeTip(city.beside(hexagon));
    say([grid.called(hexagon), ...factsOf(hexagon).map(([term, words]) => `${term} ${words}`), ...partsSaid(hexagon)].join(". "));
  }
  for (const button of byId("list").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.hexagon) === hexagon));
  }
}
