"""A city whose record is a week long: every stage does its work, and a shorter one is told what it lacks."""

from pathlib import Path

import numpy as np
import pytest

from stforecast.delivery.export import open_grid
from stforecast.errors import ConfigError
from stforecast.pipeline.stages import Stages
from tests.pipeline.tiny_city import config_of

FORECASTERS = "evaluation.forecasters=[rolling_climatology, hawkes, kernel, hist_gradient_boosting, last_week]"


def test_a_week_gives_a_map(tmp_path: Path) -> None:
    lines: list[str] = []
    scratch = "training.start=scratch"
    stages = Stages(config_of(tmp_path, "synthetic.days=7", "grid.min_events=20", scratch, FORECASTERS), lines.append)
    stages.ingest()
    cube = stages.build()
    assert cube.n > 10  # hexagons of one event in three days
    stages.train()
    assert "climatology stands as before" in "\n".join(lines)
    stages.evaluate()
    (folder,) = stages.forecast()
    grid = open_grid(folder)
    assert stages.map().is_file()
    assert (grid.intensity > 0).all()
    assert np.isfinite(grid.intensity).all()


def test_three_days_are_too_few(tmp_path: Path) -> None:
    stages = Stages(config_of(tmp_path, "synthetic.days=3"), lambda _: None)
    stages.ingest()
    cube = stages.build()
    with pytest.raises(ConfigError, match="that takes 5"):
        stages.split(cube)
