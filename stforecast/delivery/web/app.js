"use strict";
/* The controls: what is chosen, and everything that follows from it. The choice stands in the address, so that a reload
   and a bookmark keep it. */

const LISTED = 20, REST = 400, MINUTE = 60000, MASKED = "#b9bec4";
const byId = (id) => document.getElementById(id);
let grid, city;
const chosen = { span: null, category: 0, measure: "expected", area: null, reported: true };
let playing = null, lastSaid, lastWritten;

function start(view) {
  grid = new Grid(view);
  byId("title").textContent = document.title = `${view.title}: reported offences expected`;
  byId("span").textContent = `${view.horizon_label}, ${view.time_zone} time`;
  byId("notice").textContent = view.notice;
  setAbout(view);
  setControls(view);
  city = new CityMap(byId("map"), view, { hover: showHovered, pick: pin });
  listen();
  readAddress();
  draw();
  requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = performance.now())));
}

function setAbout(view) {
  const rows = [
    ["Model", view.model],
    ["Record used until", view.complete_until_label],
    ["Issue time, UTC", view.issue_time],
    [`${capital(view.cell)}s`, `${grid.n}, ${grid.totalArea.toFixed(0)} km²`],
    ...[view.rate?.about, view.rate?.caution].filter(Boolean).map((sentence) => ["Rates", sentence]),
    ...view.assumptions.map((sentence) => ["Assumed", sentence]),
    ...view.credits.map((sentence) => ["Data", sentence]),
  ];
  byId("about").replaceChildren(...rows.flatMap(([term, words]) => [element("dt", term), element("dd", words)]));
}

function setControls(view) {
  byId("category").replaceChildren(...view.categories.map((name, index) => new Option(name.replaceAll("_", " "), index)));
  byId("step").max = grid.steps - 1;
  byId("step").setAttribute("aria-label", view.step_length.replace(/^[a-z]/, (first) => first.toUpperCase()));
  byId("horizon-length").textContent = `All ${view.horizon_length}`;
  byId("time").classList.toggle("one-step", grid.steps === 1);
  document.querySelector("[name=measure][value=usual]").disabled = !grid.has("usual");
  byId("rate-choice").hidden = document.querySelector("[name=measure][value=rate]").disabled = !grid.has("rate");
  if (grid.has("rate")) byId("rate-words").textContent = capital(view.rate.words);
  byId("reported-choice").hidden = byId("reported-hits").hidden = !grid.has("reported");
  const step = 10 ** Math.floor(Math.log10(grid.totalArea / 200)); // km², fine enough for one hexagon, and a round number
  for (const id of ["area", "area-number"]) Object.assign(byId(id), { step, max: Math.ceil(grid.totalArea / step) * step });
  byId("area-number").step = "any";
  byId("axis").style.setProperty("--steps", grid.steps);
  byId("profile").replaceChildren(...view.steps.map(() => element("span")));
  byId("shifts").replaceChildren(...view.shifts.map(({ name, label, hours }) => {
    const button = element("button", `${label} ${hours}`);
    Object.assign(button, { type: "button", name: "shift", value: name });
    button.append(element("small"));
    return button;
  }));
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
  const slider = byId("step"), one = () => [slider.valueAsNumber, slider.valueAsNumber];
  slider.addEventListener("input", () => choose({ span: one() }));
  // where it stays, as on the first hour after all of them, a slider says nothing
  slider.addEventListener("click", () => choose({ span: one() }));
  slider.addEventListener("keyup", ({ key }) => chosen.span === null && !["Tab", "Shift"].includes(key) && choose({ span: one() }));
  slider.addEventListener("keydown", extend);
  byId("horizon").addEventListener("change", () => choose({ span: byId("horizon").checked ? null : one() }));
  byId("shifts").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose({ span: grid.view.shifts.find(({ name }) => name === button.value).span });
  });
  byId("profile").addEventListener("pointerdown", drag);
  byId("category").addEventListener("change", () => choose({ category: Number(byId("category").value) }));
  byId("measures").addEventListener("change", (event) => choose({ measure: event.target.value }));
  byId("reported").addEventListener("change", () => choose({ reported: byId("reported").checked }));
  for (const id of ["area", "area-number"]) {
    byId(id).addEventListener("input", () => choose({ area: Math.max(0, byId(id).valueAsNumber || 0) }));
  }
  byId("play").addEventListener("click", play);
  byId("list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    city.zoomTo(Number(button.dataset.hexagon));
    pin(Number(button.dataset.hexagon));
  });
  byId("close").addEventListener("click", () => pin(null));
  document.addEventListener("keydown", (event) => event.key === "Escape" && pin(null));
  window.addEventListener("hashchange", () => (readAddress(), draw()));
  city.map.on("move zoomend", () => pinned !== null && placeTip(city.beside(pinned)));
}

/** Shift and an arrow key move the end of what is chosen, and leave its begin. */
function extend(event) {
  const more = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (!more || !event.shiftKey) return;
  event.preventDefault();
  const [first, last] = chosen.span ?? [0, grid.steps - 1];
  choose({ span: [first, Math.min(grid.steps - 1, Math.max(first, last + more))] });
}

/** A bar is chosen by a click, several by dragging over them. */
function drag(event) {
  const profile = byId("profile"), box = profile.getBoundingClientRect();
  const stepAt = ({ clientX }) => Math.min(grid.steps - 1, Math.max(0, Math.floor(((clientX - box.left) / box.width) * grid.steps)));
  const anchor = stepAt(event);
  const reach = (moved) => {
    const span = [Math.min(anchor, stepAt(moved)), Math.max(anchor, stepAt(moved))];
    if (String(span) !== String(chosen.span)) choose({ span });
  };
  profile.setPointerCapture(event.pointerId);
  profile.addEventListener("pointermove", reach);
  for (const end of ["pointerup", "pointercancel"]) profile.addEventListener(end, () => profile.removeEventListener("pointermove", reach), { once: true });
  reach(event);
}

function choose(changes) {
  Object.assign(chosen, changes);
  draw();
  clearTimeout(lastWritten);
  lastWritten = setTimeout(writeAddress, REST); // browsers stop pages that write it all the time
}

function writeAddress() {
  const { span, category, measure, area, reported } = chosen;
  const patrol = area === null ? {} : { area }, [first, last] = span ?? [];
  const step = span === null ? "all" : first === last ? first : (grid.shift(span)?.name ?? span.join("-"));
  const fields = { step, category: grid.view.categories[category], measure, ...patrol, reported: Number(reported) };
  history.replaceState(null, "", `#${new URLSearchParams(fields)}`);
}

/** Take over what the address chooses, as far as this forecast has it. */
function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
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
}

/** Everything on the page that follows from the choice. */
function draw() {
  if (grid.stepsOf(chosen.span).length === grid.steps) chosen.span = null;
  const { span, category, measure, area } = chosen;
  byId("horizon").checked = span === null;
  if (span !== null) byId("step").value = span[0];
  byId("time").classList.toggle("whole", span === null);
  byId("step").setAttribute("aria-valuetext", span === null ? grid.view.steps[byId("step").value].label : grid.label(span));
  byId("category").value = category;
  document.querySelector(`[name=measure][value=${measure}]`).checked = true;
  byId("reported").checked = chosen.reported;

  const scale = grid.scale(measure, span, category), values = grid.shown(measure, span, category);
  const classes = Array.from(values, (value) => classOf(value, scale.bounds));
  city.paint(classes.map((index) => scale.colours[index] ?? MASKED));
  const top = grid.top(span, category, area);
  city.outline(top);
  const patrolled = area ?? areaOf(top);
  for (const id of ["area", "area-number"]) if (document.activeElement !== byId(id)) byId(id).value = Number(patrolled.toPrecision(4));
  const counts = chosen.reported && span === null && grid.has("reported") ? grid.reported(category) : null;
  city.report(counts);
  drawLegend(scale, classes, measure === "rank", measure === "rate");
  drawProfile();
  drawList(top);
  drawSentences(top, counts);
  if (pinned !== null) showFacts(pinned);
}

function drawLegend(scale, classes, highestFirst, masked) {
  const row = (colour, label, index) => {
    const line = element("li"), patch = element("i");
    patch.style.backgroundColor = colour;
    line.append(patch, element("span", label), element("small", String(classes.filter((other) => other === index).length)));
    return line;
  };
  const rows = scale.labels.map((label, index) => row(scale.colours[index], label, index));
  if (masked) rows.unshift(row(MASKED, `no rate: ${scale.masked}`, -1));
  byId("legend-title").textContent = `${scale.title} (${grid.view.cell}s)`;
  byId("legend-classes").replaceChildren(...(highestFirst ? rows : rows.reverse()));
}

/** Bars of what is expected in all hexagons, step by step, above the slider. */
function drawProfile() {
  const totals = grid.view.steps.map((_, step) => grid.total("intensity", [step, step], chosen.category));
  const most = Math.max(...totals, 1e-12), [first, last] = chosen.span ?? [];
  [...byId("profile").children].forEach((bar, step) => {
    bar.style.height = `${(100 * totals[step]) / most}%`;
    bar.classList.toggle("now", step >= first && step <= last);
  });
  for (const button of byId("shifts").children) {
    const { span, cut } = grid.view.shifts.find(({ name }) => name === button.value);
    button.setAttribute("aria-pressed", String(String(span) === String(chosen.span)));
    button.lastChild.textContent = [rounded(grid.total("intensity", span, chosen.category)), cut].filter(Boolean).join(", ");
  }
}

function drawList(top) {
  const { span, category, measure } = chosen, outlined = new Set(top);
  const order = grid.listed(measure, span, category), lam = grid.values("intensity", span, category);
  [...byId("list").children].forEach((item, place) => {
    const button = item.firstChild, hexagon = order[place];
    const value = { risk: () => percent(risk(lam[hexagon])), usual: () => `× ${ratioOf(hexagon).toPrecision(3)}`, rate: () => rateOf(hexagon) }[measure];
    button.dataset.hexagon = hexagon;
    button.classList.toggle("top", outlined.has(hexagon));
    button.setAttribute("aria-pressed", String(hexagon === pinned));
    const where = [grid.district(hexagon), grid.called(hexagon)].filter(Boolean).join(", ");
    const words = [String(place + 1), where, value ? value() : digits(lam[hexagon])];
    words.forEach((text, index) => (button.children[index].textContent = text));
  });
  const figure = { risk: "risk", usual: "expected ÷ usual reports", rate: `expected reports ${grid.view.rate?.words}` }[measure] ?? "expected reports";
  byId("list-title").textContent = `Top ${grid.view.cell}s and their ${figure}`;
}

function drawSentences(top, counts) {
  const { span, category } = chosen;
  const lam = grid.values("intensity", span, category), total = grid.total("intensity", span, category);
  const held = sum(top.map((hexagon) => lam[hexagon]));
  const hexagons = `${top.length} ${grid.view.cell}${top.length === 1 ? "" : "s"}`;
  const which = chosen.area === null ? `Top ${Math.round(100 * grid.view.top_share)} % of ${grid.view.cell}s: ` : "";
  const hits = `${which}${hexagons}, ${areaOf(top).toPrecision(3)} km², ${share(held, total)} of the expected reports`;
  byId("hits").textContent = hits;
  const found = counts ? `Reported in the ${grid.view.horizon_length}: ${grid.reportedWords(category)}. ${capital(grid.view.cell)}s show ${grid.view.reported.least} and more` : "";
  byId("reported-hits").textContent = found;
  byId("when").textContent = `${grid.label(span)}: ${rounded(total)} reports expected in these ${grid.n} ${grid.view.cell}s`;
  if (!playing) say([grid.label(span), byId("category").selectedOptions[0].text, hits, found].join(". "));
}

function ratioOf(hexagon) {
  return grid.shown("usual", chosen.span, chosen.category)[hexagon];
}

/** The rate of a hexagon in words. */
function rateOf(hexagon) {
  const rate = grid.shown("rate", chosen.span, chosen.category)[hexagon];
  return Number.isNaN(rate) ? "not shown" : digits(rate);
}

function areaOf(hexagons) {
  return sum(hexagons.map((hexagon) => grid.view.area_km2[hexagon]));
}

/** A total as it is said. */
function rounded(total) {
  return Number(total.toPrecision(3));
}

function percent(value) {
  return `${digits(100 * value)} %`;
}

function play() {
  if (playing) clearInterval(playing);
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 2500 : 900;
  const next = () => {
    const step = chosen.span === null ? 0 : (chosen.span[1] + 1) % grid.steps;
    choose({ span: [step, step] });
  };
  playing = playing ? null : setInterval(next, pause);
  if (playing) next();
  else draw();
  byId("play").textContent = playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(Boolean(playing)));
}

/** Tell a screen reader, once the choice rests. */
function say(words) {
  clearTimeout(lastSaid);
  lastSaid = setTimeout(() => (byId("status").textContent = words), REST);
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

function element(name, text = "") {
  return Object.assign(document.createElement(name), { textContent: text });
}

/** What must not be overlooked: that the city is simulated, and what else is given. */
function warn(words) {
  const said = [grid?.view.simulated, words].filter(Boolean).join(" ");
  if (byId("banner").textContent !== said) byId("banner").textContent = said;
  byId("banner").hidden = !said;
}

/** Of a file, which nobody renews: whether its forecast has ended. */
function warnOfAge() {
  const { valid_until, valid_until_label, horizon_length } = grid.view;
  warn(Date.now() < Date.parse(valid_until) ? "" : `This forecast is out of date: its ${horizon_length} ended ${valid_until_label}.`);
}

async function get(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

/** Of a service: its newest forecast now, and again whenever another one is there. */
async function follow() {
  let known = null;
  const look = async () => {
    try {
      const latest = await get("v1/grids/latest");
      const grid = `${latest.grid_id} ${latest.created}`; // another store may give the same number
      if (known !== null && grid !== known) return location.reload();
      if (known === null) start(await get("v1/view"));
      known = grid;
      warn(latest.stale ? `This forecast is out of date: ${latest.stale_reason}` : "");
    } catch (error) {
      warn(known === null ? `No forecast to show (${error.message}). Trying again every minute.` : `The service does not answer (${error.message}). This forecast may be out of date.`);
    }
    return undefined;
  };
  await look();
  setInterval(look, MINUTE);
}

const embedded = byId("view");
if (embedded) {
  start(JSON.parse(embedded.textContent));
  warnOfAge();
  setInterval(warnOfAge, MINUTE);
} else follow();
