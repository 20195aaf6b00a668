"use strict";
/* Files that the page makes of what it shows. */

/** Save text as a file of the reader's. */
function download(name, type, content) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), MINUTE);
}

/** Rows of cells as CSV: what a spreadsheet would run as a formula gets an apostrophe before it (spreadsheets.py). */
function csv(rows) {
  const spelled = (cell) => {
    const safe = typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : String(cell ?? "");
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(spelled).join(",")}\n`).join("");
}

/** Objects that have the same fields as rows, their names first. */
function rowsOf(objects, columns = Object.keys(objects[0] ?? {})) {
  return [columns, ...objects.map((one) => columns.map((name) => one[name]))];
}

/** The outline of a cell as GeoJSON, whose rings inside another ring are its holes. */
function geometryOf(outline) {
  const turn = outline.flat().every(([, longitude]) => longitude > 180) ? 360 : 0; // outlines run on past 180°
  const rings = outline.map((ring) => ring.map(([latitude, longitude]) => [Number((longitude - turn).toFixed(6)), latitude]));
  const turned = (ring) => sum(ring.slice(1).map(([x, y], i) => ring[i][0] * y - x * ring[i][1]));
  const inside = ([x, y], ring) => ring.slice(1).filter(([x1, y1], i) => y1 > y !== ring[i][1] > y && x < ((ring[i][0] - x1) * (y - y1)) / (ring[i][1] - y1) + x1).length % 2 === 1;
  const held = rings.map((ring) => rings.filter((other) => other !== ring && inside(ring[0], other)));
  const parts = rings.flatMap((ring, i) => (held[i].length % 2 ? [] : [[ring, ...rings.filter((hole, j) => held[j].length % 2 && held[j].includes(ring) && held[j].length === held[i].length + 1)]]));
  const oriented = parts.map((part) => part.map((ring, i) => (turned(ring) > 0 === (i === 0) ? ring : [...ring].reverse())));
  return oriented.length === 1 ? { type: "Polygon", coordinates: oriented[0] } : { type: "MultiPolygon", coordinates: oriented };
}
