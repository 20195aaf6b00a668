"""Section: what the network and a tree read: the loss when a group of their inputs is shuffled (Breiman 2001).

Both read the same `Recall`, so a group is shuffled there, before either makes its own columns of it. Every issue is
forecast from the honest past: the long memory and the carried state know nothing of the shuffles before. What differs
by hexagon is shuffled over the hexagons of the issue; what all hexagons share is taken from another day of the slice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.features.memory import Recall, blocks
from stforecast.features.reader import Reader, Scales
from stforecast.forecasters.base import Forecaster
from stforecast.reports.accuracy import deviance_terms
from stforecast.reports.examined import NETWORK, TREES, Examined, words
from stforecast.reports.figures import label, new_figure, whiskers
from stforecast.reports.page import Block, Picture, Section, Table, Text
from stforecast.scoring.bootstrap import BLOCK_DAYS, Interval, block_count, day_weights, interval, mean_draws, of_blocks
from stforecast.scoring.calibration import Calibration

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages

MOST_ISSUES, REPEATS = 28, 3
Shuffle = Callable[[Reader, Recall, np.random.Generator], tuple[Reader, Recall]]


class Probe(Protocol):
    """A fitted forecaster that can be asked with other inputs than its own."""

    reader: Reader

    def log_intensity(self, reader: Reader, recall: Recall) -> Tensor:
        """log λ [k n c] at the one issue of `recall`, before calibration."""

    def advance(self, recall: Recall) -> None:
        """Carry on through the issues of an honest `recall`."""


class NetworkProbe:
    """The network, its state carried."""

    def __init__(self, model: Any, cube: Cube) -> None:
        from stforecast.forecasters.gcrn.inputs import inputs_of

        settings = model.module.settings
        self.reader = Reader(cube, Scales.from_plain(settings["scales"]), settings["patch"], model.device)
        self.network, self.graph, self.inputs_of = model.module.best, model.module.graph, inputs_of
        self.h = self.network.start(cube.n, self.reader.device)

    def log_intensity(self, reader: Reader, recall: Recall) -> Tensor:
        rate, _ = self.network(self.inputs_of(reader, recall), self.h, self.graph)
        return rate[0].permute(1, 2, 0).log()

    def advance(self, recall: Recall) -> None:
        _, self.h = self.network(self.inputs_of(self.reader, recall), self.h, self.graph)


class TreesProbe:
    """A tree ensemble: nothing is carried beside the long memory."""

    def __init__(self, model: Any, cube: Cube) -> None:
        from stforecast.features.tabular import RowTable

        self.model, self.table = model, RowTable(cube, model.scales)
        self.reader = self.table.reader

    def log_intensity(self, reader: Reader, recall: Recall) -> Tensor:
        table = copy.copy(self.table)
        table.reader = reader
        found = self.model.intensity_of(table.rows(recall).numpy())
        c, k, n = recall.log_rate.shape[1:]
        return torch.as_tensor(found).reshape(k, n, c).log()

    def advance(self, recall: Recall) -> None:
        pass


def over_hexagons(*fields: str, columns: tuple[str, ...] = ()) -> Shuffle:
    """Shuffle fields of `Recall`, and blocks of its features over the hexagons."""

    def shuffle(reader: Reader, recall: Recall, rng: np.random.Generator) -> tuple[Reader, Recall]:
        order = torch.as_tensor(rng.permutation(recall.log_rate.shape[-1]), device=recall.log_rate.device)
        changed = {name: getattr(recall, name)[..., order] for name in fields}
        features = recall.features.clone()
        for place in (blocks(reader.cube.c)[name] for name in columns):
            features[:, place] = recall.features[:, place, order]
        return reader, replace(recall, features=features, **changed)

    return shuffle


def over_days(offsets: np.ndarray, *, calendar: bool = False, weather: bool = False, city: bool = False) -> Shuffle:
    """Take what all hexagons share from a day that lies one of `offsets` steps from the issue, chosen at random."""

    def shuffle(reader: Reader, recall: Recall, rng: np.random.Generator) -> tuple[Reader, Recall]:
        issue = recall.issues[0]
        inside = offsets[(issue + offsets >= 0) & (issue + offsets + reader.cube.horizons <= reader.cube.steps)]
        shift = int(rng.choice(inside)) if inside.size else 0
        days = 7 + reader.record.per_day + 3
        other = copy.copy(reader)
        here = reader.record.at(torch.arange(issue - reader.patch, issue + reader.cube.horizons, device=reader.device))
        other.target, other.city = reader.target.clone(), reader.city.clone()
        if calendar:
            other.target[here, :days] = reader.target[here + shift, :days]
        if weather:
            other.target[here, days:] = reader.target[here + shift, days:]
            other.city[here] = reader.city[here + shift]
        return other, recall

    return shuffle


def groups(cube: Cube, issues: np.ndarray) -> dict[str, Shuffle]:
    """The groups that can be shuffled in this city, and how."""
    days = issues[:, None] - issues
    offsets = np.unique(days[days != 0])
    out: dict[str, Shuffle] = {
        "usual rate (climatology)": over_hexagons("log_rate", columns=("level",)),
        "long memory of the hexagon": over_hexagons(columns=("all", "each")),
        "long memory of its neighbours": over_hexagons(columns=("ring", "ring each")),
        "memory by hour of the day": over_hexagons("recurring"),
        "events of the last days": over_hexagons("patch", "late", "recent"),
    }
    if cube.weather.names or cube.future.names:
        out["weather"] = over_days(offsets, weather=True)
    out["weekday and holidays"] = over_days(offsets, calendar=True)
    return out


@torch.no_grad()
def importance(
    examined: Examined, name: str, probe: Probe, calibration: Calibration, seed: int = 0
) -> dict[str, Interval]:
    """Increase of deviance × 10³ of each group when it is shuffled, with day-block intervals.

    Deviance is at the level and contrast that the kept forecast of `name` has at each issue.
    """
    cube, every = examined.cube, examined.issues
    chosen, block = drawn_issues(len(every))
    shuffles, rng = groups(cube, every), np.random.default_rng(seed)
    memory = probe.reader.memory(int(every[0]) % probe.reader.patch)
    rows: dict[str, list[float]] = {group: [] for group in shuffles}
    for place in tqdm(chosen, desc=f"importance {name}", unit="issue", disable=None):
        while memory.next_issue < every[place]:
            probe.advance(memory.walk(min(28, (int(every[place]) - memory.next_issue) // probe.reader.patch)))
        recall = memory.walk(1)
        kept, counts = np.asarray(examined.intensity[name][place]), examined.counts[place]
        honest = _calibrated(probe.log_intensity(probe.reader, recall), calibration)
        drift = Calibration.between(honest, kept)  # what following the weeks before changed
        base = float(deviance_terms(drift.apply(honest), counts).mean())
        for group, shuffle in shuffles.items():
            losses = []
            for _ in range(REPEATS):
                shuffled = _calibrated(probe.log_intensity(*shuffle(probe.reader, recall, rng)), calibration)
                losses.append(deviance_terms(drift.apply(shuffled), counts).mean())
            rows[group].append(1e3 * (float(np.mean(losses)) - base))
        probe.advance(recall)
    weights = day_weights(len(chosen), block_days=block, seed=seed)
    return {group: interval(mean_draws(np.array(gains), weights)) for group, gains in rows.items()}


def drawn_issues(count: int) -> tuple[np.ndarray, int]:
    """The issues that are shuffled, evenly spread over `count` of them, and how many of these a week holds."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_ISSUES)).round().astype(int))
    return chosen, max(1, round(BLOCK_DAYS * len(chosen) / count))


def _calibrated(log_intensity: Tensor, calibration: Calibration) -> np.ndarray:
    return calibration.apply(log_intensity.exp().cpu().numpy())


def probe_of(forecaster: Forecaster, cube: Cube) -> Probe:
    """The (first fit of the) network or of a tree ensemble, ready to be asked."""
    one = getattr(forecaster, "members", [forecaster])[0]
    return NetworkProbe(one, cube) if one.name == NETWORK else TreesProbe(one, cube)


def section(examined: Examined, stages: Stages) -> Section:
    """Importance of the groups for the network and the first tree ensemble of the run."""
    title = "What the forecast rests on"
    names = [name for name in examined.intensity if name == NETWORK]
    names += [name for name in examined.intensity if name in TREES][:1]
    if not names:
        return Section("importance", title, [Text("Neither the network nor trees are part of this run.")])
    found: dict[str, Mapping[str, Interval]] = {}
    for name in names:
        fitted = examined.run.open(name, stages.config).forecaster
        probe = probe_of(fitted.forecaster, examined.cube.as_known(int(examined.issues[-1])))
        found[name] = importance(examined, name, probe, fitted.calibration, examined.seed)
    return Section("importance", title, _blocks(examined, found))


def _blocks(examined: Examined, found: Mapping[str, Mapping[str, Interval]]) -> list[Block]:
    listed = list(next(iter(found.values())))
    chosen, block = drawn_issues(len(examined.issues))
    blocks = block_count(len(chosen), block)
    figure, axes = new_figure(1, len(found), height=0.9 + 0.3 * len(listed), sharey=True)
    parts, rows = [], []
    for one, (name, gains) in zip(axes, found.items(), strict=True):
        low, middle, high = np.array([(g.low, g.estimate, g.high) for g in gains.values()]).T
        whiskers(one, listed, low, middle, high)
        one.set_xscale("symlog", linthresh=0.1)
        one.set_xticks([0, 0.1, 1, 10, 100], ["0", ".1", "1", "10", "100"])
        seen = np.nan_to_num([low, middle, high])
        one.set_xlim(min(-0.02, seen.min() * 1.2), max(seen.max() * 1.6, 0.2))
        label(one, words(name), "deviance lost × 10³")
        parts.append(f"{words(name)}: " + ", ".join(f"{g} {v.estimate:.2f}" for g, v in gains.items()))
        rows += [(words(name), g, v.low, v.estimate, v.high, blocks) for g, v in gains.items()]
    first, gains = next(iter(found.items()))
    most = sorted(gains, key=lambda group: -gains[group].estimate)
    none = [group for group, gain in gains.items() if not gain.low > 0]
    base = 1e3 * examined.card["forecasters"][first]["poisson_deviance"]
    said = (
        f"When its inputs are shuffled, the {words(first)} loses most by {most[0]} ({gains[most[0]].estimate:.2f} × "
        f"10⁻³ on a deviance of {base:.2f} × 10⁻³), then by {most[1]} ({gains[most[1]].estimate:.2f} × 10⁻³)."
    )
    said += f" Not clear of zero ({of_blocks(blocks)}): {', '.join(none)}." if none else f" {of_blocks(blocks)}."
    note = (
        f"{MOST_ISSUES} days of the test slice at most, evenly spread, {REPEATS} shuffles each. Inputs "
        "resemble each other: what one group says another says too, so that a small loss does not mean that a group "
        "could be left out, nor do losses add up. Shuffling the usual rate gives hexagons each "
        "other's level, which no real input does. What the network's carried state remembers of earlier days is not "
        "shuffled. Of several fits the first is asked. Nothing here tells why offences are reported where they are."
    )
    names = ["forecaster", "group", "from", "deviance lost × 10³", "to", "blocks"]
    table = Table("importance", pd.DataFrame(rows, columns=names), formats=dict.fromkeys(names[2:5], "{:+.3f}"))
    alt = f"Deviance lost × 10³ when a group of inputs is shuffled. {'; '.join(parts)}."
    return [
        Text(said),
        Picture("importance", figure, alt, "On a scale that is logarithmic beyond 0.1."),
        table,
        Text(note, note=True),
    ]
