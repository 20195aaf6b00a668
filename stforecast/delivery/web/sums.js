"use strict";
/* Ranges of sums of counts, of any hexagons over any steps: what scoring/joint.py says of them, in the same numbers. */

const LEAST_CLUMPS = 1e-3;

/** The lowest and the highest count in the range of a sum, [low, high]; null where the grid has no law of sums.
    hexagons: their rows. steps: which are summed (of a span `grid.stepsOf(span)`). category: one of the page's. */
function rangeOfSum(hexagons, steps, category) {
  const { sums, low, high } = grid.view;
  if (low && hexagons.length === 1 && steps.length === grid.steps) return [low[category][hexagons[0]], high[category][hexagons[0]]];
  if (!sums) return null;
  const { mean, parts } = momentsOfSum(hexagons, new Set(steps), category);
  const excess = sum(parts.map((part, i) => part * sums.variances[category][i]));
  return rangeOf(mean, Math.max(excess, LEAST_CLUMPS * mean), sums.level);
}

/** Λ, and what each variance is multiplied with. */
function momentsOfSum(hexagons, steps, category) {
  const { neighbourhoods, memory } = grid.view.sums;
  const places = [hexagons.map(() => 0), hexagons.map((row) => neighbourhoods[row]), hexagons.map((_, i) => i)];
  const scales = places.map((of) => {
    const size = of.reduce((most, one) => Math.max(most, one + 1), 0);
    return { of, now: new Float64Array(size), before: new Float64Array(size), all: new Float64Array(size), brief: 0 };
  });
  for (let step = 0; step < grid.steps; step++) {
    const lam = steps.has(step) ? grid.values("intensity", [step, step], category) : null;
    for (const scale of scales) {
      scale.now.fill(0);
      if (lam) hexagons.forEach((row, i) => (scale.now[scale.of[i]] += lam[row]));
      scale.now.forEach((now, g) => {
        scale.brief += now * (now + 2 * scale.before[g]);
        scale.before[g] = memory * (scale.before[g] + now);
        scale.all[g] += now;
      });
    }
  }
  const mean = scales[0].all[0] ?? 0;
  return { mean, parts: [mean, ...scales.flatMap(({ brief, all }) => [brief, sum(all.map((one) => one * one))])] };
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
