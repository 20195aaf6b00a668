"use strict";
/* Which places cover most within a budget: delivery/allocation.py's greedy rule, to the digit, and a bound on every other
   choice. Of each place its value, its size and the index of its group, -1 where it may not be chosen; of each group its
   budget. */

const SLACK = 1e-9; // by how much sizes may pass a budget: what floating-point sums lose

/** By value per size, whatever still fits; or the best single place of a group, if it is more. Rows, the highest value
    first; ties fall in the order of the places. */
function greedy(value, size, group, budget, order = byDensity(value, size, group)) {
  const left = [...budget], total = budget.map(() => 0), single = budget.map(() => -1);
  let chosen = [];
  for (const row of order) {
    const g = group[row];
    if (size[row] <= budget[g] + SLACK && (single[g] < 0 || value[row] > value[single[g]])) single[g] = row;
    if (size[row] <= left[g] + SLACK) {
      left[g] -= size[row];
      total[g] += value[row];
      chosen.push(row);
    }
  }
  single.forEach((row, g) => {
    if (row >= 0 && value[row] > total[g]) chosen = [...chosen.filter((other) => group[other] !== g), row];
  });
  return chosen.sort((a, b) => value[b] - value[a] || a - b);
}

/** What no choice exceeds in value: in each group the densest places with a part of the last one, or as many of the most
    valuable as the smallest that fit, whichever is less. */
function boundOf(value, size, group, budget, order = byDensity(value, size, group)) {
  const parts = budget.map(() => ({ left: 0, dense: 0, full: false, values: [], sizes: [] }));
  parts.forEach((part, g) => (part.left = budget[g] + SLACK));
  for (const row of order) {
    const part = parts[group[row]];
    if (size[row] > budget[group[row]] + SLACK) continue;
    part.values.push(value[row]);
    part.sizes.push(size[row]);
    if (part.full) continue;
    part.full = size[row] > part.left;
    part.dense += part.full ? (value[row] * part.left) / size[row] : value[row];
    part.left -= size[row];
  }
  return sum(parts.map(({ dense, values, sizes }, g) => {
    const small = Float64Array.from(sizes).sort();
    let most = 0, used = 0;
    while (most < small.length && (used += small[most]) <= budget[g] + SLACK * (most + 2)) most++;
    return Math.min(dense, sum(Float64Array.from(values).sort().subarray(values.length - most)));
  }));
}

/** Places that may be chosen and have a value, the most value per size first. */
function byDensity(value, size, group) {
  const density = Float64Array.from(value, (one, row) => one / size[row]);
  const rows = [];
  for (let row = 0; row < density.length; row++) if (group[row] >= 0 && value[row] > 0) rows.push(row);
  return rows.sort((a, b) => density[b] - density[a] || a - b);
}

/** The budget of each group. rule: district (the amount for each), proportion (shared out by need) or city. need: values
    of each group. hexagon: the size of the largest one, in whole ones of which an amount is shared out; null of polygons,
    among which it is shared out as it is. */
function budgetOf(rule, amount, need, hexagon) {
  if (rule !== "proportion") return need.map(() => amount);
  const whole = sum(need);
  if (!whole) return need.map(() => 0);
  if (hexagon === null) return need.map((one) => (amount * one) / whole);
  return byLargestRemainder(Math.floor(amount / hexagon + SLACK), need).map((share) => hexagon * share);
}

/** A whole number shared out in proportion to weights (Hamilton's method); ties fall in their order. */
function byLargestRemainder(total, weight) {
  const whole = sum(weight), quota = weight.map((one) => (total * one) / whole), shares = quota.map(Math.floor);
  const rest = [...quota.keys()].sort((a, b) => shares[a] - quota[a] - (shares[b] - quota[b]) || a - b);
  for (const g of rest.slice(0, total - sum(shares))) shares[g]++;
  return shares;
}
