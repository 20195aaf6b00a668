"use strict";
/* The view that a file holds, as JSON or where that is large compressed, or that a service gives: delivery/compact.py
   says how its numbers are packed. */

const CUT = 13, DIGITS = 6; // bits of a float32 that what is usual lacks; digits behind the point of a degree
let behind; // bytes that stand behind the JSON

async function heldView(element) {
  if (element.type === "application/json") return JSON.parse(element.textContent);
  const packed = new Blob([fromLetters(element.textContent, Number(element.dataset.bytes))]);
  const unzipped = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(unzipped).arrayBuffer()), end = bytes.indexOf(10);
  behind = bytes.subarray(end + 1);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
}

/** Bytes of letters, two for 13 bits. */
function fromLetters(letters, count) {
  const codes = new TextEncoder().encode(letters), bytes = new Uint8Array(count);
  for (let i = 0; i < codes.length; i++) codes[i] = codes[i] === 33 ? 25 : codes[i] - 35;
  for (let i = 0, at = 0, bits = 0, held = 0; i < count; at += 2) {
    held = ((held & 255) << 13) | (91 * codes[at] + codes[at + 1]);
    for (bits += 13; bits >= 8 && i < count; bits -= 8) bytes[i++] = held >> (bits - 8);
  }
  return bytes;
}

/** Bytes of a view: base64, or where they stand behind the JSON. */
function bytesOf(held) {
  if (typeof held !== "string") return behind.subarray(held.from, held.until);
  const letters = atob(held), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** Whole numbers by planes of bytes: Int32Array. */
function fromPlanes(held) {
  const bytes = bytesOf(held), count = bytes.length / 4, out = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const number = bytes[i] | (bytes[count + i] << 8) | (bytes[2 * count + i] << 16) | (bytes[3 * count + i] << 24);
    out[i] = (number >>> 1) ^ -(number & 1);
  }
  return out;
}

/** λ and what is usual as Float32Array [c k n]. */
function unpackIntensities({ intensity, usual, times, hexagons }) {
  const [k, n] = [times.length - 1, hexagons.length], short = usual && fromDifferences(fromPlanes(usual), k, n);
  const bits = fromDifferences(fromPlanes(intensity), k, n), arrays = { intensity: new Float32Array(bits.buffer) };
  if (!short) return arrays;
  for (let i = 0; i < bits.length; i++) bits[i] += (short[i] <<= CUT);
  return { ...arrays, usual: new Float32Array(short.buffer) };
}

/** Numbers [c k n] of their differences from step to step, less the medians [c k] that come first. */
function fromDifferences(numbers, k, n) {
  const rows = numbers.length / (n + 1), out = numbers.slice(rows);
  for (let row = 0, at = 0; row < rows; row++) {
    for (const end = at + n; at < end; at++) out[at] += numbers[row] + (row % k ? out[at - n] : 0);
  }
  return out;
}

/** Rings of shapes as [[[latitude, longitude] …] …] of each shape. */
function unpackRings(held) {
  const numbers = fromPlanes(held), count = numbers[0], points = (numbers.length - 1 - 2 * count) / 2, shapes = [];
  const last = 1 + 2 * count, unit = 10 ** DIGITS;
  for (let ring = 0, at = last, x = 0, y = 0; ring < count; ring++) {
    const out = [], first = [x, y];
    for (let point = 0; point < numbers[1 + count + ring]; point++, at++) {
      x += numbers[at];
      y += numbers[at + points];
      if (!point) first.splice(0, 2, x, y);
      out.push([y / unit, x / unit]);
    }
    [x, y] = first;
    (shapes[numbers[1 + ring]] ??= []).push(out);
  }
  return shapes;
}

/** Latitude and longitude of each place, one behind the other, of their differences from the place before. */
function centresOf(held) {
  const numbers = fromPlanes(held), out = new Float64Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) out[i] = (numbers[i] += numbers[i - 2] ?? 0) / 10 ** DIGITS;
  return out;
}
