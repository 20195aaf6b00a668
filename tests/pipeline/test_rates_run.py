"""Rates in a run, from the files to grid and report: forecasters read nothing of what is divided by."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import config_of

from stforecast.cube import Cube
from stforecast.cube.covariate_files import number_of
from stforecast.delivery.export import open_grid
from stforecast.delivery.rates import CAUTION
from stforecast.delivery.riskgrid import HORIZON
from stforecast.errors import ConfigError
from stforecast.pipeline.pages import report
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cube]:
    """A city, with files of residents and of who is present in its cells."""
    root = tmp_path_factory.mktemp("home")
    stages = Stages(config_of(root), lambda _: None)
    stages.ingest()
    cube = stages.build()
    people = np.arange(cube.n) * 60
    pd.DataFrame({"cell": cube.cells, "people": people})[2:].to_csv(root / "data" / "residents.csv", index=False)
    days = pd.date_range("2022-04-01", "2022-07-09").strftime("%Y-%m-%d")
    rows = pd.MultiIndex.from_product([days, cube.cells[1:]], names=["date", "cell"]).to_frame(index=False)
    rows["present"] = np.tile(people[1:], len(days))
    rows.to_csv(root / "data" / "present.csv", index=False)
    return root, cube


RESIDENTS = "covariates.residents={cells: data/residents.csv, key: cell, column: people, read: false}"
PRESENT = "covariates.present={series: data/present.csv, key: cell, column: present, read: false}"


@pytest.mark.parametrize("of", ["residents", "present"])
def test_a_run_has_rates_and_forecasts_the_same(of: str, home: tuple[Path, Cube]) -> None:
    said, (root, _) = list[str](), home
    stages = Stages(config_of(root, RESIDENTS, PRESENT, f"delivery.rate.of={of}"), said.append)
    assert not stages.build().covariates
    stages.train()
    stages.evaluate()
    grid = open_grid(stages.forecast()[0])
    without = stages.build().cells[: 2 if of == "residents" else 1]
    assert np.isnan(grid.rates["denominator"][HORIZON, 0]).sum() == len(without)
    assert np.isnan(grid.rates["rate"][HORIZON, 0]).sum() == 2  # and 60 are fewer than 100
    assert any("or not known): 2 of 19 hexagons." in line for line in said)
    hours = 24 if of == "present" else 1
    np.testing.assert_allclose(np.nanmax(grid.rates["denominator"][HORIZON, 0]), 18 * 60 * hours)
    first, again = refresh(stages), refresh(stages)
    stricter = Stages(config_of(root, RESIDENTS, PRESENT, f"delivery.rate={{of: {of}, smallest: 500}}"), said.append)
    assert first == again != refresh(stricter)
    plain = Stages(config_of(root), lambda _: None)
    plain.build()
    plain.train()
    np.testing.assert_array_equal(open_grid(plain.forecast()[0]).intensity, grid.intensity)
    stages.build()
    page = report(stages)
    text = page.read_text(encoding="utf-8")
    assert "(fewer than 100" in text
    assert (CAUTION in text) == (of == "residents")
    table = pd.read_csv(page.parent / "rates_by_hexagon.csv")
    per = "per 1,000 residents" if of == "residents" else "per 1,000 hours of exposure (present)"
    assert list(table)[2:] == [f"expected {per}", f"reported {per}"]
    assert len(table) == 17
    assert (page.parent / "rates.png").is_file()


def test_a_series_of_no_single_cell_is_refused(home: tuple[Path, Cube]) -> None:
    root, cube = home
    (root / "data" / "city.csv").write_text("date,area,v\n2022-04-01,North,7\n", encoding="utf-8")
    for key in ("", "key: area, "):
        series = f"covariates.x={{series: data/city.csv, {key}column: v, read: false}}"
        config = config_of(root, series, "delivery.rate.of=x")
        with pytest.raises(ConfigError, match="the number in each hexagon"):
            number_of("x", config, cube)
