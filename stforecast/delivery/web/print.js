"use strict";
/* Printing: the page becomes one sheet (print.css), on which the map shows what it shows on the screen, in finer pixels. */

const FINER = 3; // pixels of a printed canvas for each of the page
let onScreen = null; // where the map was, while it is on paper

function toPaper() {
  const { classList } = document.documentElement;
  if (!city || classList.contains("printing") || byId("comparison").open) return;
  const { map } = city, shown = map.getBounds(), { extent } = city;
  const { minZoom, maxBounds } = map.options;
  onScreen ??= { centre: map.getCenter(), zoom: map.getZoom(), limits: { minZoom, maxBounds } };
  classList.add("printing");
  Object.assign(map.options, { minZoom: 0, maxBounds: extent.pad(99) }); // those of the screen would push the map back
  redrawAt(FINER, () => map.fitBounds(shown.contains(extent) ? extent : shown, { animate: false }));
}

function toScreen() {
  document.documentElement.classList.remove("printing");
  requestAnimationFrame(() => { // before, the page may still be laid out for paper
    if (!onScreen || document.documentElement.classList.contains("printing")) return;
    const { centre, zoom, limits } = onScreen;
    redrawAt(1, () => city.map.setView(centre, zoom, { animate: false }));
    Object.assign(city.map.options, limits);
    onScreen = null;
  });
}

function redrawAt(ratio, move) {
  finer = ratio;
  city.takeColours();
  city.map.invalidateSize({ animate: false, pan: false });
  move();
  for (const sheet of [city.ground, city.lines, city.over, city.names]) sheet.redraw();
}

features.push({
  start() {
    byId("print").addEventListener("click", () => print());
    addEventListener("beforeprint", toPaper);
    addEventListener("afterprint", toScreen);
  },
  draw() {
    byId("printed-category").textContent = `${text("category")}: ${byId("category").selectedOptions[0].text}`;
  },
});
