"use strict";
/* The map itself: cells, borders, what lies around them, the top's outline and reported counts, on three canvases that
   Leaflet moves. The lowest one (cells and lines) is drawn in pieces between frames when the map has moved; until it is
   ready the old one stands, moved and scaled. */

const INK = "#1b1b1b", OUTLINE = "#d55e00";
const RING = [["#ffffff", 7], [INK, 3]]; // colours and widths about the chosen hexagon: seen on light and on dark
const PIECE = 128, SLICE = 2; // pixels of a piece, and milliseconds of asking for drawing in a frame: doing it takes as long again
const ROOM_AROUND = 0.15; // share of the window that is drawn beyond each of its edges

let deadline = { frame: null, time: 0 };

/** Until when what is drawn in pieces may go on in this frame, all canvases together. */
function untilWhen(frame) {
  if (deadline.frame !== frame) deadline = { frame, time: performance.now() + SLICE };
  return deadline.time;
}

/** A canvas over the whole map. draw(context, frame, box): what lies in a box, in world coordinates from an origin. */
const Sheet = L.Layer.extend({
  initialize(pane, origin, draw, piece = PIECE) {
    Object.assign(this, { draw, origin, piece });
    L.setOptions(this, { pane });
  },
  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "leaflet-zoom-animated", this.getPane());
    this.redraw();
  },
  getEvents() {
    return { moveend: this.moved, viewreset: this.redraw, resize: this.redraw, zoom: () => this.place(), zoomanim: (event) => this.place(event.center, event.zoom) };
  },
  /** What the picture is to show: zoom, scale (pixels of a world unit), size and box in world coordinates. */
  wanted() {
    const map = this._map, zoom = map.getZoom(), scale = map.getZoomScale(zoom, UNIT);
    const size = map.getSize().multiplyBy(1 + 2 * ROOM_AROUND).round();
    const corner = map.project(map.getCenter(), zoom).subtract(size.divideBy(2)).round();
    const west = corner.x / scale - this.origin[0], north = corner.y / scale - this.origin[1];
    return { zoom, scale, size, corner, box: [west, north, west + size.x / scale, north + size.y / scale] };
  },
  moved() {
    this.begin(this.wanted(), false);
  },
  /** Draw everything at once. */
  redraw() {
    if (this._map) this.begin(this.wanted(), true);
  },
  begin(frame, atOnce) {
    cancelAnimationFrame(this.waiting);
    const canvas = this.canvas.cloneNode(), ratio = pixelRatio();
    canvas.width = frame.size.x * ratio;
    canvas.height = frame.size.y * ratio;
    canvas.style.width = `${frame.size.x}px`;
    canvas.style.height = `${frame.size.y}px`;
    const context = canvas.getContext("2d"), pieces = [];
    const side = Math.min(this.piece, Math.max(frame.size.x, frame.size.y));
    for (let x = 0; x < frame.size.x; x += side) for (let y = 0; y < frame.size.y; y += side) pieces.push([x, y]);
    const world = () => context.setTransform(ratio * frame.scale, 0, 0, ratio * frame.scale, -ratio * frame.scale * frame.box[0], -ratio * frame.scale * frame.box[1]);
    const go = (time) => {
      while (pieces.length && (atOnce || performance.now() < untilWhen(time))) {
        const [x, y] = pieces.pop(), [west, north] = frame.box, margin = 4 / frame.scale;
        context.save();
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.beginPath();
        context.rect(x, y, side, side);
        context.clip();
        world();
        const from = [west + x / frame.scale, north + y / frame.scale], length = side / frame.scale;
        this.draw(context, frame, [from[0] - margin, from[1] - margin, from[0] + length + margin, from[1] + length + margin]);
        context.restore();
      }
      if (pieces.length) return (this.waiting = requestAnimationFrame(go));
      this.canvas.replaceWith(canvas);
      Object.assign(this, { canvas, frame });
      return this.place();
    };
    if (atOnce) go();
    else this.waiting = requestAnimationFrame(go);
  },
  /** Lay the picture where the map is, or will be. */
  place(center = this._map.getCenter(), zoom = this._map.getZoom()) {
    if (!this.frame) return;
    const scale = this._map.getZoomScale(zoom, this.frame.zoom);
    L.DomUtil.setTransform(this.canvas, this.frame.corner.multiplyBy(scale).subtract(this._map._getNewPixelOrigin(center, zoom)), scale);
  },
});

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
    L.control.zoom({ zoomInTitle: text("zoom_in"), zoomOutTitle: text("zoom_out") }).addTo(this.map);
    L.control.scale({ position: "bottomright", imperial: measures.units === "mi", metric: measures.units === "km" }).addTo(this.map);
    const extent = L.latLngBounds(view.border.flat());
    this.map.fitBounds(extent, { animate: false, padding: [8, 8] });
    this.map.setMinZoom(this.map.getZoom() - 1);
    this.map.setMaxBounds(extent.pad(0.5));
    this.origin = worldOf(...view.border[0][0]).map(Math.floor);
    this.cells = this.shapes(unpackRings(view.outlines));
    this.borders = this.shapes([...view.district_borders, ...view.border].map((ring) => [ring]));
    this.layers = new Layers(view.around, this.origin);
    this.colours = view.hexagons.map(() => "#ffffff");
    this.marks = { top: [], mark: null, counts: null, named: null };
    for (const [pane, level] of [["cells", 300], ["marks", 450], ["names", 460]]) Object.assign(this.map.createPane(pane).style, { zIndex: level, pointerEvents: "none" });
    this.ground = new Sheet("cells", this.origin, (...given) => this.drawGround(...given));
    this.over = new Sheet("marks", this.origin, (...given) => this.drawMarks(...given)).addTo(this.map);
    this.names = new Sheet("names", this.origin, (...given) => this.layers.names(...given), Infinity).addTo(this.map);
    if (view.around?.tiles) this.addTiles(view.around.tiles);
    this.listen(element, on);
    this.takeColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.takeColours(), this.ground.redraw()));
    new ResizeObserver(() => this.resize()).observe(element);
    this.resize();
  }

  /** The city's border must stand out from the ground beside the cells, which may be dark. */
  takeColours() {
    this.line = getComputedStyle(this.map.getContainer()).getPropertyValue("--map-line").trim();
  }

  /** Take up the element's size. Where the page scrolls (app.css), one finger scrolls it, and two move the map. */
  resize() {
    const scrolls = getComputedStyle(this.map.getContainer().parentElement).display === "contents";
    this.map.dragging[scrolls && matchMedia("(pointer: coarse)").matches ? "disable" : "enable"]();
    this.map.invalidateSize({ animate: false });
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
    this.map.on("click", (event) => on.pick(this.at(event.latlng)));
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
    if ([...hidden].join() !== before) for (const sheet of [this.ground, this.names]) sheet.redraw();
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
    context.globalAlpha = 1;
    this.layers.over(context, frame, box);
    const last = this.borders.starts.length - 1 - this.view.border.length;
    for (const [from, to, dash, opacity, colour] of [[0, last, [3 / frame.scale], 0.55, INK], [last, this.borders.starts.length - 1, [], 1, this.line]]) {
      context.beginPath();
      for (let index = from; index < to; index++) this.trace(context, this.borders, index);
      context.setLineDash(dash);
      stroke(context, frame, colour, 1.1, opacity);
      context.setLineDash([]);
    }
  }

  drawMarks(context, frame, box) {
    const { top, mark, counts, named } = this.marks, room = this.room();
    const inBox = new Set(within(this.cells, box));
    context.beginPath();
    for (const index of top) if (inBox.has(index)) this.trace(context, this.cells, index);
    if (room > 4) stroke(context, frame, "#ffffff", 4, 1);
    stroke(context, frame, OUTLINE, room > 4 ? 2 : 1.5, 1);
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
    if (!counts) return;
    const pixel = 1 / frame.scale;
    context.font = `bold ${10 * pixel}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const index of inBox) {
      if (!counts[index]) continue;
      const [x, y] = this.middle(index);
      context.beginPath();
      context.arc(x, y, room * pixel, 0, 2 * Math.PI);
      context.fillStyle = INK;
      context.fill();
      stroke(context, frame, "#ffffff", 1, 1);
      context.fillStyle = "#ffffff";
      if (room >= 6) context.fillText(counts[index], x, y);
    }
  }

  /** Fill every hexagon with its colour [n]. */
  paint(colours) {
    this.colours = colours;
    if (this.ground._map) this.ground.redraw();
    else this.ground.addTo(this.map);
  }

  outline(hexagons) {
    this.marks.top = hexagons;
    this.over.redraw();
  }

  highlight(hexagon) {
    if (this.marks.mark === hexagon) return;
    this.marks.mark = hexagon;
    this.over.redraw();
  }

  /** Lay the counts [n] over the hexagons that have any; null clears them. */
  report(counts) {
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
