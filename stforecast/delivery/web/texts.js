"use strict";
/* What the page says: each language has a file of its own (en.js, es.js) that fills TEXTS. And what else the parts of the
   page share: each part that follows the choice puts {start(view), draw(), fields(), read(fields), box(hexagon)} into
   `features`; all may be left out. `fields` gives what the address keeps of it, `read` takes it back from there; `box` is
   told of the hexagon whose figures are shown. */

const TEXTS = {}, features = [];
let language = "en";

/** The text of a key, {names} in it filled from values. A text of several forms is chosen by `count` in values. */
function text(key, values = {}) {
  let found = TEXTS[language][key];
  if (typeof found === "object") found = found[new Intl.PluralRules(language).select(values.count)] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A name that data give, in the language where it is a common one (`prefix_name` has a text), else as words. */
function named(prefix, name) {
  return `${prefix}_${name}` in TEXTS.en ? text(`${prefix}_${name}`) : name.replaceAll("_", " ");
}

/** Fill what the page itself says: content, names for screen readers, titles and placeholders. */
function fillTexts() {
  document.documentElement.lang = language;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const [name, attribute] of [["label", "aria-label"], ["title", "title"], ["placeholder", "placeholder"]]) {
    for (const one of document.querySelectorAll(`[data-${name}]`)) one.setAttribute(attribute, text(one.dataset[name]));
  }
}
