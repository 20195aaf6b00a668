"use strict";
/* The keyboard on the map: arrow keys go from cell to cell, and the box follows. */

const WAYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const STEEPEST = Math.tan((50 * Math.PI) / 180); // how far off its way a neighbour may lie
const OFF_ROW = 0.5; // what a unit away from the row counts, against a unit on the way: less than the next ring is farther
const PAN = 120, MARGIN = { paddingTopLeft: [40, 40], paddingBottomRight: [40, 80] }; // pixels; below is the help
let cursor = null, cursorRow = null; // the cell where the keyboard is, and the point whose row and column it keeps to

/** The neighbour whose middle lies best on a way, [right, down], and near a point of the row; null where there is none. */
function neighbour(from, [right, down], near) {
  const [x, y] = city.middle(from), { boxes } = city.cells;
  let best = null, least = Infinity;
  for (let cell = 0, at = 0; at < boxes.length; cell++, at += 4) {
    const dx = (boxes[at] + boxes[at + 2]) / 2 - x, dy = (boxes[at + 1] + boxes[at + 3]) / 2 - y;
    const along = dx * right + dy * down, across = Math.abs(right ? dy : dx);
    if (along <= 0 || across > STEEPEST * along) continue;
    const far = Math.hypot(dx, dy) + OFF_ROW * Math.abs(right ? y + dy - near[1] : x + dx - near[0]);
    if (far < least) [best, least] = [cell, far];
  }
  return best;
}

/** The cell nearest to the middle of what is in view. */
function nearestToMiddle() {
  const { lat, lng } = city.map.getCenter(), here = worldOf(lat, lng).map((at, axis) => at - city.origin[axis]);
  const away = (cell) => Math.hypot(...city.middle(cell).map((at, axis) => at - here[axis]));
  let best = 0;
  for (let cell = 1; cell < grid.n; cell++) if (away(cell) < away(best)) best = cell;
  return best;
}

/** Go to the neighbour on a way, or to the middle of the map, and say what is there. */
function moveCursor(way) {
  const from = pinned ?? cursor, next = from === null ? nearestToMiddle() : neighbour(from, way, from === cursor ? cursorRow : city.middle(from));
  if (next === null) return say(text("no_neighbour"));
  const here = city.middle(next), before = from === null ? here : from === cursor ? cursorRow : city.middle(from);
  cursorRow = way[0] ? [here[0], before[1]] : [before[0], here[1]];
  cursor = next;
  if (pinned !== null) pin(null);
  city.map.panInside(city.centre(next), { ...MARGIN, animate: false });
  showCursor();
  const said = factsOf(next).filter(([, , name]) => ["expected", "risk", "rank"].includes(name));
  return say([grid.called(next), ...said.map(([term, words]) => `${term} ${words}`)].join(". "));
}

function showCursor() {
  if (cursor === null || pinned !== null || document.activeElement !== byId("map")) return;
  showFacts(cursor);
  placeTip(city.beside(cursor));
}

function zoomBy(levels) {
  const { map, calm } = city, zoom = map.getZoom() + levels;
  if (cursor === null) map.setZoom(zoom, { animate: !calm });
  else map.setZoomAround(city.centre(cursor), zoom, { animate: !calm });
}

/** Pick the cell as a click does; the one that is kept is let go again. */
function pickCursor(event) {
  const cell = pinned ?? cursor;
  if (cell === null || drawing.on) return; // of an area that is drawn, Enter closes it
  cursor = cell;
  if (cell !== pinned || event.ctrlKey || event.metaKey) return city.on.pick(cell, event);
  pin(null);
  return showCursor();
}

features.push({
  start() {
    const map = byId("map"), acts = { Enter: pickCursor, "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(-0.5) };
    map.addEventListener("keydown", (event) => {
      const way = WAYS[event.key], act = acts[event.key];
      if (event.key === "Escape") cursor = null; // the page lets go of the box
      if (event.target !== map || !(way || act)) return;
      event.preventDefault(); // arrow keys would scroll the page
      if (act) act(event);
      else if (event.shiftKey) city.map.panBy(way.map((one) => PAN * one), { animate: !city.calm });
      else moveCursor(way);
    });
    map.addEventListener("blur", () => pinned === null && cursor !== null && showHovered(null));
    city.map.on("move zoomend", showCursor);
  },
  draw: showCursor,
});
