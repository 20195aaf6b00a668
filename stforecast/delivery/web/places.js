"use strict";
/* The search that finds cells, streets and areas by name or id and goes there, and the switches of layers. */

const FOUND = 8; // at most so many are offered

/** Everything that a search finds: {words, name, what, go}. */
function searchable() {
  const found = grid.view.hexagons.map((id, hexagon) => ({
    words: `${grid.called(hexagon)} ${grid.district(hexagon)} ${id}`.toLowerCase(),
    name: grid.called(hexagon),
    what: grid.cells(1),
    go: () => goToCell(hexagon),
  }));
  for (const layer of city.layers.list) {
    const what = text(`layer_${layer.kind}`).toLowerCase();
    layer.names.forEach((name, index) => found.push({ words: `${name} ${layer.kind}`.toLowerCase(), name, what, go: () => city.goToNamed(layer, index + 1) }));
  }
  return found;
}

function goToCell(hexagon) {
  city.goToNamed(null);
  city.zoomTo(hexagon);
  pin(hexagon);
}

/** The best of what holds every word: names that begin with what was asked first, then short ones. */
function search(entries, asked) {
  const sought = asked.trim().toLowerCase(), words = sought.split(/\s+/);
  if (!sought) return [];
  const found = entries.filter((entry) => words.every((word) => entry.words.includes(word)));
  const rank = (entry) => (entry.words.startsWith(sought) ? 0 : 1000) + entry.name.length + (entry.what === grid.cells(1) ? 30 : 0);
  return found.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1)).slice(0, FOUND);
}

function listenToSearch() {
  const field = byId("search"), list = byId("found");
  let entries = null, offered = [], at = -1;
  const offer = (next) => {
    offered = next;
    at = offered.length ? 0 : -1;
    list.replaceChildren(...offered.map((entry, index) => {
      const item = Object.assign(element("li"), { id: `found-${index}` });
      item.setAttribute("role", "option");
      item.append(element("span", entry.name), element("small", entry.what));
      return item;
    }));
    if (!offered.length && field.value.trim()) list.append(element("li", text("nothing_found")));
    list.hidden = !list.children.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    choose(at);
  };
  const choose = (index) => {
    at = index;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    if (at >= 0) field.setAttribute("aria-activedescendant", `found-${at}`);
    else field.removeAttribute("aria-activedescendant");
  };
  const go = (entry) => {
    field.value = entry.name;
    offer([]);
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    entry.go();
    say([entry.name]);
  };
  field.addEventListener("input", () => {
    entries ??= searchable();
    offer(search(entries, field.value));
    if (!field.value) city.goToNamed(null);
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && offered.length) choose((at + step + offered.length) % offered.length);
    else if (event.key === "Enter" && offered[at]) go(offered[at]);
    else if (event.key === "Escape") offer([]), (list.hidden = true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps its focus
  list.addEventListener("click", (event) => {
    const index = [...list.children].indexOf(event.target.closest("li"));
    if (offered[index]) go(offered[index]);
  });
  field.addEventListener("blur", () => (list.hidden = true));
}

/** A switch for each kind of layer that is there. */
function setSwitches() {
  const kinds = [...city.layers.kinds];
  if (kinds.length) kinds.push("names");
  if (city.tiles) kinds.push("tiles");
  const host = city.tiles && new URL(grid.view.around.tiles.url).host;
  byId("layers").hidden = !kinds.length;
  byId("layer-switches").replaceChildren(...kinds.map((kind) => {
    const line = Object.assign(element("label"), { className: "tick" }), box = Object.assign(element("input"), { type: "checkbox", value: kind, checked: true });
    box.name = "layer";
    line.append(box, ` ${text(`layer_${kind}`, { host })}`);
    return line;
  }));
  byId("layers").addEventListener("change", () => {
    city.hide(new Set([...document.querySelectorAll("[name=layer]:not(:checked)")].map((box) => box.value)));
    choose({});
  });
}

features.push({
  start() {
    setSwitches();
    listenToSearch();
  },
  fields: () => (city.layers.hidden.size ? { hide: [...city.layers.hidden].join(" ") } : {}),
  read: (fields) => hideLayers(fields.get("hide")),
});

function hideLayers(kinds) {
  const boxes = [...document.querySelectorAll("[name=layer]")], asked = (kinds ?? "").split(" ");
  const hidden = new Set(boxes.map((box) => box.value).filter((kind) => asked.includes(kind)));
  boxes.forEach((box) => (box.checked = !hidden.has(box.value)));
  city.hide(hidden);
}
