"use strict";
/* Why a hexagon has its number: what each group of inputs multiplies the usual by, its hours against the usual, its reports
   lately; and what a category counts. Parts are of the hexagons that the grid flags, and of all hours or a shift. */

const GROUPS = ["usual", "city", "calendar", "weather", "covariates", "last_days", "neighbours", "late"];
let reasons = null, recentOpen = false;

function setReasons({ why }) {
  byId("contents").hidden = !why;
  if (!why) return;
  const at = new Map(why.hexagons.map((id, place) => [id, place]));
  const span = new Map(why.spans.map(({ steps: [first, last] }, place) => [String([first, last]), place]));
  reasons = { ...why, values: fromPlanes(why.parts), places: grid.view.hexagons.map((id) => at.get(id)), span };
}

/** Parts of log λ of a hexagon, one a group; null where they are not held. */
function partsOf(hexagon, chosenSpan, category) {
  if (!reasons) return null;
  const { groups, spans, hexagons, values, places, fine } = reasons, m = hexagons.length, c = grid.view.categories.length;
  const span = reasons.span.get(String(chosenSpan ?? [0, grid.steps - 1])), place = places[hexagon];
  if (!groups.length || span === undefined || place === undefined) return null;
  return groups.map((_, group) => values[((group * spans.length + span) * c + category) * m + place] / fine);
}

/** A factor, or of the usual what is expected then. */
function partText(part, group) {
  return group ? `× ${threeDigits(Math.exp(part))}` : digits(Math.exp(part));
}

/** The parts in words, for a screen reader. */
function partsSaid(hexagon) {
  const parts = partsOf(hexagon, chosen.span, chosen.category) ?? [];
  return parts.map((part, group) => `${partText(part, group)} ${text(`why_${reasons.groups[group]}`)}`);
}

/** The list of factors of a hexagon, from the usual to what is expected. */
function factorList(parts, expected) {
  const list = element("ol"), most = Math.max(Math.LN2, ...parts.slice(1).map(Math.abs));
  parts.forEach((part, group) => {
    const item = element("li"), bar = element("i"), name = reasons.groups[group];
    item.dataset.group = name;
    if (group) {
      bar.className = part < 0 ? "less" : "more";
      bar.style.width = `${(50 * Math.abs(part)) / most}%`;
    }
    const line = element("span");
    line.setAttribute("aria-hidden", "true");
    if (group) line.append(bar);
    item.append(element("b", partText(part, group)), element("span", text(`why_${name}`)), line);
    list.append(item);
  });
  const last = element("li");
  last.append(element("b", `= ${digits(expected)}`), element("span", text("fact_expected")), element("span"));
  list.append(last);
  return list;
}

/** Why the number is what it is, or in one sentence why that is not said. */
function whySection(hexagon) {
  const parts = partsOf(hexagon, chosen.span, chosen.category), box = element("section");
  box.className = "why";
  if (parts) {
    box.append(element("h3", text("why")), factorList(parts, grid.values("intensity", chosen.span, chosen.category)[hexagon]));
    const without = GROUPS.filter((group) => !reasons.groups.includes(group));
    if (without.length) box.append(element("small", text("why_without", { groups: without.map((group) => text(`why_${group}`)).join("; ") })));
  } else {
    const held = reasons.places[hexagon] !== undefined;
    box.append(element("small", text(!reasons.groups.length ? "why_no_model" : held ? "why_other_hours" : "why_other_place")));
  }
  return box;
}

/** Bars of a hexagon by step, a mark where the usual is. */
function hoursSection(hexagon) {
  const box = element("section"), strip = element("div"), [first, last] = chosen.span ?? [0, grid.steps - 1];
  const of = (kind) => Array.from({ length: grid.steps }, (_, step) => grid.values(kind, [step, step], chosen.category)[hexagon]);
  const lam = of("intensity"), usual = grid.has("usual") ? of("usual") : [], most = Math.max(...lam, ...usual, 1e-12);
  const peak = lam.indexOf(Math.max(...lam));
  strip.className = "strip";
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", text("strip_label", { when: grid.label([peak, peak]), expected: digits(lam[peak]) }));
  strip.append(...lam.map((value, step) => {
    const column = element("span"), bar = element("i");
    column.title = [grid.label([step, step]), `${text("fact_expected")} ${digits(value)}`, usual.length && `${text("strip_usual")} ${digits(usual[step])}`].filter(Boolean).join(", ");
    bar.style.height = `${(100 * value) / most}%`;
    bar.classList.toggle("now", step >= first && step <= last);
    column.append(bar);
    if (usual.length) {
      const mark = element("b");
      mark.style.bottom = `${(100 * usual[step]) / most}%`;
      column.append(mark);
    }
    return column;
  }));
  box.append(element("h3", text(usual.length ? `strip_${grid.view.step_unit}` : "strip_alone")), strip);
  return box;
}

/** Reports of the last whole weeks, as far as they may be shown. */
function reportsSection(hexagon) {
  const { recent } = reasons, place = reasons.places[hexagon];
  if (!recent || place === undefined) return [];
  const box = element("details"), table = element("table"), head = element("tr"), { days, counts, weeks, least, without } = recent;
  const noon = (day) => `${day}T12:00Z`, shown = (count) => element("td", count === null ? "·" : number(count));
  head.append(element("td"), heading(text("recent_week"), "col"), ...days.slice(0, 7).map((day) => heading(dateParts(noon(day), "UTC").weekday, "col")));
  const rows = weeks[place].map((total, week) => {
    const row = element("tr"), from = 7 * week;
    row.append(heading(text("recent_from", dateParts(noon(days[from]), "UTC")), "row"), shown(total), ...counts[place].slice(from, from + 7).map(shown));
    return row;
  });
  table.append(head, ...rows);
  const rule = [text("recent_rule", { least }), without.length && text("recent_without", { categories: without.map(categoryName).join(", ") })];
  box.append(element("summary", text("recent")), table, element("small", rule.filter(Boolean).join(" ")));
  Object.assign(box, { className: "recent", open: recentOpen });
  box.addEventListener("toggle", () => (recentOpen = box.open));
  return [box];
}

/** What stands below the figures in the box of a hexagon. */
function reasonsOf(hexagon, isPinned) {
  if (!reasons) return isPinned && grid.steps > 1 ? [hoursSection(hexagon)] : [];
  if (!isPinned) return partsOf(hexagon, chosen.span, chosen.category) ? [whySection(hexagon)] : [];
  return [whySection(hexagon), ...(grid.steps > 1 ? [hoursSection(hexagon)] : []), ...reportsSection(hexagon)];
}

/** The offences that the chosen category asks for; of all categories those of each. */
function drawContents() {
  if (!reasons) return;
  const names = grid.leavesOf(chosen.category).map((leaf) => grid.view.categories[leaf + (grid.view.categories.length > 1)]);
  byId("contents-list").replaceChildren(...names.flatMap((name) => {
    const asked = reasons.contents[name] ?? [];
    return [element("dt", categoryName(name)), element("dd", asked.length ? asked.join(", ") : text("contents_rest"))];
  }));
}

features.push({
  start(view) {
    setReasons(view);
    byId("facts").addEventListener("toggle", () => pinned !== null && placeTip(city.beside(pinned)), true);
  },
  draw: drawContents,
});
