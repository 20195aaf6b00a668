"use strict";
/* The map itself: hexagons, borders, the top's outline, reported counts and the box of figures. Leaflet on a canvas. */

const INK = "#1b1b1b", OUTLINE = "#d55e00";

/** A disc with a number in it, where there is room for one. */
const Count = L.CircleMarker.extend({
  _updatePath() {
    L.CircleMarker.prototype._updatePath.call(this);
    if (!this._renderer._drawing || this._empty() || this._radius < 6) return;
    const context = this._renderer._ctx;
    context.fillStyle = "#ffffff";
    context.font = "bold 10px sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(this.options.count, this._point.x, this._point.y);
  },
});

class CityMap {
  /** element: where to draw. on: {hover(hexagon or null, point), pick(hexagon or null)}. */
  constructor(element, view, on) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(element, {
      attributionControl: false,
      renderer: L.canvas({ padding: 0.2 }),
      zoomSnap: 0.25,
      zoomDelta: 0.5,
      maxZoom: 17,
      zoomAnimation: !calm,
      fadeAnimation: !calm,
      inertia: !calm,
    });
    this.calm = calm;
    L.control.scale({ position: "bottomright", imperial: false }).addTo(this.map);
    const extent = L.latLngBounds(view.border.flat());
    this.map.fitBounds(extent, { animate: false, padding: [8, 8] });
    this.map.setMinZoom(this.map.getZoom() - 1);
    this.map.setMaxBounds(extent.pad(0.5));
    this.hexagons = view.outlines.map((rings, index) => {
      const style = { weight: 0.5, color: "#ffffff", fillOpacity: 1, smoothFactor: 0 };
      return Object.assign(L.polygon(rings, style), { index });
    });
    const group = L.featureGroup(this.hexagons).addTo(this.map);
    const line = { interactive: false, fill: false, smoothFactor: 0 };
    L.polyline(view.district_borders, { ...line, color: INK, weight: 1, opacity: 0.55, dashArray: "3 3" }).addTo(this.map);
    L.polyline(view.border, { ...line, color: INK, weight: 1.2 }).addTo(this.map);
    this.halo = L.polygon([], { ...line, color: "#ffffff", weight: 4 }).addTo(this.map);
    this.top = L.polygon([], { ...line, color: OUTLINE, weight: 2 }).addTo(this.map);
    this.marks = [["#ffffff", 7], [INK, 3]].map(([color, weight]) => L.polygon([], { ...line, color, weight }).addTo(this.map)); // seen on light and on dark
    this.counts = L.layerGroup().addTo(this.map);
    group.on("mousemove", (event) => on.hover(event.propagatedFrom.index, event.containerPoint));
    group.on("mouseout", () => on.hover(null));
    group.on("click", (event) => {
      L.DomEvent.stopPropagation(event);
      on.pick(event.propagatedFrom.index);
    });
    this.map.on("click", () => on.pick(null));
    this.map.on("zoomend", () => this.scale());
    this.scale();
    new ResizeObserver(() => this.resize()).observe(element);
    this.resize();
  }

  /** Take up the element's size. Where the page scrolls (app.css), one finger scrolls it, and two move the map. */
  resize() {
    const scrolls = getComputedStyle(this.map.getContainer().parentElement).display === "contents";
    this.map.dragging[scrolls && matchMedia("(pointer: coarse)").matches ? "disable" : "enable"]();
    this.map.invalidateSize({ animate: false });
  }

  /** Fill every hexagon with its colour [n]. */
  paint(colours) {
    this.hexagons.forEach((hexagon, index) => {
      if (hexagon.options.fillColor !== colours[index]) hexagon.setStyle({ fillColor: colours[index] });
    });
  }

  outline(hexagons) {
    const rings = hexagons.map((index) => this.rings(index));
    this.halo.setLatLngs(rings);
    this.top.setLatLngs(rings);
  }

  /** Counts and outlines no larger than hexagons have room for. */
  scale() {
    const room = this.room();
    this.counts.eachLayer((disc) => disc.setRadius(room));
    this.halo.setStyle({ opacity: room > 4 ? 1 : 0 });
    this.top.setStyle({ weight: room > 4 ? 2 : 1.5 });
  }

  highlight(hexagon) {
    for (const mark of this.marks) mark.setLatLngs(hexagon === null ? [] : this.rings(hexagon));
  }

  /** Lay the counts [n] over the hexagons that have any; null clears them. */
  report(counts) {
    this.counts.clearLayers();
    const radius = this.room();
    (counts || []).forEach((count, index) => {
      if (!count) return;
      const style = { count, radius, weight: 1, color: "#ffffff", fillColor: INK, fillOpacity: 1 };
      new Count(this.centre(index), { ...style, interactive: false }).addTo(this.counts);
    });
  }

  /** The radius of a disc that leaves some of its hexagon in view, in pixels. */
  room() {
    const zoom = this.map.getZoom(), widths = this.hexagons.map((hexagon) => {
      const bounds = hexagon.getBounds();
      return this.map.project(bounds.getNorthEast(), zoom).x - this.map.project(bounds.getSouthWest(), zoom).x;
    });
    const width = widths.sort((a, b) => a - b)[widths.length >> 1];
    return Math.min(9, Math.max(3, 0.37 * width));
  }

  zoomTo(hexagon) {
    const zoom = Math.max(this.map.getZoom(), this.map.getBoundsZoom(this.hexagons[hexagon].getBounds().pad(6)));
    this.map.setView(this.centre(hexagon), zoom, { animate: !this.calm });
  }

  /** Where a hexagon's east corner is, in pixels of the map. */
  beside(hexagon) {
    const bounds = this.hexagons[hexagon].getBounds();
    return this.map.latLngToContainerPoint([bounds.getCenter().lat, bounds.getEast()]);
  }

  centre(hexagon) {
    return this.hexagons[hexagon].getBounds().getCenter();
  }

  /** The rings of its parts and holes, one of a hexagon; where they nest, every second one is a hole. */
  rings(hexagon) {
    return this.hexagons[hexagon].getLatLngs();
  }
}
