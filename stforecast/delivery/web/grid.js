"use strict";
/* The numbers of a view: sums, risks, ranks, classes and words for an hour (or the whole day: hour = null), a category
   and a measure. Nothing is drawn here. Sums run in double precision and in the order of risk.parquet's. */

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
    this.hours = view.hours.length;
    this.n = view.hexagons.length;
    this.leaves = Math.max(1, view.categories.length - 1);
    this.arrays = {};
    for (const kind of ["intensity", "usual"]) if (view[kind]) this.arrays[kind] = unpack(view[kind]);
    if (view.reported) this.arrays.reported = unpack(view.reported.counts);
    this.totalArea = sum(view.area_km2);
    this.cache = new Map();
  }

  has(kind) {
    return kind in this.arrays;
  }

  /** λ, or what is usual, of every hexagon: Float64Array [n]. */
  values(kind, hour, category) {
    return this.once(`${kind} ${hour} ${category}`, () => {
      const out = new Float64Array(this.n);
      if (hour === null) {
        for (let h = 0; h < this.hours; h++) add(out, this.values(kind, h, category));
        return out;
      }
      for (const leaf of this.leavesOf(category)) {
        const first = (leaf * this.hours + hour) * this.n;
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

  /** Reports of the 24 hours of every hexagon, of several categories those that are shown; NaN where none is: [n]. */
  reported(category) {
    return this.once(`reported ${category}`, () => {
      const parts = this.leavesOf(category).map((leaf) => this.arrays.reported.subarray(leaf * this.n, (leaf + 1) * this.n));
      return Float64Array.from({ length: this.n }, (_, i) => {
        const known = parts.map((part) => part[i]).filter((count) => count >= 0);
        return known.length ? sum(known) : NaN;
      });
    });
  }

  /** The reports of a hexagon, or (without one) of the city, in the 24 hours, as words. */
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

  total(kind, hour, category) {
    return this.once(`total ${kind} ${hour} ${category}`, () => sum(this.values(kind, hour, category)));
  }

  /** Hexagons from the highest λ to the lowest; equal ones in the order of their ids, as in risk.parquet. */
  order(hour, category) {
    return this.once(`order ${hour} ${category}`, () => {
      const lam = this.values("intensity", hour, category);
      return [...lam.keys()].sort((a, b) => lam[b] - lam[a] || a - b);
    });
  }

  /** Rank of every hexagon, from 1. */
  ranks(hour, category) {
    return this.once(`ranks ${hour} ${category}`, () => {
      const ranks = new Int32Array(this.n);
      this.order(hour, category).forEach((hexagon, place) => (ranks[hexagon] = place + 1));
      return ranks;
    });
  }

  /** The hexagons that fit into an area, from the top, at least one of them where the area is not 0. Without an area
      (null) the top share of the hexagons, as map.png outlines it. */
  top(hour, category, area) {
    const order = this.order(hour, category), chosen = [];
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
  shown(measure, hour, category) {
    if (measure === "rank") return this.ranks(hour, category);
    const lam = this.values("intensity", hour, category);
    if (measure === "risk") return lam.map((value) => 100 * risk(value));
    if (measure === "usual") return lam.map((value, i) => ratio(value, this.values("usual", hour, category)[i]));
    return lam;
  }

  /** The classes of a measure by ascending value: {title, bounds, labels, colours}. */
  scale(measure, hour, category) {
    const span = hour === null ? "in the 24 hours" : "in the hour";
    if (measure === "usual") return { title: "Expected ÷ usual reports", ...AGAINST_USUAL };
    if (measure === "rank") {
      const ends = [...new Set(TOP_BANDS.map((share) => topCount(share, this.n)))];
      const names = ends.map((end) => `top ${Math.round((100 * end) / this.n)} % (rank ${end === 1 ? "1" : `to ${end}`})`);
      return { title: "Rank by expected reports", bounds: ends.map((end) => end + 1), labels: [...names, "the rest"], colours: BAND_COLOURS };
    }
    const title = { expected: `Reports expected ${span}`, risk: `Risk of at least one report ${span}, %` }[measure];
    return { title, ...this.view.classes[measure][hour === null ? "day" : "hour"][category] };
  }

  /** What makes λ of a hexagon: usual × expected ÷ usual of the whole city × the rest, which is the hexagon's own (what
      was reported there, weather, weekday). null where nothing usual is known. */
  drivers(hexagon, hour, category) {
    if (!this.has("usual")) return null;
    const usual = this.values("usual", hour, category)[hexagon];
    const city = ratio(this.total("intensity", hour, category), this.total("usual", hour, category));
    return { usual, city, rest: ratio(this.values("intensity", hour, category)[hexagon], usual * city) };
  }

  label(hour) {
    return hour === null ? `24 hours from ${this.view.hours[0].label.split(" to ")[0]}` : this.view.hours[hour].label;
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

/** Index of the class that a value falls in: the number of bounds at or below it. */
function classOf(value, bounds) {
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
