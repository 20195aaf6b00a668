"use strict";
/* The numbers of a view: sums, risks, ranks, classes and words for a span, a category and a measure. A span is the first
   and the last of its steps, [5, 5] or [15, 22], or null: all of them. Nothing is drawn here. Sums run in double
   precision and in the order of risk.parquet's. */

const TOP_BANDS = [0.01, 0.05, 0.1, 0.25];
const AGAINST_USUAL = {
  // diverging PRGn of ColorBrewer, which colour-blind readers see too
  bounds: [0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2],
  colours: ["#1b7837", "#5aae61", "#a6dba0", "#d9f0d3", "#f7f7f7", "#e7d4e8", "#c2a5cf", "#9970ab", "#762a83"],
};
const MOST_KEPT = 500;
const BAND_COLOURS = ["#081d58", "#225ea8", "#41b6c4", "#c7e9b4", "#fcfdd3"];

class Grid {
  constructor(view) {
    this.view = view;
    this.times = new Times(view);
    this.steps = view.times.length - 1;
    this.n = view.hexagons.length;
    this.leaves = Math.max(1, view.categories.length - 1);
    this.arrays = unpackIntensities(view);
    if (view.rate) this.arrays.rate = unpack(view.rate.values);
    if (view.reported) this.arrays.reported = unpack(view.reported.counts);
    this.totalArea = sum(view.area_km2);
    this.districts = new Map(); // the hexagons of each
    for (const name of new Set(view.districts ?? [])) if (name) this.districts.set(name, []);
    view.districts?.forEach((name, hexagon) => this.districts.get(name)?.push(hexagon));
    this.centres = centresOf(view.centres); // latitude, longitude …
    this.people = Object.fromEntries(Object.entries(view.plan.people).map(([name, held]) => [name, unpack(held)]));
    this.tenths = Object.fromEntries(Object.entries(view.plan.tenths).map(([name, held]) => [name, bytesOf(held.of)]));
    this.cache = new Map();
  }

  has(kind) {
    return kind in this.arrays;
  }

  /** λ, or what is usual, of every hexagon: Float64Array [n]. */
  values(kind, span, category) {
    return this.once(`${kind} ${span} ${category}`, () => {
      const out = new Float64Array(this.n), steps = this.stepsOf(span);
      if (steps.length > 1) {
        for (const step of steps) add(out, this.values(kind, [step, step], category));
        return out;
      }
      for (const leaf of this.leavesOf(category)) {
        const first = (leaf * this.steps + steps[0]) * this.n;
        add(out, this.arrays[kind].subarray(first, first + this.n));
      }
      return out;
    });
  }

  /** λ, or what is usual, where a report of each category counts its weight, [n]; added up in the order of `values`. */
  weighted(kind, span, weights) {
    if (weights.every((weight) => weight === 1)) return this.values(kind, span, 0);
    return this.once(`weighted ${kind} ${span} ${weights}`, () => {
      const out = new Float64Array(this.n), values = this.arrays[kind];
      for (const step of this.stepsOf(span)) {
        for (let row = 0; row < this.n; row++) {
          let one = 0;
          for (let leaf = 0; leaf < this.leaves; leaf++) one += weights[leaf] * values[(leaf * this.steps + step) * this.n + row];
          out[row] += one;
        }
      }
      return out;
    });
  }

  /** The categories of which the others are made up. */
  leafNames() {
    return this.view.categories.slice(-this.leaves);
  }

  stepsOf(span) {
    const [first, last] = span ?? [0, this.steps - 1];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
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
  denominator(span) {
    return this.once(`denominator ${span}`, () => {
      const { exposure, hours, smallest } = this.view.rate, out = new Float64Array(this.n);
      const steps = exposure ? this.stepsOf(span) : [0];
      for (const step of steps) add(out, this.arrays.rate.subarray(step * this.n, (step + 1) * this.n));
      const length = exposure ? sum(steps.map((step) => hours[step])) : 1;
      return out.map((value) => (value / length >= smallest ? value : NaN));
    });
  }

  /** The reports of a hexagon, or (without one) of the city, in the horizon, as words. */
  reportedWords(category, hexagon) {
    const { totals, never, least } = this.view.reported, leaves = this.leavesOf(category);
    if (hexagon === undefined) {
      const known = leaves.map((leaf) => totals[leaf]);
      return known.includes(null) ? text("not_shown") : number(sum(known));
    }
    const count = this.reported(category)[hexagon], several = leaves.length > 1;
    if (count >= 0) return several ? text("or_more", { count: number(count) }) : number(count);
    return several || never[leaves[0]] ? text("not_shown") : text("fewer_than", { least });
  }

  total(kind, span, category) {
    return this.once(`total ${kind} ${span} ${category}`, () => sum(this.values(kind, span, category)));
  }

  /** Hexagons from the highest λ to the lowest; equal ones in the order of their ids, as in risk.parquet. */
  order(span, category) {
    return this.once(`order ${span} ${category}`, () => {
      const lam = this.values("intensity", span, category);
      return [...lam.keys()].sort((a, b) => lam[b] - lam[a] || a - b);
    });
  }

  /** Hexagons as the list has them: by rate or against usual where these are shown, those without one last; else by λ. */
  listed(measure, span, category) {
    const order = this.order(span, category);
    if (measure !== "rate" && measure !== "usual") return order;
    const shown = this.shown(measure, span, category).map((value) => (value >= 0 ? value : -1));
    return [...order].sort((a, b) => shown[b] - shown[a] || 0); // of two infinite ones neither comes first
  }

  /** Rank of every hexagon, from 1. */
  ranks(span, category) {
    return this.once(`ranks ${span} ${category}`, () => {
      const ranks = new Int32Array(this.n);
      this.order(span, category).forEach((hexagon, place) => (ranks[hexagon] = place + 1));
      return ranks;
    });
  }

  /** What a measure shows of every hexagon: numbers [n]. */
  shown(measure, span, category) {
    if (measure === "rank") return this.ranks(span, category);
    const lam = this.values("intensity", span, category);
    if (measure === "expected") return lam;
    return this.once(`shown ${measure} ${span} ${category}`, () => {
      if (measure === "risk") return lam.map((value) => 100 * risk(value));
      if (measure === "usual") {
        const usual = this.values("usual", span, category);
        return lam.map((value, i) => ratio(value, usual[i]));
      }
      const below = this.denominator(span), { per } = this.view.rate;
      return lam.map((value, i) => (per * value) / below[i]);
    });
  }

  /** The classes of a measure by ascending value: {title, bounds, labels, colours}. */
  scale(measure, span, category) {
    if (measure === "usual") return { title: text("scale_usual"), ...AGAINST_USUAL, labels: classLabels(AGAINST_USUAL.bounds, "× ") };
    if (measure === "rank") {
      const ends = [...new Set(TOP_BANDS.map((share) => topCount(share, this.n)))];
      const names = ends.map((end) => text(end === 1 ? "class_first" : "class_top", { percent: share(end, this.n), end: number(end) }));
      return { title: text("scale_rank"), bounds: ends.map((end) => end + 1), labels: [...names, text("class_rest")], colours: BAND_COLOURS };
    }
    const title = text(`scale_${measure}`, { during: this.during(span), rate: this.view.rate && this.rateWords() });
    const bounds = this.bounds(measure, span, category);
    return { title, masked: this.view.rate && this.rateRule(), bounds, labels: classLabels(bounds), colours: this.view.colours[bounds.length + 1] };
  }

  /** Limits between classes: of single steps those that all of them share, so that they can be compared. */
  bounds(measure, span, category) {
    if (span === null || span[0] === span[1]) return this.view.classes[measure][span ? "step" : "horizon"][category];
    return this.once(`bounds ${measure} ${span} ${category}`, () => classBounds(this.shown(measure, span, category)));
  }

  /** What makes λ of a hexagon: usual × expected ÷ usual of the whole city × the rest, which is the hexagon's own (what
      was reported there, weather, calendar). null where nothing usual is known. */
  drivers(hexagon, span, category) {
    if (!this.has("usual")) return null;
    const usual = this.values("usual", span, category)[hexagon];
    const city = ratio(this.total("intensity", span, category), this.total("usual", span, category));
    return { usual, city, rest: ratio(this.values("intensity", span, category)[hexagon], usual * city) };
  }

  /** How long a span is: 24 hours. */
  length(span) {
    return this.times.length(this.stepsOf(span).length);
  }

  /** The same with its preposition: in the 24 hours. */
  during(span) {
    return this.times.length(this.stepsOf(span).length, "during");
  }

  /** When a span is, and which shift. */
  label(span) {
    const [first, last] = span ?? [0, this.steps - 1], shift = this.shift(span);
    if (span === null && this.steps > 1) return text("from", { length: this.length(null), begin: this.times.begin(0) });
    const times = this.times.span(first, last);
    return shift && last > first ? text("of_shift", { shift: shiftName(shift), times }) : times;
  }

  /** The shift that a span is, if any. */
  shift(span) {
    return this.view.shifts.find((shift) => String(shift.span) === String(span));
  }

  /** What cells are called: of one (count 1), or of several. */
  cells(count = 2) {
    return text(`cell_${this.view.cell}`, { count });
  }

  /** 37 hexagons */
  counted(count) {
    return text("counted", { number: number(count), cells: this.cells(count) });
  }

  /** What rates are per. */
  rateWords() {
    const { exposure, per, of } = this.view.rate;
    return text(exposure ? "rate_per_hour" : "rate_per", { per: number(per), number: number(per), count: per, of: named("of", of) });
  }

  /** Where there is no rate. */
  rateRule() {
    const { exposure, smallest, of } = this.view.rate;
    return text(exposure ? "rate_rule_hour" : "rate_rule", { smallest: number(smallest), of: named("of", of) });
  }

  /** What a hexagon is called, in list, box and speech: its place; of grids without names its district and id. */
  called(hexagon) {
    const { places, hexagons } = this.view;
    return places ? places[hexagon] : [this.district(hexagon), hexagons[hexagon]].filter(Boolean).join(", ");
  }

  /** The district of a hexagon, as words; empty where it has none. */
  district(hexagon) {
    return districtName((this.view.districts && this.view.districts[hexagon]) || "");
  }

  once(key, compute) {
    if (!this.cache.has(key)) {
      if (this.cache.size > MOST_KEPT) this.cache.clear(); // there are hundreds of spans
      this.cache.set(key, compute());
    }
    return this.cache.get(key);
  }
}

/** How many of n hexagons are their top share, as `scoring.hotspots.top_count` rounds it: a half to the even number. */
function topCount(share, n) {
  const exact = share * n, below = Math.floor(exact), up = exact - below > 0.5 || (exact - below === 0.5 && below % 2 === 1);
  return Math.max(1, below + Number(up));
}

/** A district as words: those that are numbers say what they are. */
function districtName(name) {
  return /^\w{1,3}$/.test(name) ? text("district", { name }) : name;
}

/** What a shift is called: those that nobody named, in the language. */
function shiftName({ name, label }) {
  return `shift_${name}` in TEXTS.en ? text(`shift_${name}`) : label;
}

/** What a category is called: that of all in the language, others as the data name them. */
function categoryName(name) {
  return named("category", name);
}

function unpack(packed) {
  return new Float32Array(bytesOf(packed).buffer);
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
