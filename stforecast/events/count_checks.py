"""Whether areas and counts of reports can be what they seem: codes that lost their zeros, hidden counts, and totals
beside their parts."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from stforecast.config.sections import Source
from stforecast.events import outcomes
from stforecast.events.facts import Facts
from stforecast.events.precision import LEAST
from stforecast.events.schema import example
from stforecast.events.sources import category_lookup

ALIKE = 0.002
"""Share by which a total may differ from its parts, of which publishers hide some."""


def doubtful_areas(areas: Sequence[str]) -> Iterator[str]:
    """A sentence where codes of areas differ by zeros in front alone."""
    short = {code: code.lstrip("0") for code in areas if code.isdigit()}
    pairs = [(code, bare) for code, bare in short.items() if code != bare and bare in short]
    if pairs:
        yield (
            f"The areas {pairs[0][0]} and {pairs[0][1]} ({len(pairs):,} such pairs) differ by zeros in front alone: if "
            "they are one, a program took their codes for numbers. Write them alike."
        )


def lost_counts(rejects: pd.DataFrame) -> Iterator[str]:
    """A sentence where counts cannot be read, so that what they stand for is missing."""
    lost = rejects[rejects["reason"].isin(outcomes.COUNTS)]
    if len(lost):
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in lost["reason"].value_counts().items())
        yield (
            f"{len(lost):,} counts are hidden, missing or no numbers ({reasons}; such as {example(lost)[1]}): reports "
            "that they stand for are missing."
        )


def totals(facts: Facts, source: Source) -> Iterator[str]:
    """A sentence for each category in which an offence is as frequent as all others of it, or of the record, are."""
    lookup, offences = category_lookup(source), facts.of("offences")
    categories = {offence: lookup(offence) for offence in offences}
    counted = Counter({offence: number for offence, number in offences.items() if categories[offence] is not None})
    for category in dict.fromkeys(categories[offence] for offence in counted):
        mine = Counter({offence: number for offence, number in counted.items() if categories[offence] == category})
        offence, number = mine.most_common(1)[0]
        for others in [mine, counted, offences]:
            rest = others.total() - number
            if counted.total() > number and rest >= LEAST and abs(number - rest) <= ALIKE * rest:
                yield (
                    f"Category {category}: {number:,} reports are {offence!r}, and {rest:,} other offences. If it is "
                    "their total, they are counted twice: leave it out of source.categories."
                )
                break
