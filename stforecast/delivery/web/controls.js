"use strict";
/* What lies on the map: zoom, the whole city, full screen, and the scale. */

const Buttons = L.Control.extend({
  onAdd: () => byId("map-buttons"),
});

features.push({
  start() {
    const { map } = city, miles = measures.units === "mi";
    L.control.zoom({ zoomInTitle: text("zoom_in"), zoomOutTitle: text("zoom_out") }).addTo(map);
    new Buttons({ position: "topleft" }).addTo(map);
    L.DomEvent.disableClickPropagation(byId("map-buttons"));
    L.control.scale({ position: "bottomright", imperial: miles, metric: !miles }).addTo(map);
    byId("whole-city").addEventListener("click", () => city.whole());
    byId("full-screen").hidden = !document.fullscreenEnabled;
    byId("full-screen").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
    document.addEventListener("fullscreenchange", () => byId("full-screen").setAttribute("aria-pressed", String(Boolean(document.fullscreenElement))));
  },
});
