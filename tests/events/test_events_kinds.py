"""Kinds of offence: by words, by the publishers' crosswalks, by the user's own; never by the record."""

import numpy as np
import pytest

from stforecast.config.sections import KINDS, PRESETS, Source
from stforecast.events.kinds import COMMON, kind_of, kind_shares
from stforecast.events.sources import IngestRules, resolve
from stforecast.publishers import publisher

COLUMNS = {"occurred": ["t"], "offence": ["o"]}


def source(**keys) -> Source:
    return resolve(Source(time_zone="UTC", columns=COLUMNS, **keys))


def shares(source: Source) -> list[dict[str, float]]:
    return [{k: round(float(s), 3) for k, s in zip(KINDS, row, strict=True) if s} for row in kind_shares(source)]


@pytest.mark.parametrize(
    ("offence", "kind"),
    [
        ("THEFT FROM MOTOR VEHICLE", "theft_from_vehicle"),
        ("THEFT F/AUTO", "theft_from_vehicle"),
        ("LARCENY*FROM AUTO", "theft_from_vehicle"),
        ("Burglary - Vehicle", "theft_from_vehicle"),
        ("theft-of-motor-vehicle", "vehicle_theft"),
        ("VehicleTheft", "vehicle_theft"),
        ("ROBO DE VEHICULO DE SERVICIO PARTICULAR CON VIOLENCIA", "vehicle_theft"),
        ("Theft of Bicycle", "theft"),
        ("BIKE*STOLEN", "theft"),
        ("SHOPLIFTING", "theft"),
        ("Hurto (sin violencia)", "theft"),
        ("Break and Enter Commercial", "burglary"),
        ("Wohnungseinbruch", "burglary"),
        ("ROBO A CASA HABITACION SIN VIOLENCIA", "burglary"),
        ("Robo", "robbery"),
        ("ROBBERY: CARJACKING", "robbery"),
        ("SEXUAL ASSAULT", "sexual"),
        ("*Assault", "assault"),
        ("HOMICIDIO DOLOSO", "homicide"),
        ("HOMICIDIO CULPOSO POR TRANSITO VEHICULAR", "other"),
        ("HARRASSMENT 2", "threats"),
        ("CRIMINAL DAMAGE", "damage"),
        ("Arson", "arson"),
        ("DRUG/NARCOTIC VIOLATIONS", "other"),
        ("IDENTITY THEFT", "other"),
        ("Vehicle Collision or Pedestrian Struck", "other"),
        ("PUBLIC PEACE VIOLATION", None),
        ("*", None),
    ],
)
def test_words_tell_the_kind(offence: str, kind: str | None) -> None:
    assert kind_of(offence, Source()) == kind


def test_a_category_is_of_its_kinds_as_common_as_they_are_however_many_words_list_them() -> None:
    one = source(categories={"property": ["burglary", "theft*", "larceny*", "shoplifting"]})
    theft = COMMON["theft"] / (COMMON["theft"] + COMMON["burglary"])
    assert shares(one) == [{"theft": round(theft, 3), "burglary": round(1 - theft, 3)}]


def test_all_the_rest_and_what_no_word_tells_are_of_no_kind() -> None:
    assert shares(source(categories={"a": ["code 5"], "rest": ["theft"]}, other="rest")) == [{}, {}]
    assert shares(source(other="any")) == [{}]
    assert set(COMMON) == set(KINDS)


def test_the_users_own_come_before_the_publishers_and_these_before_words() -> None:
    given = {"columns": {}, "time_zone": "UTC", "preset": "denver"}
    lookup = lambda offence, **keys: kind_of(offence, resolve(Source(**given, **keys)))  # noqa: E731
    assert lookup("public-disorder") == "damage"
    assert lookup("public-disorder", kinds={"public-*": "threats"}) == "threats"
    assert lookup("other-crimes-against-persons", kinds={"public-*": "threats"}) == "assault"
    assert lookup("burglary", kinds={"burglary": None}) is None


def test_kinds_change_no_row() -> None:
    one, other = (IngestRules.of(Source(preset="denver", kinds=kinds)) for kinds in ({}, {"robbery": "theft"}))
    assert one.settings == other.settings


@pytest.mark.parametrize("preset", [name for name in PRESETS if publisher(name).source.categories])
def test_every_category_of_a_publisher_has_kinds(preset: str) -> None:
    np.testing.assert_allclose(kind_shares(resolve(Source(preset=preset))).sum(1), 1, rtol=1e-6)
