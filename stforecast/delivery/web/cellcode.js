"use strict";
/* A selection of cells as few letters of an address. Cells are numbered, and runs of numbers written as pairs: how many
   are left out before a run, and how many more follow its first. A letter holds five bits, the lowest first, and a sixth
   that says that more follow.

   H3 cells have their place among all of their resolution, so that a link opens in any forecast that has them: "9." and
   pairs. Cells that are areas of a file have their row among these, and a link opens where the areas are the same. */

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MOST_LETTERS = 3600, MOST_CELLS = 500000;

/** How cells are numbered: what stands before the pairs, and the number of each cell. */
function cellNumbers({ hexagons, cell }) {
  if (cell !== "hexagon") return { kind: `${hashOf(hexagons.join(" "))}.`, numbers: hexagons.map((_, row) => row) };
  return { kind: `${parseInt(hexagons[0][1], 16)}.`, numbers: hexagons.map(numberOfCell) };
}

/** The place of an H3 cell among all of its resolution. */
function numberOfCell(id) {
  const resolution = parseInt(id[1], 16), bits = parseInt(id.slice(2), 16); // 7 bits of the base cell, 15 times 3 of digits
  let number = Math.floor(bits / 2 ** 45);
  for (let at = 1; at <= resolution; at++) number = 7 * number + (Math.floor(bits / 2 ** (45 - 3 * at)) % 8);
  return number;
}

/** A selection of rows as letters; null where it is too scattered for an address. */
function codeOf(rows, view) {
  const { kind, numbers } = cellNumbers(view), sorted = rows.map((row) => numbers[row]).sort((a, b) => a - b);
  let code = kind, next = 0;
  for (let i = 0; i < sorted.length; ) {
    let more = 0;
    while (sorted[i + more + 1] === sorted[i] + more + 1) more++;
    code += spelled(sorted[i] - next) + spelled(more);
    next = sorted[i] + more + 1;
    i += more + 1;
    if (code.length > MOST_LETTERS) return null;
  }
  return code;
}

/** The rows of a code and how many cells of it this view does not have; null where the code is not of such cells. */
function cellsOf(code, view) {
  const { kind, numbers } = cellNumbers(view), rows = new Map(numbers.map((number, row) => [number, row]));
  if (!code.startsWith(kind)) return null;
  const read = [];
  let value = 0, scale = 1;
  for (const letter of code.slice(kind.length)) {
    const bits = LETTERS.indexOf(letter);
    if (bits < 0 || scale > 2 ** 50) return null;
    value += (bits % 32) * scale;
    scale *= 32;
    if (bits < 32) {
      read.push(value);
      value = 0;
      scale = 1;
    }
  }
  const found = [];
  let missing = 0, next = 0;
  for (let i = 0; i + 1 < read.length; i += 2) {
    next += read[i];
    if (read[i + 1] + found.length + missing > MOST_CELLS) return null;
    for (const end = next + read[i + 1] + 1; next < end; next++) {
      if (rows.has(next)) found.push(rows.get(next));
      else missing++;
    }
  }
  return read.length % 2 || scale > 1 ? null : { rows: found, missing };
}

function spelled(value) {
  let letters = "";
  for (; value >= 32; value = Math.floor(value / 32)) letters += LETTERS[32 + (value % 32)];
  return letters + LETTERS[value];
}

/** FNV-1a of a text, in base 36. */
function hashOf(words) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words.charCodeAt(i), 0x01000193) >>> 0;
  return hash.toString(36);
}
