"""A run that reads covariates, from the files to the pages: what is sensitive is said on each."""

from pathlib import Path

import pytest
from tiny_city import config_of

from stforecast.delivery.export import open_grid
from stforecast.forecasters.trees.zoo import HistGradientBoosting
from stforecast.pipeline.pages import report
from stforecast.pipeline.stages import Stages


def test_a_run_reads_covariates_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HistGradientBoosting, "settings", {**HistGradientBoosting.settings, "max_iter": 10})
    plain = config_of(tmp_path)
    stages = Stages(plain, lambda _: None)
    stages.ingest()
    cells = stages.build().cells
    (tmp_path / "data" / "income.csv").write_text(
        "cell,income\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells[1:])), encoding="utf-8"
    )
    (tmp_path / "data" / "school.csv").write_text("start,end\n2022-06-01,2022-07-10\n", encoding="utf-8")
    said = list[str]()
    stages = Stages(
        config_of(
            tmp_path,
            "covariates.income={cells: data/income.csv, key: cell, column: income, sensitive: true, read: true}",
            "covariates.school={calendar: data/school.csv}",
            "evaluation.forecasters=[hist_gradient_boosting, rolling_climatology]",
        ),
        said.append,
    )
    cube = stages.build()
    assert [one.name for one in cube.covariates] == ["income", "school"]
    stages.train()
    stages.evaluate()
    grid = open_grid(stages.forecast()[0])
    assert any("who lives in a place (income)" in line for line in grid.assumptions)
    assert any("income is not known of 1 of 19 hexagons" in line for line in grid.assumptions)
    page = report(stages).read_text(encoding="utf-8")
    assert page.count("who lives in a place (income)") == 2  # on top and in the card
    assert "school" in page
    said.clear()
    stages.build()
    assert "up to date" in said[0]
    (tmp_path / "data" / "school.csv").write_text("start,end\n2022-06-01,2022-07-11\n", encoding="utf-8")
    stages.build()
    assert "wrote" in said[1]
