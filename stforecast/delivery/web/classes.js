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

/** A label a class, as `class_labels` in delivery/map.py. */
function classLabels(bounds) {
  const spell = (limit) => (limit < 1e-4 || limit >= 1e6 ? limit.toExponential().replace(/([+-])(\d)$/, "$10$2") : String(limit));
  const names = bounds.map(spell);
  return [`under ${names[0]}`, ...names.slice(1).map((name, i) => `${names[i]} to ${name}`), `${names.at(-1)} and more`];
}
