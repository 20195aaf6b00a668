"use strict";
/* How the page is read: language, units and clock. From the address, else as the browser has them; each of them is the
   page's anew when it changes. */

const LANGUAGES = { en: "English", es: "Español" };
const chosenSettings = {};

/** What the browser's language says of units and clock: those of the United States are miles and 12 hours. */
function usualSettings() {
  const spoken = navigator.languages ?? [navigator.language];
  const known = spoken.map((one) => one.slice(0, 2).toLowerCase()).find((one) => one in LANGUAGES);
  const us = /-US\b/i.test(spoken[0]);
  return { lang: known ?? "en", units: us ? "mi" : "km", clock: us ? "12" : "24" };
}

function readSettings(fields) {
  const offered = { lang: Object.keys(LANGUAGES), units: ["km", "mi"], clock: ["24", "12"] };
  for (const [name, values] of Object.entries(offered)) {
    if (values.includes(fields.get(name))) chosenSettings[name] = fields.get(name);
    else delete chosenSettings[name];
  }
}

function setSettings() {
  readSettings(new URLSearchParams(location.hash.slice(1)));
  const { lang, units, clock } = { ...usualSettings(), ...chosenSettings };
  language = lang;
  Object.assign(measures, { units, clock });
  fillTexts();
  byId("lang").replaceChildren(...Object.entries(LANGUAGES).map(([code, name]) => Object.assign(new Option(name, code), { lang: code })));
  Object.entries({ lang, units, clock }).forEach(([name, value]) => {
    byId(name).value = value;
    byId(name).addEventListener("change", () => {
      chosenSettings[name] = byId(name).value;
      if (grid) writeAddress();
      else history.replaceState(null, "", `#${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))), ...chosenSettings })}`); // of a service without a forecast
      location.reload(); // everything is said anew
    });
  });
}

features.push({
  fields: () => chosenSettings,
  read(fields) {
    const before = JSON.stringify(chosenSettings);
    readSettings(fields);
    if (JSON.stringify(chosenSettings) !== before) location.reload();
  },
});
