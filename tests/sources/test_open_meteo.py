"""Weather of Open-Meteo: what is asked for, what comes, and that no kill, cut or refusal leaves a wrong hour."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from open_meteo import OpenMeteoServer, open_meteo, value

from stforecast.errors import ArtefactError, ConfigError, FetchError
from stforecast.sources.fetch import fetch
from stforecast.sources.open_meteo import KEY, OpenMeteo, Place, Product, hours_of
from stforecast.sources.pulls import Pulls
from stforecast.sources.web import Retry, Web

CHANNELS = {"temperature_2m": "degC", "precipitation": "mm"}
DAY = pd.Timedelta(days=1)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def client(server: OpenMeteoServer, product: Product, first: str, last: str, channels=None, **more) -> OpenMeteo:
    web, place = Web(Retry(total=3, backoff_factor=0), pause=0), Place(39.74, -104.99, channels or CHANNELS)
    return OpenMeteo(web, product, place, at(first), at(last), more.pop("lead", 1), server.url, server.now)


def pull(found: OpenMeteo, folder: Path, **more: object) -> bool:
    pulls = Pulls.open(folder, {"table": {"a": 1}})
    return fetch(found, pulls, None, lambda _: None, max_shrink=1, **more)


def truth(server: OpenMeteoServer, name: str, times: pd.DatetimeIndex, final: object) -> np.ndarray:
    origin, hour = pd.Timestamp(0, tz="UTC"), pd.Timedelta(hours=1)
    final = np.broadcast_to(final, len(times))
    return value(name, ((times - origin) // hour).to_numpy(), int((server.now - origin) // hour), final)


def test_years_come_a_year_a_request_and_later_what_is_new(tmp_path: Path) -> None:
    with open_meteo("2024-03-20 09:30") as server:
        first = client(server, "observed", "2020-02-01", "2026-01-01")
        assert pull(first, tmp_path)
        assert [(one["start_date"], one["end_date"]) for one in server.asked] == [
            ("2020-02-01", "2021-01-31"),
            ("2021-02-01", "2022-02-01"),
            ("2022-02-02", "2023-02-02"),
            ("2023-02-03", "2024-02-03"),
            ("2024-02-04", "2024-03-20"),
        ]
        assert first.calls == pytest.approx(4 * 366 / 14 + 46 / 14)
        hours = hours_of(tmp_path)
        assert hours["temperature_2m"].first_valid_index() == at("2020-02-01")
        assert hours["temperature_2m"].last_valid_index() == at("2024-03-15 09:00")  # 5 days late
        assert hours["precipitation"].first_valid_index() == at("2020-01-31 23:00")  # of the hour before its time
        assert len(hours.loc["2020-02-29"]) == len(hours.loc["2024-02-29"]) == 24
        assert not hours.index.duplicated().any()
        before = len(server.asked)
        server.now += 3 * DAY
        assert pull(client(server, "observed", "2020-02-01", "2026-01-01"), tmp_path)
        assert [one["start_date"] for one in server.asked[before:]] == ["2024-03-05"]
        hours = hours_of(tmp_path)
        times = hours.index[hours["temperature_2m"].notna()]
        assert times[-1] == at("2024-03-18 09:00")
        final = times < server.now - 10 * DAY  # the days that were revised are those of now
        np.testing.assert_array_equal(hours["temperature_2m"].dropna(), truth(server, "temperature_2m", times, final))


def test_forecasts_are_those_of_a_day_before_and_never_newer_ones(tmp_path: Path) -> None:
    with open_meteo("2024-03-20 09:30") as server:
        pull(client(server, "issued", "2019-05-01", "2026-01-01"), tmp_path)
        assert {one["hourly"] for one in server.asked} == {"temperature_2m_previous_day1,precipitation_previous_day1"}
        assert server.asked[0]["start_date"] == "2021-01-01"  # before which there are none
        assert server.asked[-1]["end_date"] == "2024-03-22"
        hours = hours_of(tmp_path)
        assert list(hours) == ["temperature_2m", "precipitation"]
        assert hours["temperature_2m"].first_valid_index() == at("2024-01-01")
        assert hours["temperature_2m"].last_valid_index() == at("2024-03-22 23:00")
        pull(client(server, "issued", "2019-05-01", "2026-01-01", lead=7), tmp_path / "week")
        assert server.asked[-1]["hourly"] == "temperature_2m_previous_day7,precipitation_previous_day7"


def test_the_newest_forecast_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    with open_meteo("2024-03-20 09:30") as server:
        for _ in range(2):
            pull(client(server, "newest", "2019-05-01", "2026-01-01"), tmp_path)
            server.now += DAY
        assert [(one["start_date"], one["end_date"]) for one in server.asked] == [
            ("2024-03-20", "2024-03-22"),
            ("2024-03-21", "2024-03-23"),
        ]
        assert hours_of(tmp_path)["temperature_2m"].first_valid_index() == at("2024-03-21")


@pytest.mark.parametrize("stop", range(1, 6))
@pytest.mark.parametrize("how", ["refused", "cut", "half", "other hours", "empty", "page"])
def test_what_was_interrupted_is_gone_on_with(tmp_path: Path, stop: int, how: str) -> None:
    def fault(number: int, body: bytes) -> tuple[int, bytes, int | None] | None:
        if number < stop:
            return None
        page = b"<!DOCTYPE html><html><body>maintenance</body></html>"
        return {
            "refused": (429, b'{"error":true,"reason":"Minutely API request limit exceeded."}', None),
            "cut": (200, body, len(body) // 2),
            "half": (200, body[: len(body) // 2], None),
            "other hours": (200, body.replace(b"T00:00", b"T00:30", 1), None),
            "empty": (200, b"{}", None),
            "page": (200, page, None),
        }[how]

    with open_meteo("2024-03-20 09:30") as server:
        server.fault = fault
        with pytest.raises(FetchError, match="429.*10,000 a day" if how == "refused" else "attempts"):
            pull(client(server, "observed", "2020-02-01", "2026-01-01"), tmp_path / "a")
        assert hours_of(tmp_path / "a").empty  # nothing half under a final name
        server.fault, before = None, len(server.asked)
        pull(client(server, "observed", "2020-02-01", "2026-01-01"), tmp_path / "a")
        assert len(server.asked) - before == 6 - stop  # not from the beginning
        pull(client(server, "observed", "2020-02-01", "2026-01-01"), tmp_path / "b")
        pd.testing.assert_frame_equal(hours_of(tmp_path / "a"), hours_of(tmp_path / "b"))


def test_an_answer_in_other_units_or_of_another_zone_is_refused(tmp_path: Path) -> None:
    with open_meteo("2024-03-20 09:30") as server:
        server.fault = lambda _, body: (200, body.replace("°C".encode(), "°F".encode()), None)
        with pytest.raises(FetchError, match="temperature_2m in °F, where °C was asked for"):
            pull(client(server, "observed", "2024-02-01", "2026-01-01"), tmp_path)
        server.fault = lambda _, body: (200, body.replace(b'seconds": 0', b'seconds": 3600'), None)
        with pytest.raises(FetchError, match="another time zone"):
            pull(client(server, "observed", "2024-02-01", "2026-01-01"), tmp_path)
        server.fault = None
        named = {"temperature_2m": "degF", "precipitation": "inch", "wind_speed_10m": "knots"}
        pull(client(server, "observed", "2024-02-01", "2026-01-01", named), tmp_path / "other")
        asked = {key: server.asked[-1][key] for key in ("temperature_unit", "precipitation_unit", "wind_speed_unit")}
        assert asked == {"temperature_unit": "fahrenheit", "precipitation_unit": "inch", "wind_speed_unit": "kn"}
        with pytest.raises(FetchError, match=r"status 400 .*invalid String value snow"):
            pull(client(server, "observed", "2024-02-01", "2026-01-01", {"snow": "mm"}), tmp_path / "unknown")
        with pytest.raises(ConfigError, match=r"weather\.channels\.x: K is not given there"):
            client(server, "observed", "2024-02-01", "2026-01-01", {"x": "K"})
        with pytest.raises(ConfigError, match="another wind_speed_unit"):
            client(server, "observed", "2024-02-01", "2026-01-01", {"a": "m/s", "b": "km/h"})


def test_a_key_is_sent_and_never_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "s3cret")
    with open_meteo("2024-03-20 09:30") as server:
        pull(client(server, "observed", "2024-02-01", "2026-01-01"), tmp_path)
        assert server.asked[-1]["apikey"] == "s3cret"
        url = server.url
    for file in tmp_path.rglob("*.json"):
        assert "s3cret" not in file.read_text()
    gone = OpenMeteo(
        Web(Retry(total=0), pause=0), "observed", Place(1, 2, CHANNELS), at("2024-01-01"), at("2024-02-01"), 1, url
    )
    with pytest.raises(FetchError) as error:
        pull(gone, tmp_path / "gone")
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert gone._url.startswith(url)
    own = OpenMeteo(Web(), "issued", Place(1, 2, CHANNELS), at("2024-01-01"), at("2024-02-01"), 1)
    assert own._url == "https://customer-previous-runs-api.open-meteo.com/v1/forecast"


def test_a_damaged_answer_is_named(tmp_path: Path) -> None:
    with open_meteo("2024-03-20 09:30") as server:
        pull(client(server, "observed", "2024-02-01", "2026-01-01"), tmp_path)
    page = next(tmp_path.glob("0001-whole/*.json"))
    page.write_bytes(page.read_bytes()[:100])
    with pytest.raises(ArtefactError, match="damaged"):
        hours_of(tmp_path)
