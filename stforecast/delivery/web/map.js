"use strict";
/* The map itself: cells; lines of what lies around them; the top's outline and reported counts; names: each on a canvas
   of its own (sheet.js), so that a choice draws again what it changes alone. */

const INK = "#1b1b1b", OUTLINE = "#d55e00", NUMBER = "#b84e00";
const SELECTED = [["#ffffff", 5.5], ["#5b0f8b", 3]]; // about the selection
const RUN = 16; // sides of a border that are drawn together
const RING = [["#ffffff", 7], [INK, 3]]; // colours and widths about the chosen hexagon: seen on light and on dark

class CityMap {
  /** element: where to draw. on: {hover(hexagon or null, point), pick(hexagon or null)}. */
  constructor(element, view, on) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.view = view;
    this.calm = calm;
    this.map = L.map(element, {
      attributionControl: false,
      zoomSnap: 0.25,
      zoomDelta: 0.5,
      maxZoom: 17,
      keyboard: false, // keys.js
      zoomControl: false,
      zoomAnimation: !calm,
      fadeAnimation: !calm,
      inertia: !calm,
    });
    this.extent = L.latLngBounds(view.border.flat());
    this.whole(false);
    this.map.setMaxBounds(this.extent.pad(0.5));
    this.origin = worldOf(...view.border[0][0]).map(Math.floor);
    this.cells = this.shapes(unpackRings(view.outlines));
    const [inner, outer] = [unpackRings(view.district_borders).flat(), view.border].map((rings) => rings.flatMap(runsOf));
    this.borders = { ...this.shapes([...inner, ...outer].map((run) => [run])), inner: inner.length };
    this.layers = new Layers(view.around, this.origin);
    this.colours = view.hexagons.map(() => "#ffffff");
    this.marks = { top: [], numbered: [], mark: null, counts: null, named: null, selected: [] };
    for (const [pane, level] of [["cells", 300], ["lines", 310], ["marks", 450], ["names", 460]]) Object.assign(this.map.createPane(pane).style, { zIndex: level, pointerEvents: "none" });
    this.takeColours();
    this.ground = new Sheet("cells", this.origin, (...given) => this.drawGround(...given));
    this.lines = new Sheet("lines", this.origin, (...given) => this.drawLines(...given));
    this.over = new Sheet("marks", this.origin, (...given) => this.drawMarks(...given));
    this.names = new Sheet("names", this.origin, (...given) => this.layers.names(...given), Infinity);
    if (view.around?.tiles) this.addTiles(view.around.tiles);
    this.listen(element, on);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.takeColours(), this.lines.redraw()));
    this.map.on("movestart", () => (this.moved = true));
  }

  /** Draw for the first time, once the page around the map has its words and with them its size. */
  open() {
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.map.getContainer());
    for (const sheet of [this.ground, this.lines, this.over, this.names]) sheet.addTo(this.map);
  }

  /** The city's border must stand out from the ground beside the cells, which may be dark. */
  takeColours() {
    this.line = getComputedStyle(this.map.getContainer()).getPropertyValue("--map-line").trim();
  }

  /** Take up the element's size, with the whole city as long as nobody has moved the map. Where the page scrolls
      (app.css), one finger scrolls it, and two move the map. */
  resize() {
    const scrolls = getComputedStyle(this.map.getContainer().parentElement).display === "contents";
    this.map.dragging[scrolls && matchMedia("(pointer: coarse)").matches ? "disable" : "enable"]();
    const before = this.map.getSize();
    this.map.invalidateSize({ animate: false });
    if (!this.moved && !this.map.getSize().equals(before)) this.whole(false);
  }

  listen(element, on) {
    this.on = on;
    let last = null;
    const hover = (event) => {
      const hexagon = this.map.dragging.moving() ? null : this.at(event.latlng);
      if (hexagon === null && last === null) return;
      last = hexagon;
      element.style.cursor = hexagon === null ? "" : "pointer";
      on.hover(hexagon, event.containerPoint);
    };
    this.map.on("mousemove", L.Util.throttle(hover, 30));
    this.map.on("mouseout", () => ((last = null), on.hover(null)));
    this.map.on("click", (event) => on.pick(this.at(event.latlng), event.originalEvent, event.latlng));
  }

  addTiles({ url, attribution }) {
    L.control.attribution({ prefix: false, position: "bottomleft" }).addTo(this.map);
    this.tiles = L.tileLayer(url, { attribution: L.Util.template("{words}", { words: attribution.replace(/[&<>]/g, (letter) => `&#${letter.charCodeAt(0)};`) }), maxZoom: 17, referrerPolicy: "no-referrer" });
  }

  /** Show layers but for the kinds of a set, in which names and tiles may be too. */
  hide(hidden) {
    const before = [...this.layers.hidden].join();
    this.layers.hidden = hidden;
    if (this.tiles) this.map[hidden.has("tiles") ? "removeLayer" : "addLayer"](this.tiles);
    if ([...hidden].join() !== before) for (const sheet of [this.ground, this.lines, this.names]) sheet.redraw();
  }

  /** Shapes as arrays: of each its boxes and where its rings begin in one list of points. */
  shapes(outlines) {
    const xy = [], rings = [0], starts = [0], firsts = [0];
    for (const shape of outlines) {
      for (const ring of shape) {
        for (const [latitude, longitude] of ring) {
          const [x, y] = worldOf(latitude, longitude);
          xy.push(x - this.origin[0], y - this.origin[1]);
        }
        rings.push(xy.length);
      }
      starts.push(xy.length);
      firsts.push(rings.length - 1);
    }
    return { xy: Float64Array.from(xy), rings, firsts, starts, boxes: boxesOf(xy, starts) };
  }

  trace(context, shapes, index) {
    for (let ring = shapes.firsts[index]; ring < shapes.firsts[index + 1]; ring++) {
      trace(context, shapes.xy, shapes.rings[ring], shapes.rings[ring + 1]);
      context.closePath();
    }
  }

  drawGround(context, frame, box) {
    this.layers.fill(context, box);
    context.globalAlpha = this.tiles && !this.layers.hidden.has("tiles") ? 0.7 : 1;
    const fine = this.width() * frame.scale > 14;
    context.strokeStyle = "#ffffff";
    context.lineWidth = 0.5 / frame.scale;
    for (const index of within(this.cells, box)) {  // one by one: paths of thousands are slow
      context.fillStyle = this.colours[index];
      context.beginPath();
      this.trace(context, this.cells, index);
      context.fill("evenodd");
      if (fine) context.stroke();
    }
  }

  drawLines(context, frame, box) {
    this.layers.over(context, frame, box);
    const { xy, starts, inner } = this.borders, near = within(this.borders, box);
    for (const [whole, dash, opacity, colour] of [[false, [3 / frame.scale], 0.55, INK], [true, [], 1, this.line]]) {
      context.beginPath();
      for (const index of near) if ((index >= inner) === whole) trace(context, xy, starts[index], starts[index + 1]);
      context.setLineDash(dash);
      stroke(context, frame, colour, 1.1, opacity);
      context.setLineDash([]);
    }
  }

  drawMarks(context, frame, box) {
    const { top, numbered, mark, counts, named, selected } = this.marks, room = this.room();
    context.beginPath();
    for (const index of top) if (meets(this.cells.boxes, index, box)) this.trace(context, this.cells, index);
    if (room > 4) stroke(context, frame, "#ffffff", 4, 1);
    stroke(context, frame, OUTLINE, room > 4 ? 2 : 1.5, 1);
    const [west, north, east, south] = box;
    context.beginPath();
    for (let i = 0; i < selected.length; i += 4) {
      const [x0, y0, x1, y1] = [selected[i], selected[i + 1], selected[i + 2], selected[i + 3]];
      if (Math.min(x0, x1) > east || Math.max(x0, x1) < west || Math.min(y0, y1) > south || Math.max(y0, y1) < north) continue;
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
    for (const [colour, width] of SELECTED) stroke(context, frame, colour, width, 1);
    if (named) {
      context.beginPath();
      for (const part of named.parts) trace(context, named.layer.xy, named.layer.starts[part], named.layer.starts[part + 1]);
      stroke(context, frame, "#ffffff", 6, 0.9);
      stroke(context, frame, "#c2185b", 3, 1);
    }
    if (mark !== null) {
      context.beginPath();
      this.trace(context, this.cells, mark);
      for (const [colour, width] of RING) stroke(context, frame, colour, width, 1);
    }
    if (counts) for (const index of within(this.cells, box)) if (counts[index]) this.disc(context, frame, index, counts[index], INK, "#ffffff");
    if (room < 6) return;
    numbered.forEach((index, i) => meets(this.cells.boxes, index, box) && !counts?.[index] && this.disc(context, frame, index, i + 1, "#ffffff", NUMBER));
  }

  /** A number in the middle of a cell, if there is room for it. */
  disc(context, frame, index, number, ground, ink) {
    const [x, y] = this.middle(index), room = this.room(), pixel = 1 / frame.scale;
    context.beginPath();
    context.arc(x, y, room * pixel, 0, 2 * Math.PI);
    context.fillStyle = ground;
    context.fill();
    stroke(context, frame, ink, 1, 1);
    if (room < 6) return;
    context.font = `bold ${10 * pixel}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = ink;
    context.fillText(number, x, y);
  }

  /** Fill every hexagon with its colour [n]. */
  paint(colours) {
    this.colours = colours;
    if (this.ground._map) this.ground.redraw();
    else this.open();
  }

  outline(hexagons) {
    this.marks.top = hexagons;
    this.over.redraw();
  }

  /** Number some hexagons in their order. */
  number(hexagons) {
    if (String(this.marks.numbered) === String(hexagons)) return;
    this.marks.numbered = hexagons;
    this.over.redraw();
  }

  /** Draw the border of these cells: the sides that no two of them share. */
  select(cells) {
    const { xy, rings, firsts } = this.cells, sides = new Map();
    for (const cell of cells) {
      for (let ring = firsts[cell]; ring < firsts[cell + 1]; ring++) {
        for (let i = rings[ring], j = rings[ring + 1] - 2; i < rings[ring + 1]; j = i, i += 2) {
          const middle = Math.round(8 * (xy[i] + xy[j])) * 2 ** 26 + Math.round(8 * (xy[i + 1] + xy[j + 1]));
          if (!sides.delete(middle)) sides.set(middle, [xy[j], xy[j + 1], xy[i], xy[i + 1]]);
        }
      }
    }
    this.marks.selected = [...sides.values()].flat();
    this.over.redraw();
  }

  highlight(hexagon) {
    if (this.marks.mark === hexagon) return;
    this.marks.mark = hexagon;
    this.over.redraw();
  }

  /** Lay the counts [n] over the hexagons that have any; null clears them. */
  report(counts) {
    if (this.marks.counts === counts) return;
    this.marks.counts = counts;
    this.over.redraw();
  }

  /** The usual width of a hexagon in world coordinates. */
  width() {
    if (!this.usualWidth) {
      const widths = Float64Array.from({ length: this.view.hexagons.length }, (_, i) => this.cells.boxes[4 * i + 2] - this.cells.boxes[4 * i]).sort();
      this.usualWidth = widths[widths.length >> 1];
    }
    return this.usualWidth;
  }

  /** The radius of a disc that leaves some of its hexagon in view, in pixels. */
  room() {
    return Math.min(9, Math.max(3, 0.37 * this.width() * this.map.getZoomScale(this.map.getZoom(), UNIT)));
  }

  /** The hexagon at a place; null where none is. */
  at({ lat, lng }) {
    const [x, y] = worldOf(lat, lng).map((at, axis) => at - this.origin[axis]), { xy, rings, firsts } = this.cells;
    for (const index of within(this.cells, [x, y, x, y])) {
      let inside = false;
      for (let ring = firsts[index]; ring < firsts[index + 1]; ring++) {
        for (let i = rings[ring], j = rings[ring + 1] - 2; i < rings[ring + 1]; j = i, i += 2) {
          if (xy[i + 1] > y !== xy[j + 1] > y && x < ((xy[j] - xy[i]) * (y - xy[i + 1])) / (xy[j + 1] - xy[i + 1]) + xy[i]) inside = !inside;
        }
      }
      if (inside) return index;
    }
    return null;
  }

  /** Go to everything of a layer that has a name, by its number, and mark it; null takes the mark away. */
  goToNamed(layer, label) {
    this.marks.named = layer && { layer, parts: [...layer.labels.keys()].filter((part) => layer.labels[part] === label) };
    this.over.redraw();
    if (!layer) return;
    const boxes = this.marks.named.parts.map((part) => layer.boxes.subarray(4 * part, 4 * part + 4));
    const box = [0, 1, 2, 3].map((side) => Math[side < 2 ? "min" : "max"](...boxes.map((each) => each[side])));
    this.map.fitBounds(this.bounds(box), { maxZoom: 16, padding: [30, 30], animate: !this.calm });
  }

  /** Show the whole city; how far out one can go follows the size of the map. */
  whole(animate = !this.calm) {
    this.map.setMinZoom(this.map.getBoundsZoom(this.extent) - 1);
    this.map.fitBounds(this.extent, { animate, padding: [8, 8] });
    if (!animate) this.moved = false;
  }

  /** Everything of a layer that has a name, by its number, as one polygon for `cellsIn`: its rings in degrees. */
  namedArea(layer, label) {
    return [[...layer.labels.keys()].filter((part) => layer.labels[part] === label).map((part) => {
      return Array.from({ length: (layer.starts[part + 1] - layer.starts[part]) / 2 }, (_, i) => {
        const { lat, lng } = this.map.unproject([0, 1].map((axis) => layer.xy[layer.starts[part] + 2 * i + axis] + this.origin[axis]), UNIT);
        return [lng, lat];
      });
    })];
  }

  zoomTo(hexagon) {
    this.goTo(this.bounds(this.cells.boxes.subarray(4 * hexagon, 4 * hexagon + 4)).pad(6));
  }

  /** Go where bounds are well in view, no farther out than now. */
  goTo(bounds) {
    const zoom = Math.max(this.map.getZoom(), this.map.getBoundsZoom(bounds));
    this.map.setView(bounds.getCenter(), zoom, { animate: !this.calm });
  }

  /** Boxes of world coordinates as Leaflet has them. */
  bounds([west, north, east, south]) {
    const corner = (x, y) => this.map.unproject([x + this.origin[0], y + this.origin[1]], UNIT);
    return L.latLngBounds(corner(west, south), corner(east, north));
  }

  middle(hexagon) {
    const [west, north, east, south] = this.cells.boxes.subarray(4 * hexagon, 4 * hexagon + 4);
    return [(west + east) / 2, (north + south) / 2];
  }

  /** Where a hexagon's east corner is, in pixels of the map. */
  beside(hexagon) {
    const bounds = this.bounds(this.cells.boxes.subarray(4 * hexagon, 4 * hexagon + 4));
    return this.map.latLngToContainerPoint([this.centre(hexagon).lat, bounds.getEast()]);
  }

  centre(hexagon) {
    const [x, y] = this.middle(hexagon);
    return this.map.unproject([x + this.origin[0], y + this.origin[1]], UNIT);
  }
}

/** A ring as short lines, of which a piece of the map draws those that it shows. */
function runsOf(ring) {
  return Array.from({ length: Math.ceil((ring.length - 1) / RUN) }, (_, run) => ring.slice(run * RUN, (run + 1) * RUN + 1));
}
