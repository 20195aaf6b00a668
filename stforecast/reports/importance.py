"""Section: what the network and a tree read: the loss when a group of their inputs is shuffled (Breiman 2001).

Both read the same `FeatureBatch`, so a group is shuffled there, before either makes its own columns of it. Every issue
is forecast from the honest past: the carried state knows nothing of the shuffles before. What differs by hexagon is
shuffled over the hexagons of the issue; what all hexagons share is taken from another day of the slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.delivery.figures import label, new_figure, whiskers
from stforecast.features.builder import FeatureBatch, clone_state
from stforecast.features.covariates import Covariates
from stforecast.features.table import LEVEL, TABLES
from stforecast.forecasters.streaming import LearnedForecaster
from stforecast.reports.accuracy import deviance_terms
from stforecast.reports.evaluated import NETWORK, TREES, EvaluatedRun
from stforecast.reports.page import Block, Picture, Table, Text, note, standing, words
from stforecast.reports.terms import terms_of
from stforecast.scoring.bootstrap import Interval, block_count, blocks_of, day_weights, interval, mean_draws, of_blocks
from stforecast.scoring.calibration import Calibration

MOST_ISSUES, REPEATS = 28, 3
Shuffled = tuple[Covariates, FeatureBatch]
Shuffle = Callable[[Covariates, FeatureBatch, np.random.Generator], Shuffled]


def over_hexagons(*fields: str, families: tuple[str, ...] = ()) -> Shuffle:
    """Shuffle fields of a `FeatureBatch`, and families of its log-ratios, over the hexagons."""

    def shuffle(covariates: Covariates, batch: FeatureBatch, rng: np.random.Generator) -> Shuffled:
        order = torch.as_tensor(rng.permutation(batch.log_rate.shape[-1]), device=batch.log_rate.device)
        changed = {name: getattr(batch, name)[..., order] for name in fields}
        features, unit = batch.features.clone(), covariates.events.cube.step_unit
        places = TABLES[unit].layout(batch.log_rate.shape[1])
        for place in (places[name] for name in families):
            features[:, place] = batch.features[:, place, order]
        return covariates, replace(batch, features=features, **changed)

    return shuffle


def over_days(offsets: np.ndarray, *, calendar: bool = False, weather: bool = False) -> Shuffle:
    """Take what all hexagons share from a day that lies one of `offsets` steps from the issue, chosen at random."""

    def shuffle(covariates: Covariates, batch: FeatureBatch, rng: np.random.Generator) -> Shuffled:
        issue, events, days = batch.issues[0], covariates.events, covariates.calendar
        cube, device = events.cube, events.device
        shift = _shift(issue, cube, offsets, rng)
        here = events.at(torch.arange(issue - events.patch, issue + cube.horizons, device=device))
        target, observed = covariates.target.clone(), covariates.weather.clone()
        if calendar:
            target[here, :days] = covariates.target[here + shift, :days]
        if weather:
            target[here, days:] = covariates.target[here + shift, days:]
            observed[here] = covariates.weather[here + shift]
        return replace(covariates, target=target, weather=observed), batch

    return shuffle


def of_covariate(name: str, offsets: np.ndarray) -> Shuffle:
    """Take a covariate from another day, and shuffle it over the hexagons; λ₀ follows it."""

    def shuffle(covariates: Covariates, batch: FeatureBatch, rng: np.random.Generator) -> Shuffled:
        cells, cube, issue = covariates.cells, covariates.events.cube, batch.issues[0]
        own = [place := cells.names.index(name), place + len(cells.names)]
        order = torch.as_tensor(rng.permutation(cube.n), device=batch.log_rate.device)
        changed = batch.by_cell.clone()
        changed[:, own] = cells.at([issue + _shift(issue, cube, offsets, rng)])[:, own][..., order]
        log_rate = batch.log_rate + cells.log_factor(changed) - cells.log_factor(batch.by_cell)
        return covariates, replace(batch, by_cell=changed, log_rate=log_rate)

    return shuffle


def _shift(issue: int, cube: Cube, offsets: np.ndarray, rng: np.random.Generator) -> int:
    """One of the `offsets` that leads to an issue of the record, chosen at random; 0 where none does."""
    inside = offsets[(issue + offsets >= 0) & (issue + offsets + cube.horizons <= cube.steps)]
    return int(rng.choice(inside)) if inside.size else 0


def groups(cube: Cube, issues: np.ndarray) -> dict[str, Shuffle]:
    """The groups that can be shuffled in this city, and how."""
    apart, terms = issues[:, None] - issues, terms_of(cube.step, cube.horizons)
    offsets = np.unique(apart[apart != 0])
    again = {"hour": "at this hour of the day", "day": "on this weekday", "month": "in this month of the year"}
    calendar = "month of the year" if cube.step_unit == "month" else "weekday and holidays"
    out: dict[str, Shuffle] = {
        f"average of past {terms['weeks']} (climatology)": over_hexagons("log_rate", families=(LEVEL,)),
        "past reports of the hexagon": over_hexagons(families=("all", "each")),
        "past reports of its neighbours": over_hexagons(families=("ring", "ring each")),
        f"past reports {again[cube.step_unit]}": over_hexagons("seasonal"),
        f"reports of the last {terms['issues']}": over_hexagons("patch", "late", "recent"),
    }
    if cube.weather.names or cube.future.names:
        out["weather"] = over_days(offsets, weather=True)
    out[calendar] = over_days(offsets, calendar=True)
    return out | {f"covariate {words(one.name)}": of_covariate(one.name, offsets) for one in cube.covariates}


@torch.no_grad()
def importance(run: EvaluatedRun, name: str, model: LearnedForecaster, seed: int = 0) -> dict[str, Interval]:
    """Increase of deviance × 10³ of each group when it is shuffled, with block intervals.

    Deviance is at the level and contrast that the kept forecast of `name` has at each issue.
    """
    every, calibration = run.issues, model.fitted.calibration
    cube = run.cube.as_known(int(every[-1]))
    chosen, block = drawn_issues(len(every), run.blocks.length)
    shuffles, rng = groups(cube, every), np.random.default_rng(seed)
    builder = model.reader(cube)
    state = model.init_state(builder, int(every[0]) % builder.patch)
    rows: dict[str, list[float]] = {group: [] for group in shuffles}
    for place in tqdm(chosen, desc=f"importance {name}", unit="issue", disable=None):
        while (first := int(state["next_issue"])) < every[place]:
            model.step(builder, state, min(28, (int(every[place]) - first) // builder.patch), ())
        before = clone_state(state)
        batch = builder.step(clone_state(state), 1)
        kept, counts = np.asarray(run.intensity[name][place]), run.counts[place]
        honest = calibration.apply(model.forecast_features(builder, before, batch))
        drift = Calibration.between(honest, kept)  # what following the weeks before changed
        base = float(deviance_terms(drift.apply(honest), counts).mean())
        for group, shuffle in shuffles.items():
            losses = []
            for _ in range(REPEATS):
                covariates, shuffled = shuffle(builder.covariates, batch, rng)
                lam = calibration.apply(model.forecast_features(builder, before, shuffled, covariates))
                losses.append(deviance_terms(drift.apply(lam), counts).mean())
            rows[group].append(1e3 * (float(np.mean(losses)) - base))
    weights = day_weights(len(chosen), block_days=block, seed=seed)
    return {group: interval(mean_draws(np.array(gains), weights)) for group, gains in rows.items()}


def drawn_issues(count: int, block: int) -> tuple[np.ndarray, int]:
    """The issues that are shuffled, evenly spread over `count`, and how many of these a block of so many holds."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_ISSUES)).round().astype(int))
    return chosen, max(1, round(block * len(chosen) / count))


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Zero and powers of ten from 0.1 on, on both sides as far as an axis goes; every second one of many."""
    powers = [10.0**power for power in range(-1, 9)]
    up, down = ([power for power in powers if power <= end] for end in (high, -low))
    every = 1 if len(up) + len(down) < 6 else 2
    return [*(-power for power in down[::-every]), 0.0, *up[::every]]


def blocks(run: EvaluatedRun) -> list[Block]:
    """Importance of the groups for the network and the first tree ensemble of the run."""
    names = [name for name in run.intensity if name == NETWORK]
    names += [name for name in run.intensity if name in TREES][:1]
    if not names:
        return [Text("Neither the network nor trees are part of this run.")]
    found: dict[str, Mapping[str, Interval]] = {}
    for name in names:
        model = run.fitted(name)
        assert isinstance(model, LearnedForecaster)
        found[name] = importance(run, name, model, run.seed)
    listed = list(found[names[0]])
    chosen, block = drawn_issues(len(run.issues), run.blocks.length)
    weeks = block_count(len(chosen), block)
    figure, axes = new_figure(1, len(found), height=0.9 + 0.3 * len(listed), sharey=True)
    parts, rows = [], []
    for one, (name, gains) in zip(axes, found.items(), strict=True):
        low, middle, high = np.array([(g.low, g.estimate, g.high) for g in gains.values()]).T
        whiskers(one, listed, low, middle, high)
        one.set_xscale("symlog", linthresh=0.1)
        seen = np.nan_to_num([low, middle, high])
        least, most_added = min(-0.02, seen.min() * 1.2), max(seen.max() * 1.6, 0.2)
        ticks = logarithmic_ticks(least, most_added)
        one.set_xticks(ticks, [f"{tick:g}".replace("0.", ".") for tick in ticks])
        one.set_xlim(least, most_added)
        label(one, words(name), "deviance added × 10³")
        parts.append(f"{words(name)}: " + ", ".join(f"{g} {v.estimate:.2f}" for g, v in gains.items()))
        rows += [(words(name), g, v.low, v.estimate, v.high, weeks) for g, v in gains.items()]
    gains = found[names[0]]
    most, second, *_ = sorted(gains, key=lambda group: -gains[group].estimate)
    none = [group for group, gain in gains.items() if not gain.low > 0]
    added = {"most": most, "second": second, "rise": gains[most].estimate, "next": gains[second].estimate}
    base = 1e3 * run.card["forecasters"][names[0]]["poisson_deviance"]
    rest = of_blocks(weeks, run.blocks.name)
    clear = f"No clear effect: {', '.join(none)} ({rest})." if none else f"{rest}."
    text = f"{standing('importance_found', forecaster=words(names[0]), base=base, **added)} {clear}"
    columns = ["forecaster", "group", "from", "deviance added × 10³", "to", blocks_of(run.blocks.name)]
    table = Table("importance", pd.DataFrame(rows, columns=columns))
    alt = f"Deviance added × 10³ when a group of inputs is shuffled. {'; '.join(parts)}."
    picture = Picture("importance", figure, alt, "On a scale that is logarithmic beyond 0.1.")
    return [Text(text), picture, table, note("importance", most=MOST_ISSUES, repeats=REPEATS, **run.terms)]
