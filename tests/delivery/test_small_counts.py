"""Past counts that are shown, and what the others can be told from."""

from __future__ import annotations

import base64
from itertools import product

import numpy as np
import pytest

from stforecast.delivery.small_counts import hides_each, reported_view, shown_beside_areas
from stforecast.events.examine.offence_words import sexual_categories


@pytest.mark.parametrize("least", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_total_stands_beside_counts_only_where_each_hidden_one_may_be_anything(least: int, size: int) -> None:
    """By trying every way to fill the hidden cells that the total and the shown ones allow."""
    possible = np.array([*product(range(least + 2), repeat=size)])
    seen = {False: 0, True: 0}
    for counts in possible:
        like = np.where(possible < least, -1, possible) == np.where(counts < least, -1, counts)
        like = like.all(1) & (possible.sum(1) == counts.sum())
        free = [{*possible[like, at].tolist()} == {*range(least)} for at in np.flatnonzero(counts < least)]
        assert hides_each(counts, least) == all(free)
        seen[all(free)] += 1
    assert seen[True]


def test_a_count_stands_beside_the_sum_of_its_area_only_where_the_rest_is_not_told() -> None:
    counts = np.array([[13, 13], [4, 20], [9, 9], [9, 9], [30, 2]])
    area = np.array([0, 0, 1, 1, 1])
    shown = shown_beside_areas(counts, counts >= 5, area, 5)
    assert shown.tolist() == [[False, True], [False, True], [True, False], [True, True], [True, False]]
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts, area = rng.poisson(rng.uniform(1, 9), (12, 2)), rng.integers(0, 4, 12)
        shown = shown_beside_areas(counts, counts >= 5, area, 5)
        assert not (shown & (counts < 5)).any()
        for one, week in product(np.unique(area), range(2)):
            hidden = counts[area == one, week][~shown[area == one, week]]
            if not shown[area == one, week].any():
                continue  # nothing is told of this area
            assert len(hidden) != 1
            assert (hidden >= 5).any() or hides_each(hidden, 5)


def test_no_count_below_the_smallest_and_none_of_what_is_never_shown() -> None:
    counts = np.array([[0, 1, 4, 5, 9, 3, 2], [7, 0, 0, 0, 0, 0, 0], [8, 9, 6, 7, 5, 5, 5]])
    view = reported_view(counts, np.array([False, False, True]), 5)
    found = np.frombuffer(base64.b64decode(view["counts"]), "<f4").reshape(3, 7)
    np.testing.assert_array_equal(found[0], [np.nan, np.nan, np.nan, 5, 9, np.nan, np.nan])
    np.testing.assert_array_equal(found[1], [7, *[np.nan] * 6])
    assert np.isnan(found[2]).all()
    assert view["totals"] == [24, None, None]  # 7 and nothing else would tell that the others had none
    assert (view["never"], view["least"]) == ([False, False, True], 5)


@pytest.mark.parametrize(
    ("category", "offence"),
    [
        ("sexual_offences", "other"),
        ("person", "CRIM SEXUAL ASSAULT"),
        ("person", "SexOffense"),
        ("person", "SEX OFFNS-CHILD MOL"),
        ("person", "RAPE, ATTEMPTED"),
        ("lewd", "x"),
        ("personas", "TENTATIVA DE VIOLACI\u00d3N"),
        ("personas", "ABUSO SEXUAL"),
        ("pessoas", "Estupro de vulner\u00e1vel"),
        ("personnes", "Viols sur des mineurs"),
        ("personen", "Vergewaltigung"),
        ("personen", "Sexuelle N\u00f6tigung"),
    ],
)
def test_sexual_offences_are_found_by_their_words(category: str, offence: str) -> None:
    assert sexual_categories([{"offence": offence, "category": category, "rows": 3}]) == {category}


def test_a_category_of_many_kinds_is_not_one_of_sexual_offences() -> None:
    rows = [("RAPE", "person", 40), ("ASSAULT", "person", 60), ("THEFT", "theft", 9), ("RAPE", None, 900)]
    offences = [{"offence": name, "category": category, "rows": number} for name, category, number in rows]
    assert sexual_categories(offences) == set()
    offences[0]["rows"] = 60
    assert sexual_categories(offences) == {"person"}
    for name in ("THEFT FROM VEHICLE", "AUTO THEFT", "ASSAULT", "ROBBERY", "BURGLARY", "DRUG VIOL", "KIDNAPPING"):
        assert sexual_categories([{"offence": name, "category": "group", "rows": 1}]) == set()
