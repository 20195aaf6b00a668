"use strict";

TEXTS.en = {
  nothing_found: "Nothing of that name here",
};
