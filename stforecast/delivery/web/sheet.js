"use strict";
/* A canvas over the whole map that Leaflet moves. When the map has moved it is drawn in pieces between frames; until it is
   ready the old one stands, moved and scaled. */

const PIECE = 64, SLICE = 2; // pixels of a piece, and milliseconds of asking for drawing in a frame: doing it takes as long again
const ROOM_AROUND = 0.1; // share of the window that is drawn beyond each of its edges

let deadline = { frame: null, time: 0 };

/** Until when what is drawn in pieces may go on in this frame, all canvases together, of which one is shown a frame. */
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
  wanted(room = ROOM_AROUND) {
    const map = this._map, zoom = map.getZoom(), scale = map.getZoomScale(zoom, UNIT);
    const size = map.getSize().multiplyBy(1 + 2 * room).round();
    const corner = map.project(map.getCenter(), zoom).subtract(size.divideBy(2)).round();
    const west = corner.x / scale - this.origin[0], north = corner.y / scale - this.origin[1];
    return { zoom, scale, size, corner, box: [west, north, west + size.x / scale, north + size.y / scale] };
  },
  /** What is seen now, as a canvas of its own. */
  seen() {
    const frame = this.wanted(0), [canvas, context, world] = this.blank(frame);
    world();
    this.draw(context, frame, frame.box);
    return canvas;
  },
  moved() {
    this.begin(this.wanted(), false);
  },
  /** Draw everything at once. */
  redraw() {
    if (this._map) this.begin(this.wanted(), true);
  },
  /** An empty canvas of a frame's size, its context, and what sets that to world coordinates. */
  blank(frame) {
    const canvas = this.canvas.cloneNode(), ratio = pixelRatio(), scale = ratio * frame.scale;
    canvas.width = frame.size.x * ratio;
    canvas.height = frame.size.y * ratio;
    canvas.style.width = `${frame.size.x}px`;
    canvas.style.height = `${frame.size.y}px`;
    const context = canvas.getContext("2d");
    return [canvas, context, () => context.setTransform(scale, 0, 0, scale, -scale * frame.box[0], -scale * frame.box[1])];
  },
  begin(frame, atOnce) {
    cancelAnimationFrame(this.waiting);
    const ratio = pixelRatio(), pieces = [], [canvas, context, world] = this.blank(frame);
    const side = Math.min(atOnce ? Infinity : this.piece, Math.max(frame.size.x, frame.size.y));
    for (let x = 0; x < frame.size.x; x += side) for (let y = 0; y < frame.size.y; y += side) pieces.push([x, y]);
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
      if (!atOnce) deadline.time = 0;
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
