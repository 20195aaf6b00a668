"use strict";
/* The selection: cells chosen together by clicks, areas, lists and files; what is expected of them; and how the address
   keeps them. */

const MOST_UNDONE = 50;
const selection = { cells: [], chosen: new Set(), before: [], code: "", words: "" }; // rows in ascending order, the same as a set, what was selected before

/** Select these cells and no others. words: what is said of it. */
function select(cells, words = "") {
  selection.before.push(selection.cells);
  selection.before.splice(0, selection.before.length - MOST_UNDONE);
  setSelection(cells, words);
  keepAddress();
}

function setSelection(cells, words) {
  selection.chosen = new Set(cells);
  selection.cells = [...selection.chosen].sort((a, b) => a - b);
  selection.code = selection.cells.length ? codeOf(selection.cells, grid.view) : "";
  selection.words = [words, selection.code === null ? text("selection_scattered") : ""].filter(Boolean).join(" ");
  city.select(selection.cells);
  drawSelection();
  drawDistricts();
  say([selection.words, selectionTitle()].filter(Boolean).join(" "));
}

/** Add cells; those that all are in it already are taken out. */
function toggle(cells, words) {
  if (cells.every((cell) => selection.chosen.has(cell))) {
    const out = new Set(cells);
    select(selection.cells.filter((cell) => !out.has(cell)));
  } else select([...selection.cells, ...cells], words);
}

/** Whether a click on the map or the list is the selection's: with a modifier key, or while selecting or drawing. */
function takes(hexagon, event, place) {
  if (drawing.on && place) addCorner(place);
  else if (hexagon === null || !(selecting() || withKey(event))) return false;
  else toggle([hexagon]);
  return true;
}

function withKey(event) {
  return event.ctrlKey || event.metaKey || event.shiftKey;
}

function selecting() {
  return byId("selection-pick").getAttribute("aria-pressed") === "true";
}

function setSelecting(on) {
  byId("selection-pick").setAttribute("aria-pressed", String(on));
  byId("map").classList.toggle("selecting", on);
  city.map.doubleClickZoom[on || drawing.on ? "disable" : "enable"]();
  if (on) pin(null);
}

features.push({
  start() {
    fillAreas();
    byId("selection-pick").addEventListener("click", () => (stopDrawing(), setSelecting(!selecting())));
    byId("selection-draw").addEventListener("click", () => (drawing.on ? stopDrawing() : startDrawing()));
    byId("selection-undo").addEventListener("click", () => {
      setSelection(selection.before.pop(), "");
      keepAddress();
    });
    byId("selection-clear").addEventListener("click", () => select([]));
    byId("selection-file").addEventListener("change", upload);
    byId("selection-area").addEventListener("change", addArea);
    byId("selection-area").addEventListener("keydown", (event) => {
      if (!/^Arrow(Up|Down)$/.test(event.key)) return; // on a closed list they would add its first area at once
      event.preventDefault();
      event.target.showPicker();
    });
    byId("tip-select").addEventListener("click", () => pinned !== null && toggle([pinned]));
    byId("district-rows").addEventListener("click", ({ target }) => target.value && toggle(grid.districts.get(target.value)));
    byId("list").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !withKey(event)) return; // with a key a browser presses no button
      event.preventDefault();
      toggle([Number(event.target.closest("button").dataset.hexagon)]);
    });
    document.addEventListener("keydown", ({ key }) => key === "Escape" && setSelecting(false));
  },
  draw: drawSelection,
  fields: () => (selection.code ? { select: selection.code } : {}),
  read: readSelection,
});

/** Take over what the address selects, and say where it does not fit this forecast. */
function readSelection(fields) {
  const code = fields.get("select") ?? "";
  if (code === (selection.code ?? "")) return;
  const found = code ? cellsOf(code, grid.view) : { rows: [], missing: 0 };
  const words = !found ? text("selection_other_cells") : found.missing ? text("selection_missing", { missing: number(found.missing), count: number(found.missing + found.rows.length) }) : "";
  if (selection.cells.length) selection.before.push(selection.cells);
  setSelection(found?.rows ?? [], words);
}

async function upload() {
  const field = byId("selection-file"), [file] = field.files;
  field.value = ""; // so that the same file can be taken again
  if (!file) return;
  try {
    if (file.size > LARGEST_FILE) throw new BadArea(text("area_too_large", { megabytes: LARGEST_FILE / 1e6 }));
    added(cellsOfFile(file.name, await file.text()), file.name);
  } catch (error) {
    if (!(error instanceof BadArea) && !(error instanceof RangeError)) throw error; // nested without end
    selection.words = `${file.name}: ${error instanceof BadArea ? error.message : text("area_not_geojson")}`;
    drawSelection();
    say(selection.words);
  }
}

/** Add the cells of an area and say how many they were. */
function added(cells, name) {
  select([...selection.cells, ...cells], text("selection_added", { name, counted: grid.counted(cells.length), rule: text(`selection_rule_${grid.view.cell}`) }));
}

/** The list of what can be selected by name: the outlined top, districts, and named areas of layers. */
function fillAreas() {
  const group = (label, options) => {
    const made = element("optgroup");
    made.label = label;
    made.append(...options);
    return made;
  };
  const groups = [new Option(text("selection_choose"), ""), new Option(text("selection_top"), "top")];
  if (grid.districts.size) groups.push(group(text("districts_title"), [...grid.districts.keys()].sort(byName).map((name) => new Option(districtName(name), `district ${name}`))));
  city.layers.list.forEach((layer, index) => {
    if (layer.dimension !== 2 || !layer.names.length) return;
    const options = layer.names.map((name, label) => [name, label]).sort(([a], [b]) => byName(a, b));
    groups.push(group(text(`layer_${layer.kind}`), options.map(([name, label]) => new Option(name, `layer ${index} ${label + 1}`))));
  });
  byId("selection-area").replaceChildren(...groups);
}

function byName(a, b) {
  return a.localeCompare(b, language, { numeric: true });
}

function addArea() {
  const field = byId("selection-area"), { value } = field, name = field.selectedOptions[0].text;
  field.value = "";
  const [kind, index, label] = value.split(" ");
  if (kind === "top") select([...selection.cells, ...city.marks.top]);
  if (kind === "district") select([...selection.cells, ...grid.districts.get(value.slice("district ".length))]);
  if (kind === "layer") added(cellsIn(city.namedArea(city.layers.list[index], Number(label))), name);
}

/** What is expected of the selection in what is chosen, as words. */
function factsOfSelection(cells, span, category) {
  const total = (kind) => {
    const values = grid.values(kind, span, category);
    return sum(cells.map((cell) => values[cell]));
  };
  const expected = total("intensity"), all = grid.total("intensity", span, category);
  const rows = [
    [text("fact_expected"), `${rounded(expected)}${rangeWords(rangeOfSum(cells, grid.stepsOf(span), category))}`, "expected"],
    [text("fact_risk"), percent(risk(expected)), "risk"],
    [text("selection_share"), share(expected, all), "share"],
  ];
  if (grid.has("usual")) rows.push([text("selection_usual"), factor(ratio(expected, total("usual"))), "usual"]);
  if (grid.has("reported")) rows.push([text("fact_reported", { during: grid.during(null) }), reportedIn(cells, category), "reported"]);
  return rows;
}

/** Reports of cells in the horizon, in words: of what the cells show alone, so that no sum tells a count that is hidden. */
function reportedIn(cells, category) {
  if (cells.length === grid.n) return grid.reportedWords(category);
  const counts = grid.reported(category), shown = cells.filter((cell) => counts[cell] >= 0);
  if (!shown.length) return text("not_shown");
  const count = sum(shown.map((cell) => counts[cell])), all = shown.length === cells.length && grid.leavesOf(category).length === 1;
  return all ? number(count) : text("or_more", { count: number(count) });
}

function selectionTitle() {
  const { cells } = selection;
  return cells.length ? `${grid.counted(cells.length)}, ${areaText(areaOf(cells))}` : text("selection_none");
}

function drawSelection() {
  const { cells, chosen: held } = selection, { span, category } = chosen;
  byId("selection-size").textContent = selectionTitle();
  byId("selection-note").textContent = selection.words;
  byId("selection-note").hidden = !selection.words;
  byId("selection-undo").disabled = !selection.before.length;
  byId("selection-clear").disabled = byId("selection-facts").hidden = !cells.length;
  byId("export-what").textContent = text(cells.length ? "export_selected" : "export_all", { counted: grid.counted(cells.length || grid.n) });
  if (cells.length) {
    byId("selection-facts").replaceChildren(...factsOfSelection(cells, span, category).flatMap(([term, words, name]) => {
      const value = element("dd", words);
      value.dataset.fact = name;
      return [element("dt", term), value];
    }));
  }
  drawSelectedDistricts(cells, span, category);
  for (const button of byId("list").querySelectorAll("button")) button.classList.toggle("selected", held.has(Number(button.dataset.hexagon)));
  labelSelect();
}

/** Of the districts in which selected cells lie: how many, what is expected of them, and its range. */
function drawSelectedDistricts(cells, span, category) {
  const inside = new Map();
  for (const cell of cells) {
    const name = grid.view.districts?.[cell] ?? "";
    if (!inside.has(name)) inside.set(name, []);
    inside.get(name).push(cell);
  }
  byId("selection-districts").hidden = !grid.districts.size || !cells.length;
  const lam = grid.values("intensity", span, category);
  const rows = [...inside].map(([name, held]) => ({ name, held, expected: sum(held.map((cell) => lam[cell])) })).sort((a, b) => b.expected - a.expected);
  byId("selection-district-rows").replaceChildren(...(grid.districts.size ? rows : []).map(({ name, held, expected }) => {
    const row = element("tr"), range = rangeOfSum(held, grid.stepsOf(span), category);
    row.append(heading(name ? districtName(name) : text("no_district"), "row"), element("td", grid.counted(held.length)), element("td", rounded(expected)));
    if (range) row.append(element("td", text("range", { low: number(range[0]), high: number(range[1]) })));
    return row;
  }));
}

/** What the button in the box of a cell does. */
function labelSelect() {
  if (pinned !== null) byId("tip-select").textContent = text(selection.chosen.has(pinned) ? "tip_deselect" : "tip_select");
}
