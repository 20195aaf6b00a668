"""ST-HSL's benchmark (Li et al., ICDE 2022): how many offences of four kinds Chicago's cells see the next day.

    python scripts/reality_check/sthsl.py PATH/sthsl_chicago.npz --out runs/reality_check

168 cells of 3 km (some outside the city), 731 days of 2016 and 2017: 609 to learn from, 30 to choose by, 92 for the
test. The authors score the cells with an offence alone, so that false alarms are free; the same λ, the mean of a
Poisson law, is read for their metrics as the best point *given* that something happened. λ is taken as fitted: the
calibration of the package is to risk, P(y > 0), and costs counts that are often above one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from metrics import Metric, everywhere, median_given_some, positive, relative_median_given_some
from table import Row, intensities, measured, publish

from stforecast.config import Config, load
from stforecast.cube import Cube
from stforecast.scoring.splits import Slice, Split

START = "2016-01-01"
CITY_DAYS = 28
"""Days whose level the simplest rule that knows the city of today takes for tomorrow's."""
MEAN = "historical mean"


@dataclass(frozen=True)
class Benchmark:
    """counts [t n c] of `days` of training, validation and test; names of the categories; columns of the grid."""

    counts: np.ndarray
    days: tuple[int, int, int]
    categories: tuple[str, ...]
    columns: int

    @staticmethod
    def read(path: str) -> Benchmark:
        """From the file of the benchmark."""
        with np.load(path) as file:
            parts = [file[key] for key in ("train", "val", "test")]
            names = tuple(name.lower() for name in file["categories"].tolist())
        rows, columns, _, c = parts[0].shape
        counts = np.concatenate(parts, 2).transpose(2, 0, 1, 3).reshape(-1, rows * columns, c)
        train, validation, test = (part.shape[2] for part in parts)
        return Benchmark(counts, (train, validation, test), names, columns)

    def split(self) -> Split:
        """The authors' slices."""
        train, validation, test = np.cumsum(self.days).tolist()
        return Split(test, 0, 1, train, train, validation, validation, 1)

    def cube(self) -> Cube:
        """The grid of days with its eight neighbours."""
        row, column = np.divmod(np.arange(self.counts.shape[1]), self.columns)
        return Cube.from_dense(
            self.counts,
            coordinates=np.stack([column, row], 1),
            start=START,
            step_hours=24,
            horizons=1,
            categories=self.categories,
            country="US",
            subdivision="IL",
        )


def city_level(counts: np.ndarray, issues: np.ndarray) -> np.ndarray:
    """A cell's mean × the city's weekday × the city's level of the last CITY_DAYS days, [m n c]."""
    weekday = np.arange(len(counts)) % 7
    before = counts[: issues[0]]
    city, mean = counts.sum(1), before.mean(0)
    profile = np.stack([city[: issues[0]][weekday[: issues[0]] == day].mean(0) for day in range(7)])
    level = np.stack([city[t - CITY_DAYS : t].sum(0) / profile[weekday[t - CITY_DAYS : t]].sum(0) for t in issues])
    return mean * (profile[weekday[issues]] / mean.sum(0) * level)[:, None]


def scores(mean: np.ndarray, truth: np.ndarray, read: bool = True) -> dict[str, Metric]:
    """The authors' metrics and those over all cells of a mean [t n c].

    read: take for the authors' metrics the best points of Poisson counts given y > 0, not the mean itself.
    """
    day = np.arange(len(truth))
    mean = np.broadcast_to(mean, truth.shape)
    absolute, relative = (median_given_some(mean), relative_median_given_some(mean)) if read else (mean, mean)
    honest = everywhere(mean, truth, day)
    return {
        "MAE, y > 0": positive(absolute, truth, day)["MAE"],
        "MAPE, y > 0": positive(relative, truth, day)["MAPE"],
        **{f"all-cell {key}": value for key, value in honest.items()},
    }


def rows(benchmark: Benchmark, config: Config, which: Slice) -> tuple[dict[str, Row], int]:
    """Every row of the table on a slice, and its days."""
    split, counts = benchmark.split(), benchmark.counts.astype(np.float64)
    issues = split.issues(which)
    truth, before = counts[issues], counts[: issues[0]]
    median = np.ma.median(np.ma.masked_equal(before, 0), axis=0).filled(1)
    found: dict[str, Row] = {
        "constant 1": scores(np.ones(median.shape), truth, read=False),
        "median of the days with an offence": scores(median, truth, read=False),
        MEAN: scores(before.mean(0), truth, read=False),
        f"{MEAN}, read given y > 0": scores(before.mean(0), truth),
        "mean × weekday × city's level": scores(city_level(counts, issues), truth),
    }
    for name, intensity, _ in intensities(benchmark.cube(), split, config, issues):
        found[name] = scores(intensity, truth)
        click.echo(f"{name}: NLL {found[name]['all-cell NLL'].value:.4f}")
    return found, len(issues)


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.argument("overrides", nargs=-1)
@click.option("--slice", "which", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the table as JSON and Markdown.")
def main(path: str, overrides: tuple[str, ...], which: Slice, out: Path | None) -> None:
    """Score PATH (sthsl_chicago.npz); OVERRIDES are key=value of sthsl.yaml."""
    config = load(Path(__file__).with_suffix(".yaml"), overrides)
    found, days = rows(Benchmark.read(path), config, which)
    publish(f"sthsl_{which}", measured(found, days, block_days=7, against=MEAN), MEAN, out)


if __name__ == "__main__":
    main()
