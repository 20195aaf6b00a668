"use strict";
/* Ranges of sums of counts, of any hexagons over any steps: what scoring/joint.py says of them, in the same numbers. */

const LEAST_CLUMPS = 1e-3;

/** The lowest and the highest count in the range of a sum, [low, high]; null where the grid has no law of sums.
    hexagons: their rows. steps: which are summed (of a span `grid.stepsOf(span)`). category: one of the page's. */
function rangeOfSum(hexagons, steps, category) {
  const { sums, low, high } = grid.view;
  if (low && hexagons.length === 1 && steps.length === grid.steps) return [low[category][hexagons[0]], high[category][hexagons[0]]];
  if (!sums) return null;
  const { mean, parts } = momentsOfSum(hexagons, steps, category);
  const excess = sum(parts.map((part, i) => part * sums.variances[category][i]));
  return rangeOf(mean, Math.max(excess, LEAST_CLUMPS * mean), sums.level);
}

/** The range of all cells together. */
function rangeOfCity(span, category) {
  return grid.once(`range ${span} ${category}`, () => rangeOfSum([...Array(grid.n).keys()], grid.stepsOf(span), category));
}

/** The range of each of some cells by itself; null where none is known. */
function rangesOfCells(cells, steps, category) {
  const { sums, low, high } = grid.view;
  if (low && steps.length === grid.steps) return cells.map((cell) => [low[category][cell], high[category][cell]]);
  if (!sums) return null;
  const lam = steps.map((step) => grid.values("intensity", [step, step], category)), variances = sums.variances[category];
  const [clumps, brief, lasting] = [variances[0], variances[1] + variances[3] + variances[5], variances[2] + variances[4] + variances[6]];
  return cells.map((cell) => {
    let mean = 0, before = 0, near = 0;
    for (const values of lam) {
      near += values[cell] * (values[cell] + 2 * before);
      before = sums.memory * (before + values[cell]);
      mean += values[cell];
    }
    return rangeOf(mean, Math.max(clumps * mean + brief * near + lasting * mean * mean, LEAST_CLUMPS * mean), sums.level);
  });
}

/** A range as it is said behind its sum; nothing where there is none. */
function rangeWords(range) {
  return range ? ` ${text("range_behind", { low: number(range[0]), high: number(range[1]) })}` : "";
}

/** Λ, and what each variance is multiplied with. */
function momentsOfSum(hexagons, steps, category) {
  const { neighbourhoods, memory } = grid.view.sums, numbers = new Map();
  const near = Int32Array.from(hexagons, (row) => {
    if (!numbers.has(neighbourhoods[row])) numbers.set(neighbourhoods[row], numbers.size);
    return numbers.get(neighbourhoods[row]);
  });
  const scales = [[new Int32Array(hexagons.length), 1], [near, numbers.size], [Int32Array.from(hexagons.keys()), hexagons.length]].map(([of, size]) => {
    return { of, now: new Float64Array(size), before: new Float64Array(size), all: new Float64Array(size), brief: 0 };
  });
  const summed = new Set(steps), last = Math.max(...steps);
  for (let step = Math.min(...steps); step <= last; step++) {
    const lam = summed.has(step) ? grid.values("intensity", [step, step], category) : null;
    for (const scale of scales) {
      const { of, now, before, all } = scale;
      now.fill(0);
      if (lam) for (let i = 0; i < of.length; i++) now[of[i]] += lam[hexagons[i]];
      for (let g = 0; g < now.length; g++) {
        scale.brief += now[g] * (now[g] + 2 * before[g]);
        before[g] = memory * (before[g] + now[g]);
        all[g] += now[g];
      }
    }
  }
  const mean = scales[0].all[0];
  return { mean, parts: [mean, ...scales.flatMap(({ brief, all }) => [brief, all.reduce((total, one) => total + one * one, 0)])] };
}

/** The counts whose middle, P(< y) + P(y) / 2, is within the level, of a negative binomial law: [low, high]. */
function rangeOf(mean, excess, level) {
  if (!(mean > 0)) return [0, 0];
  const tail = (1 - level) / 2, size = (mean * mean) / excess, odds = Math.log(mean / (size + mean));
  let low = 0, high = 0, below = 0, log = -size * Math.log1p(mean / size);
  for (let count = 0; ; count++) {
    const here = Math.exp(log), middle = below + here / 2;
    if (middle < tail) low = count + 1;
    if (middle > 1 - tail) break;
    high = count;
    below += here;
    log += Math.log((count + size) / (count + 1)) + odds;
  }
  if (mean < -Math.log(tail)) low = 0; // 0 is inside where it is likelier than the tail,
  if (mean > -Math.log1p(-tail)) high = Math.max(high, 1); // and 1 where the risk is
  return [low, high];
}
