"use strict";
/* The numbers of a view: sums, risks, ranks, classes and words for a step (or the whole horizon: step = null), a
   category and a measure. Nothing is drawn here. Sums run in double precision and in the order of risk.parquet's. */

const TOP_BANDS = [0.01, 0.05, 0.1, 0.25];
const AGAINST_USUAL = {
  // diverging PRGn of ColorBrewer, which colour-blind readers see too
  bounds: [0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2],
  labels: ["under × 0.5", "× 0.5 to 0.67", "× 0.67 to 0.8", "× 0.8 to 0.9", "× 0.9 to 1.1 (as usual)", "× 1.1 to 1.25", "× 1.25 to 1.5", "× 1.5 to 2", "× 2 and more"],
  colours: ["#1b7837", "#5aae61", "#a6dba0", "#d9f0d3", "#f7f7f7", "#e7d4e8", "#c2a5cf", "#9970ab", "#762a83"],
};
const BAND_COLOURS = ["#081d58", "#225ea8", "#41b6c4", "#c7e9b4", "#fcfdd3"];

class Grid {
  constructor(view) {
    this.view = view;
    this.steps = view.steps.length;
    this.n = view.hexagons.length;
    this.leaves = Math.max(1, view.categories.length - 1);
    this.arrays = {};
    for (const kind of ["intensity", "usual"]) if (view[kind]) this.arrays[kind] = unpack(view[kind]);
    if (view.rate) this.arrays.rate = unpack(view.rate.values);
    if (view.reported) this.arrays.reported = unpack(view.reported.counts);
    this.totalArea = sum(view.area_km2);
    this.cache = new Map();
  }

  has(kind) {
    return kind in this.arrays;
  }

  /** λ, or what is usual, of every hexagon: Float64Array [n]. */
  values(kind, step, category) {
    return this.once(`${kind} ${step} ${category}`, () => {
      const out = new Float64Array(this.n);
      if (step === null) {
        for (let each = 0; each < this.steps; each++) add(out, this.values(kind, each, category));
        return out;
      }
      for (const leaf of this.leavesOf(category)) {
        const first = (leaf * this.steps + step) * this.n;
        add(out, this.arrays[kind].subarray(first, first + this.n));
      }
      return out;
    });
  }

  /** The categories in the arrays that make up one of the page's. */
  leavesOf(category) {
    const several = this.view.categories.length > 1;
    return several && category === 0 ? [...Array(this.leaves).keys()] : [Math.max(0, category - several)];
  }

  /** Reports of the horizon of every hexagon, of several categories those that are shown; NaN where none is: [n]. */
  reported(category) {
    return this.once(`reported ${category}`, () => {
      const parts = this.leavesOf(category).map((leaf) => this.arrays.reported.subarray(leaf * this.n, (leaf + 1) * this.n));
      return Float64Array.from({ length: this.n }, (_, i) => {
        const known = parts.map((part) => part[i]).filter((count) => count >= 0);
        return known.length ? sum(known) : NaN;
      });
    });
  }

  /** What expected reports are divided by, NaN where no rate is shown: residents, or hours of exposure, [n]. */
  denominator(step) {
    return this.once(`denominator ${step}`, () => {
      const { exposure, hours, smallest } = this.view.rate, out = new Float64Array(this.n);
      const steps = !exposure ? [0] : step === null ? [...Array(this.steps).keys()] : [step];
      for (const each of steps) add(out, this.arrays.rate.subarray(each * this.n, (each + 1) * this.n));
      const length = exposure ? hours[step ?? this.steps] : 1;
      return out.map((value) => (value / length >= smallest ? value : NaN));
    });
  }

  /** The reports of a hexagon, or (without one) of the city, in the horizon, as words. */
  reportedWords(category, hexagon) {
    const { totals, never, least } = this.view.reported, leaves = this.leavesOf(category);
    if (hexagon === undefined) {
      const known = leaves.map((leaf) => totals[leaf]);
      return known.includes(null) ? "not shown" : String(sum(known));
    }
    const count = this.reported(category)[hexagon], several = leaves.length > 1;
    if (count >= 0) return several ? `${count} or more` : String(count);
    return several || never[leaves[0]] ? "not shown" : `fewer than ${least}`;
  }

  total(kind, step, category) {
    return this.once(`total ${kind} ${step} ${category}`, () => sum(this.values(kind, step, category)));
  }

  /** Hexagons from the highest λ to the lowest; equal ones in the order of their ids, as in risk.parquet. */
  order(step, category) {
    return this.once(`order ${step} ${category}`, () => {
      const lam = this.values("intensity", step, category);
      return [...lam.keys()].sort((a, b) => lam[b] - lam[a] || a - b);
    });
  }

  /** Hexagons as the list has them: by rate or against usual where these are shown, those without one last; else by λ. */
  listed(measure, step, category) {
    const order = this.order(step, category);
    if (measure !== "rate" && measure !== "usual") return order;
    const shown = this.shown(measure, step, category).map((value) => (value >= 0 ? value : -1));
    return [...order].sort((a, b) => shown[b] - shown[a] || 0); // of two infinite ones neither comes first
  }

  /** Rank of every hexagon, from 1. */
  ranks(step, category) {
    return this.once(`ranks ${step} ${category}`, () => {
      const ranks = new Int32Array(this.n);
      this.order(step, category).forEach((hexagon, place) => (ranks[hexagon] = place + 1));
      return ranks;
    });
  }

  /** The hexagons that fit into an area, from the top, at least one of them where the area is not 0. Without an area
      (null) the top share of the hexagons, as map.png outlines it. */
  top(step, category, area) {
    const order = this.order(step, category), chosen = [];
    if (area === null) return order.slice(0, topCount(this.view.top_share, this.n));
    let covered = 0;
    for (const hexagon of order) {
      covered += this.view.area_km2[hexagon];
      if (area <= 0 || (chosen.length && covered > area * (1 + 1e-9))) break;
      chosen.push(hexagon);
    }
    return chosen;
  }

  /** What a measure shows of every hexagon: numbers [n]. */
  shown(measure, step, category) {
    if (measure === "rank") return this.ranks(step, category);
    const lam = this.values("intensity", step, category);
    if (measure === "rate") return lam.map((value, i) => (this.view.rate.per * value) / this.denominator(step)[i]);
    if (measure === "risk") return lam.map((value) => 100 * risk(value));
    if (measure === "usual") return lam.map((value, i) => ratio(value, this.values("usual", step, category)[i]));
    return lam;
  }

  /** The classes of a measure by ascending value: {title, bounds, labels, colours}. */
  scale(measure, step, category) {
    const span = `in the ${step === null ? this.view.horizon_length : this.view.step_length}`;
    if (measure === "usual") return { title: "Expected ÷ usual reports", ...AGAINST_USUAL };
    if (measure === "rank") {
      const ends = [...new Set(TOP_BANDS.map((share) => topCount(share, this.n)))];
      const names = ends.map((end) => `top ${Math.round((100 * end) / this.n)} % (rank ${end === 1 ? "1" : `to ${end}`})`);
      return { title: "Rank by expected reports", bounds: ends.map((end) => end + 1), labels: [...names, "the rest"], colours: BAND_COLOURS };
    }
    const { words, rule } = this.view.rate ?? {};
    const title = { expected: `Reports expected ${span}`, risk: `Risk of at least one report ${span}, %`, rate: `Reports expected ${words} ${span}` }[measure];
    return { title, masked: rule, ...this.view.classes[measure][step === null ? "horizon" : "step"][category] };
  }

  /** What makes λ of a hexagon: usual × expected ÷ usual of the whole city × the rest, which is the hexagon's own (what
      was reported there, weather, calendar). null where nothing usual is known. */
  drivers(hexagon, step, category) {
    if (!this.has("usual")) return null;
    const usual = this.values("usual", step, category)[hexagon];
    const city = ratio(this.total("intensity", step, category), this.total("usual", step, category));
    return { usual, city, rest: ratio(this.values("intensity", step, category)[hexagon], usual * city) };
  }

  label(step) {
    const { steps, horizon_length } = this.view;
    if (step === null && this.steps > 1) return `${horizon_length} from ${steps[0].label.split(" to ")[0]}`;
    return steps[step ?? 0].label;
  }

  /** What a hexagon is called: in list, box and speech. */
  called(hexagon) {
    return this.view.hexagons[hexagon];
  }

  /** The district of a hexagon, as words; empty where it has none. */
  district(hexagon) {
    const name = (this.view.districts && this.view.districts[hexagon]) || "";
    return /^\w{1,3}$/.test(name) ? `District ${name}` : name;
  }

  once(key, compute) {
    if (!this.cache.has(key)) this.cache.set(key, compute());
    return this.cache.get(key);
  }
}

/** How many of n hexagons are their top share, as `scoring.hotspots.top_count` rounds it: a half to the even number. */
function topCount(share, n) {
  const exact = share * n, below = Math.floor(exact), up = exact - below > 0.5 || (exact - below === 0.5 && below % 2 === 1);
  return Math.max(1, below + Number(up));
}

function unpack(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

function risk(lam) {
  return -Math.expm1(-lam);
}

function ratio(value, usual) {
  return value === usual ? 1 : value / usual;
}

function add(out, values) {
  for (let i = 0; i < out.length; i++) out[i] += values[i];
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Index of the class that a value falls in: the number of bounds at or below it; -1 of NaN. */
function classOf(value, bounds) {
  if (Number.isNaN(value)) return -1;
  let index = 0;
  while (index < bounds.length && bounds[index] <= value) index++;
  return index;
}

/** Two significant digits: no forecast is known finer. */
function digits(value) {
  return String(Number(value.toPrecision(2)));
}

function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

/** A factor in words: × 1.08 (8 % more). */
function factor(value) {
  const percent = Math.round(100 * (value - 1));
  const words = percent === 0 ? "as usual" : `${Math.abs(percent)} % ${percent > 0 ? "more" : "less"}`;
  return `× ${value.toPrecision(3)} (${words})`;
}
