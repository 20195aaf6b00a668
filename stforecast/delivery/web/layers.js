"use strict";
/* What lies around the cells: streets, water, rail, parks, borders and names, unpacked from the view, drawn under and
   over the cells, and switched on and off. Coordinates are pixels of the world map at zoom UNIT, from an origin. */

const UNIT = 16;
const KINDS = {
  // how wide each class of lines is; the ground of areas; the ink of names
  parks: { ground: "#cfe3c6", line: "#2f7d32", casing: "#ffffff", widths: [1.2], ink: "#245c20", size: 12 },
  water: { covers: true, ground: "#a9cdea", line: "#1f6fb2", widths: [1.6], ink: "#0b4a80", size: 12 },
  rail: { line: "#3c3c3c", casing: "#ffffff", widths: [1.2], ink: "#3c3c3c", size: 11.5, dash: [6, 4] },
  streets: { line: "#ffffff", casing: "#39404a", widths: [1.9, 1.3, 0.9], ink: "#1b1b1b", size: 11.5 },
  other: { line: "#5b4a8a", widths: [1.2], ink: "#45356f", size: 12 },
  beats: { line: "#1b1b1b", casing: "#ffffff", widths: [1], ink: "#1b1b1b", size: 12, dash: [5, 3] },
  neighbourhoods: { line: "#7a1f5c", casing: "#ffffff", widths: [1.3], ink: "#6b1450", size: 13.5 },
};
const FONT = "system-ui, sans-serif";
const MOST_NAMES = 120, APART = 4; // names in a picture, and pixels between two of them
const CLOSEST = 20; // pixels between streets, on average, below which the less known ones are left out

let finer = 1; // on paper more

/** Pixels of a canvas for each of the page. */
function pixelRatio() {
  return Math.max(window.devicePixelRatio || 1, finer);
}

/** Longitude and latitude as x and y at zoom UNIT. */
function worldOf(latitude, longitude) {
  const sine = Math.sin((latitude * Math.PI) / 180), size = 256 * 2 ** UNIT;
  return [size * (longitude / 360 + 0.5), size * (0.5 - Math.atanh(sine) / (2 * Math.PI))];
}

class Layers {
  /** around: of the view, or null. origin: x and y of the map's own coordinates. */
  constructor(around, origin) {
    this.list = (around?.layers ?? []).map((layer) => unpackLayer(layer, around.origin.map((at, axis) => at - origin[axis])));
    this.list.sort((a, b) => Object.keys(KINDS).indexOf(a.kind) - Object.keys(KINDS).indexOf(b.kind));
    this.hidden = new Set();
    this.widths = new Map();
  }

  get kinds() {
    return [...new Set(this.list.map((layer) => layer.kind))];
  }

  shown() {
    return this.list.filter((layer) => !this.hidden.has(layer.kind));
  }

  /** Grounds of areas, below the cells; over them (`covers`) that of water, on which nobody is. context: in world coordinates. */
  fill(context, box, over = false) {
    for (const layer of this.shown()) {
      const { ground, covers } = KINDS[layer.kind];
      if (!ground || layer.dimension !== 2 || (over && !covers)) continue;
      context.fillStyle = ground;
      context.beginPath();
      for (const part of within(layer, box)) trace(context, layer.xy, layer.starts[part], layer.starts[part + 1]);
      context.fill("evenodd");
    }
  }

  /** Lines and borders, over the cells. */
  over(context, frame, box) {
    this.fill(context, box, true);
    for (const layer of this.shown()) {
      const { line, casing, widths, dash } = KINDS[layer.kind];
      if (layer.dimension === 0) continue;
      const parts = within(layer, box);
      for (let kind = widths.length - 1; kind >= 0; kind--) {
        if (layer.spacing[kind] * frame.scale < CLOSEST) continue;
        const width = widths[kind] * Math.min(1.8, Math.max(0.5, 1 + 0.3 * (frame.zoom - 13.5)));
        context.beginPath();
        for (const part of parts) {
          if (layer.dimension === 2 || layer.classes[part] === kind) trace(context, layer.xy, layer.starts[part], layer.starts[part + 1]);
        }
        context.setLineDash([]);
        if (casing) stroke(context, frame, casing, width + 1, 0.6);
        context.setLineDash((dash ?? []).map((length) => length / frame.scale));
        stroke(context, frame, line, width, 1);
      }
      context.setLineDash([]);
    }
  }

  /** Names where there is room for them, the best known first. */
  names(context, frame) {
    const ratio = pixelRatio();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.hidden.has("names")) return;
    const taken = [], order = ["neighbourhoods", "beats", "water", "parks", "streets", "rail", "other"];
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const kind of order) {
      for (const layer of this.shown().filter((each) => each.kind === kind)) this.namesOf(layer, context, frame, taken);
    }
  }

  namesOf(layer, context, frame, taken) {
    const { ink, size } = KINDS[layer.kind];
    const font = `${layer.dimension === 1 ? 500 : 600} ${size}px ${FONT}`, seen = new Set();
    for (const part of within(layer, frame.box)) {
      if (taken.length >= MOST_NAMES) return;
      const name = layer.names[layer.labels[part] - 1];
      if (!name || (layer.dimension === 2 && layer.classes[part]) || seen.has(name)) continue;
      if (layer.spacing[layer.dimension === 1 ? layer.classes[part] : 0] * frame.scale < CLOSEST) break; // the others are known less
      const words = layer.kind === "beats" && /^\w*\d\w*$/.test(name) ? text("beat", { name }) : name;
      const width = this.width(context, font, words);
      const at = layer.dimension === 1 ? along(layer, part, frame, width) : amid(layer, part, frame, width);
      if (!at) continue;
      const [across, up] = [Math.abs(Math.cos(at.turn)), Math.abs(Math.sin(at.turn))];
      const half = [(width * across + size * up) / 2 + APART, (width * up + size * across) / 2 + APART];
      const box = [at.x - half[0], at.y - half[1], at.x + half[0], at.y + half[1]];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      seen.add(name);
      context.save();
      context.translate(at.x, at.y);
      context.rotate(at.turn);
      Object.assign(context, { font, lineWidth: 3.5, strokeStyle: "rgba(255, 255, 255, 0.92)", fillStyle: ink });
      context.strokeText(words, 0, 0);
      context.fillText(words, 0, 0);
      context.restore();
    }
  }

  width(context, font, words) {
    const key = `${font} ${words}`;
    if (!this.widths.has(key)) {
      context.font = font;
      this.widths.set(key, context.measureText(words).width);
    }
    return this.widths.get(key);
  }
}

/** A layer as arrays: names, and of each part its label, class, box and points (`around.py` says how they are packed). */
function unpackLayer({ name, kind, dimension, names, data }, shift) {
  const numbers = [];
  let value = 0, bits = 0;
  for (const byte of bytesOf(data)) {
    value |= (byte & 127) << bits;
    bits += 7;
    if (byte < 128) {
      numbers.push(value);
      value = bits = 0;
    }
  }
  const labels = [], classes = [], starts = [0], xy = [];
  for (let i = 0, x = shift[0], y = shift[1]; i < numbers.length; ) {
    labels.push(numbers[i++]);
    classes.push(numbers[i++]);
    let count = numbers[i++], first = null;
    for (; count; count--) {
      x += numbers[i] & 1 ? -(numbers[i] + 1) / 2 : numbers[i] / 2;
      y += numbers[i + 1] & 1 ? -(numbers[i + 1] + 1) / 2 : numbers[i + 1] / 2;
      i += 2;
      xy.push(x, y);
      first ??= [x, y];
    }
    starts.push(xy.length);
    [x, y] = first;
  }
  const layer = { name, kind, dimension, names, labels, classes, starts, xy: Float64Array.from(xy), boxes: boxesOf(xy, starts) };
  layer.spacing = kind === "streets" ? spacingOf(layer) : [Infinity, Infinity];
  return layer;
}

/** How far apart streets lie on average that are of a class or better known, as in a grid: [classes]. */
function spacingOf({ boxes, classes, starts, xy }) {
  const lengths = [0, 0, 0], edges = [Infinity, Infinity, -Infinity, -Infinity];
  for (let part = 0; part < classes.length; part++) {
    for (let i = starts[part]; i + 3 < starts[part + 1]; i += 2) lengths[classes[part]] += Math.hypot(xy[i + 2] - xy[i], xy[i + 3] - xy[i + 1]);
    for (let side = 0; side < 4; side++) edges[side] = Math[side < 2 ? "min" : "max"](edges[side], boxes[4 * part + side]);
  }
  const area = (edges[2] - edges[0]) * (edges[3] - edges[1]);
  return lengths.map((_, kind) => (2 * area) / sum(lengths.slice(0, kind + 1)));
}

/** The boxes of parts: [west, north, east, south] one behind the other. */
function boxesOf(xy, starts) {
  const boxes = new Float64Array(4 * (starts.length - 1));
  for (let part = 0; part + 1 < starts.length; part++) {
    let [west, north, east, south] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = starts[part]; i < starts[part + 1]; i += 2) {
      if (xy[i] < west) west = xy[i];
      if (xy[i] > east) east = xy[i];
      if (xy[i + 1] < north) north = xy[i + 1];
      if (xy[i + 1] > south) south = xy[i + 1];
    }
    boxes.set([west, north, east, south], 4 * part);
  }
  return boxes;
}

/** Whether a part meets a box. */
function meets(boxes, part, [west, north, east, south]) {
  const at = 4 * part;
  return boxes[at] <= east && boxes[at + 2] >= west && boxes[at + 1] <= south && boxes[at + 3] >= north;
}

/** The parts that meet a box, in their order. Those between its west and its east are kept: the next box lies below it. */
function within(shapes, box) {
  const { boxes } = shapes, [west, , east] = box;
  if (shapes.strip?.west !== west || shapes.strip.east !== east) {
    shapes.strip = { west, east, parts: [] };
    for (let part = 0, at = 0; at < boxes.length; part++, at += 4) if (boxes[at] <= east && boxes[at + 2] >= west) shapes.strip.parts.push(part);
  }
  return shapes.strip.parts.filter((part) => meets(boxes, part, box));
}

function trace(context, xy, from, to) {
  context.moveTo(xy[from], xy[from + 1]);
  for (let i = from + 2; i < to; i += 2) context.lineTo(xy[i], xy[i + 1]);
}

/** Stroke what was traced; width in pixels. */
function stroke(context, frame, colour, width, opacity) {
  context.globalAlpha = opacity;
  context.strokeStyle = colour;
  context.lineWidth = width / frame.scale;
  context.stroke();
  context.globalAlpha = 1;
}

/** The middle of an area, where its box has room for a name. */
function amid({ boxes, dimension }, part, frame, width) {
  const [west, north, east, south] = boxes.subarray(4 * part, 4 * part + 4);
  if (dimension === 2 && (east - west) * frame.scale < 0.8 * width) return null;
  return inPicture(frame, (west + east) / 2, (north + south) / 2, 0);
}

/** The longest straight piece of a line within the picture, where a name fits on it. */
function along({ xy, starts }, part, frame, width) {
  const [west, north, east, south] = frame.box;
  let best = (width + 12) / frame.scale, found = null;
  for (let i = starts[part]; i + 3 < starts[part + 1]; i += 2) {
    const [x, y] = [xy[i], xy[i + 1]], dx = xy[i + 2] - x, dy = xy[i + 3] - y;
    let from = 0, to = 1;
    for (const [at, step, low, high] of [[x, dx, west, east], [y, dy, north, south]]) {
      const ends = step ? [(low - at) / step, (high - at) / step].sort((a, b) => a - b) : at >= low && at <= high ? [0, 1] : [1, 0];
      from = Math.max(from, ends[0]);
      to = Math.min(to, ends[1]);
    }
    const length = (to - from) * Math.hypot(dx, dy);
    if (length <= best) continue;
    best = length;
    const turn = Math.atan(dy / dx), middle = (from + to) / 2;
    found = inPicture(frame, x + middle * dx, y + middle * dy, Number.isNaN(turn) ? 0 : turn);
  }
  return found;
}

function inPicture(frame, x, y, turn) {
  return { x: (x - frame.box[0]) * frame.scale, y: (y - frame.box[1]) * frame.scale, turn };
}
