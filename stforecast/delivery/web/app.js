"use strict";
/* The controls: what is chosen, and everything that follows from it. The choice stands in the address, so that a reload
   and a bookmark keep it. */

const LISTED = 20, REST = 400, MINUTE = 60000, MASKED = "#b9bec4";
const byId = (id) => document.getElementById(id);
let grid, city;
const chosen = { span: null, category: 0, measure: "expected", area: null, reported: true };
let lastSaid, lastWritten;

function start(view) {
  grid = new Grid(view);
  byId("title").textContent = document.title = text("title_of", { city: view.title });
  byId("span").textContent = text("span", { span: grid.times.horizon(), zone: view.time_zone });
  setAbout(view);
  setControls(view);
  if (embedded) warnOfAge();
  city = new CityMap(byId("map"), view, { hover: showHovered, pick: (hexagon, event, place) => takes(hexagon, event, place) || pin(hexagon) });
  listen();
  for (const { start } of features) start?.(view);
  readAddress();
  draw();
  requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = performance.now())));
}

function setAbout(view) {
  const given = (key, sentences = []) => sentences.map((sentence) => [text(key), inEnglish(element("dd", sentence))]);
  const rows = [
    [text("about_model"), element("dd", view.model)],
    [text("about_until"), element("dd", momentText(view.complete_until, view.time_zone))],
    [text("about_issued"), element("dd", view.issue_time)],
    [capital(grid.cells()), element("dd", `${number(grid.n)}, ${areaText(grid.totalArea, (area) => number(area, { maximumFractionDigits: 0 }))}`)],
    ...rateSentences(view).map((sentence) => [text("about_rates"), element("dd", sentence)]),
    ...(view.sums ? [[text("about_ranges"), element("dd", text("ranges_measured", { level: Math.round(100 * view.sums.level) }))]] : []),
    ...view.warnings.map((name) => [text("about_assumed"), element("dd", text(`warning_${name}`))]),
    ...given("about_assumed", view.assumptions.filter((sentence) => !view.warnings.some((name) => sentence === TEXTS.en[`warning_${name}`]))),
    ...given("about_map", view.around?.left_out),
    ...given("about_data", view.credits),
  ];
  byId("about").replaceChildren(...rows.flatMap(([term, words]) => [element("dt", term), words]));
}

function rateSentences({ rate }) {
  if (!rate) return [];
  const about = text("about_rate", { rate: grid.rateWords(), rule: grid.rateRule(), number: number(rate.masked), counted: grid.counted(grid.n) });
  return rate.exposure ? [about] : [about, text("about_residents")];
}

function setControls(view) {
  byId("category").replaceChildren(...view.categories.map((name, index) => new Option(categoryName(name), index)));
  document.querySelector("[name=measure][value=usual]").disabled = !grid.has("usual");
  byId("rate-choice").hidden = document.querySelector("[name=measure][value=rate]").disabled = !grid.has("rate");
  if (grid.has("rate")) byId("rate-words").textContent = capital(grid.rateWords());
  byId("reported-choice").hidden = byId("reported-hits").hidden = !grid.has("reported");
  const listed = Math.min(LISTED, grid.n);
  byId("list").replaceChildren(...Array.from({ length: listed }, () => {
    const item = element("li"), button = element("button");
    button.type = "button";
    button.append(element("span"), element("span"), element("b"));
    item.append(button);
    return item;
  }));
}

function listen() {
  byId("category").addEventListener("change", () => choose({ category: Number(byId("category").value) }));
  byId("measures").addEventListener("change", (event) => choose({ measure: event.target.value }));
  byId("reported").addEventListener("change", () => choose({ reported: byId("reported").checked }));
  byId("list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || takes(Number(button.dataset.hexagon), event)) return;
    city.zoomTo(Number(button.dataset.hexagon));
    pin(Number(button.dataset.hexagon));
  });
  byId("close").addEventListener("click", () => pin(null));
  document.addEventListener("keydown", (event) => event.key === "Escape" && pin(null));
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("keydown", (event) => event.stopPropagation()); // Escape closes it alone
  window.addEventListener("hashchange", () => (readAddress(), draw()));
  city.map.on("move zoomend", () => pinned !== null && placeTip(city.beside(pinned)));
}

function choose(changes) {
  Object.assign(chosen, changes);
  draw();
  keepAddress();
}

function keepAddress() {
  clearTimeout(lastWritten);
  lastWritten = setTimeout(writeAddress, REST); // browsers stop pages that write it all the time
}

function writeAddress() {
  const { span, category, measure, area, reported } = chosen;
  const budget = area === null ? {} : { area };
  const fields = { step: spanName(span), category: grid.view.categories[category], measure, ...budget, reported: Number(reported) };
  for (const feature of features) Object.assign(fields, feature.fields?.());
  history.replaceState(null, "", `#${new URLSearchParams(fields)}`);
}

/** A span as addresses and files name it. */
function spanName(span) {
  const [first, last] = span ?? [];
  return span === null ? "all" : first === last ? String(first) : (grid.shift(span)?.name ?? span.join("-"));
}

/** Take over what the address chooses, as far as this forecast has it. */
function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
  Object.assign(chosen, { span: null, category: 0, measure: "expected", area: null, reported: true }); // what it does not say is as at the start
  const step = fields.get("step"), area = Number(fields.get("area") ?? NaN);
  const shift = grid.view.shifts.find(({ name }) => name === step);
  if (step === "all") chosen.span = null;
  else if (shift) chosen.span = shift.span;
  else if (/^\d+(-\d+)?$/.test(step)) {
    const [first, last = first] = step.split("-").map(Number);
    if (first <= last && last < grid.steps && grid.steps > 1) chosen.span = [first, last];
  }
  if (grid.view.categories.includes(fields.get("category"))) chosen.category = grid.view.categories.indexOf(fields.get("category"));
  if (area >= 0) chosen.area = area;
  if (fields.has("reported")) chosen.reported = fields.get("reported") !== "0";
  const measure = document.querySelector(`[name=measure][value="${CSS.escape(fields.get("measure") ?? "")}"]`);
  if (measure && !measure.disabled) chosen.measure = measure.value;
  for (const { read } of features) read?.(fields);
}

/** Everything on the page that follows from the choice. */
function draw() {
  if (grid.stepsOf(chosen.span).length === grid.steps) chosen.span = null;
  const { span, category, measure } = chosen;
  byId("category").value = category;
  document.querySelector(`[name=measure][value=${measure}]`).checked = true;
  byId("reported").checked = chosen.reported;

  const scale = grid.scale(measure, span, category), values = grid.shown(measure, span, category);
  const classes = Array.from(values, (value) => classOf(value, scale.bounds));
  const top = makePlan().rows;
  const counts = chosen.reported && span === null && grid.has("reported") ? grid.reported(category) : null;
  drawLegend(scale, classes, measure === "rank", measure === "rate");
  drawList(top);
  drawSentences(top, counts);
  for (const { draw } of features) draw?.();
  city.paint(classes.map((index) => scale.colours[index] ?? MASKED));
  city.outline(top);
  city.report(counts);
  if (pinned !== null) showFacts(pinned);
}

function drawLegend(scale, classes, highestFirst, masked) {
  const row = (colour, label, index) => {
    const line = element("li"), patch = element("i");
    patch.style.backgroundColor = colour;
    line.append(patch, element("span", label), element("small", number(classes.filter((other) => other === index).length)));
    return line;
  };
  const rows = scale.labels.map((label, index) => row(scale.colours[index], label, index));
  if (masked) rows.unshift(row(MASKED, text("no_rate", { rule: scale.masked }), -1));
  byId("legend-title").textContent = text("legend", { scale: scale.title, cells: grid.cells() });
  byId("legend-classes").replaceChildren(...(highestFirst ? rows : rows.reverse()));
}

function drawList(top) {
  const { span, category, measure } = chosen, outlined = new Set(top);
  const order = grid.listed(measure, span, category), lam = grid.values("intensity", span, category);
  [...byId("list").children].forEach((item, place) => {
    const button = item.firstChild, hexagon = order[place];
    const value = { risk: () => percent(risk(lam[hexagon])), usual: () => `× ${digits(ratioOf(hexagon))}`, rate: () => rateOf(hexagon) }[measure];
    button.dataset.hexagon = hexagon;
    button.classList.toggle("top", outlined.has(hexagon));
    button.setAttribute("aria-pressed", String(hexagon === pinned));
    const words = [number(place + 1), grid.called(hexagon), value ? value() : digits(lam[hexagon])];
    button.title = `${grid.called(hexagon)} (${grid.view.hexagons[hexagon]})`;
    words.forEach((word, index) => (button.children[index].textContent = word));
  });
  const key = ["risk", "usual", "rate"].includes(measure) ? `list_${measure}` : "list_expected";
  byId("list-title").textContent = text(key, { cells: grid.cells(), rate: grid.has("rate") && grid.rateWords() });
}

function drawSentences(top, counts) {
  const { span, category } = chosen, label = grid.label(span);
  const lam = grid.values("intensity", span, category), total = grid.total("intensity", span, category);
  const held = sum(top.map((hexagon) => lam[hexagon]));
  const range = rangeOfSum(top, grid.stepsOf(span), category);
  let hits = text("hits", { counted: grid.counted(top.length), area: areaText(areaOf(top)), share: share(held, total) });
  if (chosen.area === null && plan.places === null && isTop()) hits = text("hits_top", { percent: percent(grid.view.top_share), cells: grid.cells(), hits });
  if (range) hits += `: ${rounded(held)}${rangeWords(range)}`;
  byId("hits").textContent = hits;
  const shown = counts && { during: grid.during(null), count: grid.reportedWords(category), cells: grid.cells(), least: grid.view.reported.least };
  const found = shown ? text("reported_hits", shown) : "";
  byId("reported-hits").textContent = found;
  byId("when").textContent = text("when", { when: label, total: rounded(total), range: rangeWords(rangeOfCity(span, category)), counted: grid.counted(grid.n) });
  if (!playing) say([label, byId("category").selectedOptions[0].text, hits, found].join(". "));
}

function ratioOf(hexagon) {
  return grid.shown("usual", chosen.span, chosen.category)[hexagon];
}

/** The rate of a hexagon in words. */
function rateOf(hexagon) {
  const rate = grid.shown("rate", chosen.span, chosen.category)[hexagon];
  return Number.isNaN(rate) ? text("not_shown") : digits(rate);
}

function areaOf(hexagons) {
  return sum(hexagons.map((hexagon) => grid.view.area_km2[hexagon]));
}

/** Tell a screen reader, once the choice rests. */
function say(words) {
  clearTimeout(lastSaid);
  lastSaid = setTimeout(() => (byId("status").textContent = words), REST);
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

function element(name, words = "") {
  return Object.assign(document.createElement(name), { textContent: words });
}

/** An element whose words come from elsewhere, in English whatever the page speaks. */
function inEnglish(one) {
  return Object.assign(one, { lang: "en" });
}

/** What must not be overlooked: the warnings of the forecast, words, and a reason that is given in English. */
function warn(words, reason = "") {
  const banner = byId("banner"), said = [...(grid?.view.warnings ?? []).map((name) => text(`warning_${name}`)), words].filter(Boolean).join(" ");
  if (banner.textContent !== said + reason) banner.replaceChildren(said, inEnglish(element("span", reason)));
  banner.hidden = !said;
}

/** Of a file, which nobody renews: whether its forecast has ended. */
function warnOfAge() {
  const { times, time_zone } = grid.view, end = times.at(-1);
  warn(Date.now() < Date.parse(end) ? "" : text("out_of_date", { time: momentText(end, time_zone) }));
}

async function get(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

/** Of a service: its newest forecast now, and again whenever another one is there; or the one that the address names. */
async function follow() {
  const earlier = new URLSearchParams(location.search).get("grid");
  let known = null;
  const look = async () => {
    try {
      const latest = await get("v1/grids/latest");
      const grid = `${latest.grid_id} ${latest.created}`; // another store may give the same number
      if (known !== null && grid !== known && !earlier) return location.reload();
      if (known === null) {
        const { grids } = await get("v1/grids");
        if (earlier && !grids.some(({ grid_id }) => String(grid_id) === earlier)) return location.replace(location.pathname); // it was removed
        const view = await get(earlier ? `v1/view?grid=${earlier}` : "v1/view");
        start({ ...view, around: await get("v1/around") });
        setEarlier(grids, latest.grid_id, earlier);
      }
      known = grid;
      if (earlier && Number(earlier) !== latest.grid_id) warn(text("earlier_shown"));
      else if (latest.stale) warn(text("stale"), ` ${latest.stale_reason}`);
      else warn("");
    } catch (error) {
      warn(text(known === null ? "no_forecast" : "no_answer", { error: error.message }));
    }
    return undefined;
  };
  await look();
  setInterval(look, MINUTE);
}

setSettings();
const embedded = byId("view");
if (embedded) {
  heldView(embedded).then(start);
  setInterval(warnOfAge, MINUTE);
} else follow();
