"use strict";
/* The map as it is seen, as a PNG: below its title and hours, beside its legend, above what must be known of it. */

const BORDER = 16, LEGEND_WIDTH = 300, LINE = 1.35; // pixels; of a line in font sizes

async function pictureOf({ cells, steps }) {
  const ratio = pixelRatio(), size = city.map.getSize(), { view } = grid;
  const width = size.x + LEGEND_WIDTH + 3 * BORDER, canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  const lines = (said, font, wide) => {
    context.font = `${font} ${FONT}`;
    return wrapped(context, said, wide);
  };
  const category = categoryName(view.categories[chosen.category]), expected = sum(cells.map((cell) => grid.values("intensity", chosen.span, chosen.category)[cell]));
  const range = rangeWords(rangeOfSum(cells, steps, chosen.category));
  const head = [
    ...view.warnings.flatMap((name) => lines(text(`warning_${name}`), "bold 14px", width - 2 * BORDER)).map((line) => [line, "bold 14px"]),
    ...lines(document.title, "bold 20px", width - 2 * BORDER).map((line) => [line, "bold 20px"]),
    ...lines(`${grid.label(chosen.span)}, ${category}`, "16px", width - 2 * BORDER).map((line) => [line, "16px"]),
    ...lines(text("picture_sum", { expected: `${rounded(expected)}${range}`, counted: grid.counted(cells.length) }), "14px", width - 2 * BORDER).map((line) => [line, "14px"]),
  ];
  const credits = [text("notice"), text("made_by", { model: view.model, issued: view.issue_time }), ...(city.tiles && !city.layers.hidden.has("tiles") ? [text("picture_tiles")] : []), ...view.credits];
  const foot = credits.flatMap((said) => lines(said, "12px", width - 2 * BORDER)).map((line) => [line, "12px"]);
  const heightOf = (rows) => sum(rows.map(([, font]) => LINE * Number(font.match(/\d+/)[0])));
  const top = BORDER + heightOf(head) + BORDER / 2, height = top + size.y + BORDER / 2 + heightOf(foot) + BORDER;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(byId("map")).backgroundColor;
  context.fillRect(BORDER, top, size.x, size.y);
  for (const sheet of [city.ground, city.lines, city.over, city.names]) {
    const seen = sheet.seen();
    context.drawImage(seen, BORDER, top, size.x, size.y);
    await new Promise((done) => setTimeout(done)); // the page may draw
  }
  context.strokeStyle = context.fillStyle = INK;
  context.strokeRect(BORDER, top, size.x, size.y);
  written(context, head, BORDER, BORDER);
  written(context, foot, BORDER, top + size.y + BORDER / 2);
  drawScale(context, BORDER + size.x - 12, top + size.y - 12);
  drawClasses(context, 2 * BORDER + size.x, top);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Lines one below the other; each with its font. */
function written(context, rows, x, y) {
  context.textBaseline = "top";
  context.textAlign = "left";
  for (const [line, font] of rows) {
    context.font = `${font} ${FONT}`;
    context.fillText(line, x, y);
    y += LINE * Number(font.match(/\d+/)[0]);
  }
  return y;
}

/** Words as lines no wider than so many pixels. */
function wrapped(context, said, wide) {
  const found = [""];
  for (const word of said.split(/\s+/)) {
    const longer = `${found.at(-1)} ${word}`.trim();
    if (found.at(-1) && context.measureText(longer).width > wide) found.push(word);
    else found[found.length - 1] = longer;
  }
  return found;
}

/** The legend as the page has it. */
function drawClasses(context, x, y) {
  context.font = `bold 14px ${FONT}`;
  y = written(context, wrapped(context, byId("legend-title").textContent, LEGEND_WIDTH).map((line) => [line, "bold 14px"]), x, y) + 4;
  for (const row of byId("legend-classes").children) {
    context.fillStyle = row.children[0].style.backgroundColor;
    context.fillRect(x, y, 20, 14);
    context.strokeStyle = "#767c84";
    context.strokeRect(x, y, 20, 14);
    context.fillStyle = INK;
    written(context, [[row.children[1].textContent, "13px"]], x + 28, y);
    y += 20;
  }
  const outlines = [[OUTLINE, text("picture_top")], ...(selection.cells.length ? [[SELECTED.at(-1)[0], text("picture_selected")]] : [])];
  for (const [colour, label] of outlines) {
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.strokeRect(x + 2, y + 2, 16, 11);
    context.lineWidth = 1;
    written(context, [[label, "13px"]], x + 28, y);
    y += 20;
  }
}

/** The map's own scale, from its lower right corner. */
function drawScale(context, right, bottom) {
  for (const line of document.querySelectorAll("#map .leaflet-control-scale-line")) {
    const wide = line.offsetWidth;
    context.fillStyle = "rgba(255, 255, 255, 0.85)";
    context.fillRect(right - wide, bottom - 18, wide, 18);
    context.fillStyle = context.strokeStyle = INK;
    context.beginPath();
    context.moveTo(right - wide, bottom - 6);
    for (const [x, y] of [[right - wide, bottom], [right, bottom], [right, bottom - 6]]) context.lineTo(x, y);
    context.stroke();
    written(context, [[line.textContent, "12px"]], right - wide + 6, bottom - 17);
    bottom -= 24;
  }
}
