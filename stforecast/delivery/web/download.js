"use strict";
/* Files that the page makes of what it shows. */

/** Save text as a file of the reader's. */
function download(name, type, content) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), MINUTE);
}

/** Words, of which some may be missing, as the name of a file. */
function fileName(words) {
  return words.filter(Boolean).join("_").replace(/[^\w-]+/g, "_");
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
