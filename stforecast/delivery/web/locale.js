"use strict";
/* Numbers, areas and times as readers of the language have them. What files and the address hold stays as machines
   have it. */

const KM2_OF_MI2 = 2.589988110336;
const measures = { units: "km", clock: "24" }; // km or mi, 24 or 12 hours
const formats = new Map();

/** A format of the language, made once: making it is slow. */
function formatOf(kind, options) {
  const key = JSON.stringify([language, kind.name, options]);
  if (!formats.has(key)) formats.set(key, new kind(language, options));
  return formats.get(key);
}

function number(value, options = {}) {
  return formatOf(Intl.NumberFormat, options).format(value);
}

/** Two significant digits: no forecast is known finer. */
function digits(value) {
  return number(value, { maximumSignificantDigits: 2 });
}

/** A total as it is said. */
function rounded(total) {
  return number(total, { maximumSignificantDigits: 3 });
}

/** Three digits, zeros at the end too. */
function threeDigits(value) {
  return number(value, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/** A probability or a share of 1. */
function percent(value) {
  return `${digits(100 * value)} %`;
}

function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

/** A factor in words: × 1.08 (8 % more). */
function factor(value) {
  const change = Math.round(100 * (value - 1));
  const words = text(change === 0 ? "as_usual" : change > 0 ? "more" : "less", { percent: `${number(Math.abs(change))} %` });
  return `× ${threeDigits(value)} (${words})`;
}

/** km² in the reader's unit, and back from it. */
function inUnit(km2) {
  return measures.units === "mi" ? km2 / KM2_OF_MI2 : km2;
}

function inKm2(area) {
  return measures.units === "mi" ? area * KM2_OF_MI2 : area;
}

/** An area with its unit. */
function areaText(km2, spell = threeDigits) {
  return `${spell(inUnit(km2))} ${text(`unit_${measures.units}`)}`;
}

/** The parts of an instant in local time: weekday, day, month, year. */
function dateParts(time, zone, month = "short") {
  const parts = formatOf(Intl.DateTimeFormat, { timeZone: zone, weekday: "short", day: "numeric", month, year: "numeric" }).formatToParts(new Date(time));
  return Object.fromEntries(parts.map(({ type, value }) => [type, value]));
}

/** Mon 30 Sep */
function dayText(time, zone) {
  return text("day", dateParts(time, zone));
}

/** Mon 30 Sep 2024 */
function dateText(time, zone) {
  return text("date", dateParts(time, zone));
}

/** September 2024 */
function monthText(time, zone) {
  return text("month", dateParts(time, zone, "long"));
}

function clockText(time, zone) {
  const of = measures.clock === "12" ? { hour: "numeric", hourCycle: "h12" } : { hour: "2-digit", hourCycle: "h23" };
  return formatOf(Intl.DateTimeFormat, { timeZone: zone, minute: "2-digit", ...of }).format(new Date(time));
}

/** Mon 30 Sep 2024 00:00 */
function momentText(time, zone) {
  return `${dateText(time, zone)} ${clockText(time, zone)}`;
}

/** Full hours of the day, such as 23–07 or 11 PM–7 AM. */
function hoursText(hours) {
  const one = (hour) => (measures.clock === "12" ? formatOf(Intl.DateTimeFormat, { timeZone: "UTC", hour: "numeric", hourCycle: "h12" }).format(Date.UTC(2000, 0, 1, hour)) : String(hour).padStart(2, "0"));
  return hours.map(one).join("–");
}

/** When steps are, in words. */
class Times {
  constructor({ times, zones, step_unit, step_hours, time_zone }) {
    Object.assign(this, { times, zones, unit: step_unit, hours: step_unit === "hour" ? step_hours : 1, zone: time_zone });
  }

  /** So many steps: 24 hours, or what stands behind `key`: in the 24 hours. */
  length(steps, key = "length") {
    const count = steps * this.hours;
    return text(`${key}_${this.unit}`, { count, number: number(count) });
  }

  /** Begin of a step, or the last's end, on the clock; with the zone where the clock changes, since hours come twice. */
  clock(at) {
    return [clockText(this.times[at], this.zone), this.zones?.[at]].filter(Boolean).join(" ");
  }

  day(at) {
    return (this.unit === "hour" ? dayText : this.unit === "day" ? dateText : monthText)(this.times[at], this.zone);
  }

  begin(at) {
    return this.unit === "hour" ? `${this.day(at)} ${this.clock(at)}` : this.day(at);
  }

  /** Steps first to last: Mon 30 Sep 05:00 to 06:00. */
  span(first, last) {
    if (this.unit !== "hour" && first === last) return this.day(first);
    let end = this.day(last);
    if (this.unit === "hour") end = first === last || this.day(last + 1) === this.day(first) ? this.clock(last + 1) : this.begin(last + 1);
    return text("from_to", { begin: this.begin(first), end });
  }

  /** The whole horizon, with its year. */
  horizon() {
    const last = this.times.length - 1;
    if (this.unit !== "hour") return this.span(0, last - 1);
    const [begin, end] = [0, last].map((at) => momentText(this.times[at], this.zone));
    return text("from_to", { begin, end });
  }
}
