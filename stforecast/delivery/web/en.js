"use strict";

TEXTS.en = {
  nothing_found: "Nothing of that name here",

  // ranges of sums
  range: "{low} to {high}",
  range_behind: "({low} to {high})",
  about_ranges: "Ranges",
  ranges_measured: "Such as (7 to 18): meant to hold {level} % of the counts. Measured on past forecasts of Denver and Chicago, where three reports or more are expected, they held 86 to 94 % of the counts of places, shifts and days, but of all of Chicago 83 % (shifts) and 75 % (days). Below three they hold more. Figures: docs/evidence.md, Ranges of sums.",
  districts_title: "By district",
  column_district: "District",
  column_expected: "Expected",
  column_range: "Range",
};
