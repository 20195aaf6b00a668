"use strict";
/* What the page says: each language has a file of its own (en.js, es.js) that fills TEXTS. And what else the parts of the
   page share: each part that follows the choice puts {start(view), draw(), fields(), read(fields)} into `features`; all
   four may be left out. `fields` gives what the address keeps of it, `read` takes it back from there. */

const TEXTS = {}, features = [];
let language = "en";

/** The text of a key, {names} in it filled from values. A text of several forms is chosen by `count` in values. */
function text(key, values = {}) {
  let found = TEXTS[language][key] ?? TEXTS.en[key];
  if (typeof found === "object") found = found[new Intl.PluralRules(language).select(values.count)] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
