"use strict";
/* Classes of values for the legend: limits, labels, and the class of a value. */

const MOST_CLASSES = 7;
const SERIES = Array.from({ length: 13 }, (_, i) => [1, 2, 5].map((digit) => Number(`${digit}e${i - 6}`))).flat();

/** Index of the class that a value falls in: the number of bounds at or below it; -1 of NaN. */
function classOf(value, bounds) {
  if (Number.isNaN(value)) return -1;
  let index = 0;
  while (index < bounds.length && bounds[index] <= value) index++;
  return index;
}

/** Limits of classes, as `class_bounds` in delivery/map.py draws them for pictures. */
function classBounds(values) {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const [low, high] = sorted.length ? [quantile(sorted, 0.05), quantile(sorted, 0.995)] : [0, 0];
  let inside = SERIES.filter((limit) => limit > low && limit <= high);
  if (!inside.length) inside = SERIES.filter((limit) => limit <= Math.max(high, SERIES[0])).slice(-1);
  const far = SERIES.filter((limit) => limit > inside.at(-1) && limit <= (sorted.at(-1) ?? 0)).slice(-1);
  return [...inside, ...far].slice(1 - MOST_CLASSES);
}

/** Of ascending values, interpolated as NumPy does. */
function quantile(sorted, share) {
  const at = share * (sorted.length - 1), below = Math.floor(at), part = at - below;
  const [a, b] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
  return part < 0.5 ? a + (b - a) * part : b - (b - a) * (1 - part);
}

/** A label a class, as `class_labels` in delivery/map.py; sign: before the limits. */
function classLabels(bounds, sign = "") {
  const plain = (limit) => number(limit, { maximumSignificantDigits: 3, useGrouping: false });
  const spell = (limit) => (limit < 1e-4 || limit >= 1e6 ? limit.toExponential().replace(/([+-])(\d)$/, "$10$2") : plain(limit));
  const names = bounds.map(spell), first = (limit) => `${sign}${limit}`;
  const between = names.slice(1).map((to, i) => text(bounds[i] < 1 && bounds[i + 1] > 1 && sign ? "class_usual" : "class_between", { from: first(names[i]), to }));
  return [text("class_under", { limit: first(names[0]) }), ...between, text("class_over", { limit: first(names.at(-1)) })];
}
