"""GSNet's benchmark (Wang et al., AAAI 2021): where in Chicago the traffic accidents of the next hour happen.

    python scripts/reality_check/gsnet.py PATH/gsnet_chicago.npz --out runs/reality_check

400 cells of 2016-02-01 … 09-30, 60 / 20 / 20 in time. The authors' history never crosses a split, so their test hours
are the last 495. They score 50 cells. Ours learns from the same 60 %, is chosen and calibrated on the same 20 %, and
knows at each hour what every earlier hour brought, as an operator would; the networks' weights rest on the same hours,
their inputs on the last three and the same hour of four weeks. The rows of means show what that longer past is worth.

A count is the sum of the severities of a cell's accidents (1 for 93 of 100 cells with one). Days are drawn one by
one, since the 21 days of the test are only three weeks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from metrics import Metric, everywhere, gsnet, gsnet_rmse, mean_given_some
from table import Row, intensities, measured, publish

from stforecast.config import Config, load
from stforecast.cube import Cube, Series
from stforecast.scoring.splits import Slice, Split

START = "2016-02-01"
HISTORY = 4 * 7 * 24
"""Hours at the head of a split that the authors spend as history."""
NETWORKS = {"pred_gsnet": "GSNet, stored", "pred_cvit": "C-ViT, stored", "pred_mgstnet": "MG-STNET, stored"}
PUBLISHED: dict[str, Row] = {
    "GSNet, published": {"recall %": 19.77, "MAP": 0.0860, "RMSE": 11.07},
    "C-ViT, published": {"recall %": 20.21, "MAP": 0.0909, "RMSE": 9.39},
    "MG-STNET, published": {"recall %": 22.16, "MAP": 0.0982, "RMSE": 9.18},
}
"""Means of five seeds."""
BEST_NETWORK = "MG-STNET, stored"


@dataclass(frozen=True)
class Benchmark:
    """risk [t n], mask of scored cells [n], weather [t 6], stored predictions [495 n] by name."""

    risk: np.ndarray
    mask: np.ndarray
    weather: np.ndarray
    predictions: dict[str, np.ndarray]

    @staticmethod
    def read(path: str) -> Benchmark:
        """From the file of the benchmark."""
        with np.load(path) as file:
            risk = file["risk"].reshape(len(file["risk"]), -1)
            predictions = {name: file[key].reshape(-1, risk.shape[1]) for key, name in NETWORKS.items()}
            return Benchmark(risk, file["score_mask"].ravel(), file["hourly"][:, 32:], predictions)

    def split(self) -> Split:
        """The authors' slices, with an issue every hour."""
        steps = len(self.risk)
        train, validation = int(0.6 * steps), int(0.8 * steps)
        return Split(steps, 0, 1, train, train, validation, validation + HISTORY, 1)

    def cube(self) -> Cube:
        """The grid with its eight neighbours; temperature (K) and weather kinds are known once the hour is over."""
        side = int(np.sqrt(self.risk.shape[1]))
        row, column = np.divmod(np.arange(side**2), side)
        names = ("temperature", *(f"weather_{i}" for i in range(1, 6)))
        return Cube.from_dense(
            self.risk,
            coordinates=np.stack([column, -row], 1),
            start=START,
            horizons=1,
            categories=("accident",),
            country="US",
            subdivision="IL",
            weather=Series(names, self.weather.astype(np.float32)),
        )


def scores(mean: np.ndarray, truth: np.ndarray, mask: np.ndarray, day: np.ndarray) -> dict[str, Metric]:
    """The authors' metrics of one row [t n], and two over all scored cells, quiet ones included."""
    honest = everywhere(mean[:, mask], truth[:, mask], day)
    return {
        **gsnet(mean, truth, mask, day),
        "RMSE": gsnet_rmse(mean, truth, mask, day),
        "all-cell NLL": honest["NLL"],
        "all-cell RMSE": honest["RMSE"],
    }


def rows(benchmark: Benchmark, config: Config, which: Slice) -> tuple[dict[str, Row], int]:
    """Every row of the table on a slice, and its days."""
    split, cube, risk, mask = benchmark.split(), benchmark.cube(), benchmark.risk, benchmark.mask
    issues = split.issues(which)
    truth, day = risk[issues], issues // 24 - issues[0] // 24

    def of(mean: np.ndarray) -> dict[str, Metric]:
        return scores(np.broadcast_to(mean, truth.shape), truth, mask, day)

    found: dict[str, Row] = {}
    if which == "test":
        found = {**PUBLISHED, **{name: of(stored) for name, stored in benchmark.predictions.items()}}
    found["constant 1"] = of(np.ones(risk.shape[1]))
    found["mean of the training hours"] = of(risk[: split.train_end].mean(0))
    found["mean of all hours before"] = of(risk[: issues[0]].mean(0))
    for name, _, delivered in intensities(cube, split, config, issues):
        lam = delivered[..., 0]
        given_some = gsnet_rmse(mean_given_some(lam), truth, mask, day)
        found[name] = {**of(lam), "RMSE of E[y, y > 0]": given_some}
        click.echo(f"{name}: recall {found[name]['recall %'].value:.2f} %, MAP {found[name]['MAP'].value:.4f}")
    return found, int(day[-1]) + 1


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.argument("overrides", nargs=-1)
@click.option("--slice", "which", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the table as JSON and Markdown.")
def main(path: str, overrides: tuple[str, ...], which: Slice, out: Path | None) -> None:
    """Score PATH (gsnet_chicago.npz); OVERRIDES are key=value of gsnet.yaml."""
    config = load(Path(__file__).with_suffix(".yaml"), overrides)
    found, days = rows(Benchmark.read(path), config, which)
    against = BEST_NETWORK if which == "test" else "mean of the training hours"
    publish(f"gsnet_{which}", measured(found, days, block_days=1, against=against), against, out)


if __name__ == "__main__":
    main()
