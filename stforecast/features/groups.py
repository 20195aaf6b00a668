"""What forecasters read, in groups that a reader knows by name, and each group as it usually is.

Every input belongs to one group (`FIELDS`, `PLACES`, `COLUMNS`). `InputsByGroup` gives what is read at an issue where
the groups of a set are as they are and all others as usual:

    usual        the slow climatology of the cell at this hour of the week, and which hour it is: always as it is
    city         how the city departs from its own average, and all its cells with it; usual: as expected
    calendar     holidays; usual: the same weekday and hour on an ordinary day
    weather      observed and forecast; usual: the mean of the same hours within two weeks of this date, of the past
    covariates   of the cell; usual: its mean at these hours of the last four weeks (years), and no planned event
    last_days    how the cell's own reports depart from its average beside that, over days to a year; usual: not
    neighbours   the same of all other cells
    late         reports that came in late in the newest patch; usual: as many as delays let expect

Sums of events are taken apart into what was reported in time and what came late in the newest patch, and what was in
time into the city's ratio of events to expected ones and the cell's own beside it. Each may be replaced by what was
expected of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Series
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.covariates import HOLIDAYS, Covariates
from stforecast.features.decayed import decay
from stforecast.features.scaling import Standard
from stforecast.features.stream import EventStream
from stforecast.features.table import LATE_PATCHES, LEVEL

GROUPS = ("usual", "city", "calendar", "weather", "covariates", "last_days", "neighbours", "late")
OF_EVENTS = ("last_days", "neighbours")
"""The same inputs, of the cell itself and of all others."""
FIELDS: dict[str, tuple[str, ...]] = {
    "issues": ("usual",),
    "log_rate": ("usual", "covariates"),
    "features": ("usual", "city", "late", *OF_EVENTS),
    "patch": OF_EVENTS,
    "recent": ("late", *OF_EVENTS),
    "seasonal": OF_EVENTS,
    "late": ("late",),
    "by_cell": ("covariates",),
}
"""Of the fields of a `FeatureBatch`."""
PLACES = {"hexagon": "last_days", "ring": "neighbours", "city": "city"}
"""Of families of log-ratios by whose events they sum; the level is usual."""
COLUMNS = {"events": "usual", "target": "calendar", "weather": "weather", "cells": "covariates"}
"""Of the fields of `Covariates`; of `target` weekday, hour and lead time are usual, what is forecast is weather."""
SEASON_DAYS, YEAR = 14.0, 365.25
ALL = (True, True, True)


@dataclass(frozen=True)
class Read:
    """What is read at an issue: of the newest patch, which a carried state takes in, and of the steps ahead."""

    patch: FeatureBatch
    ahead: FeatureBatch
    covariates: Covariates


class InputsByGroup:
    """What a forecaster reads at an issue, by group.

    Args:
        builder: of the record.
        state: after the newest patch before the issue.
        issue: at the newest issue of the state, or later.
    """

    def __init__(self, builder: FeatureBuilder, state: State, issue: int) -> None:
        self.builder, self.newest = builder, int(state["next_issue"]) - builder.patch
        self.ahead = builder.at_issue(state, issue)
        self.patch = builder.at_issue(state, self.newest) if issue != self.newest else self.ahead
        self.left = decay(issue - self.newest, builder.recent.half_lives)[:, None, None]
        self.layout = builder.table.layout(builder.cube.c)
        share = state["climatology"]["share"]
        self.groups = self._groups(len(share) > 1)
        self._set_events(state, share)
        self._set_covariates(issue)
        self.by_cell = {batch.issues[0]: self._usual_by_cell(batch) for batch in (self.patch, self.ahead)}

    def _groups(self, delayed: bool) -> tuple[str, ...]:
        scales = self.builder.scales
        absent = set() if delayed else {"late"}
        absent |= set() if scales.weather.names or scales.future.names else {"weather"}
        absent |= set() if scales.covariates.names else {"covariates"}
        return tuple(group for group in GROUPS[1:] if group not in absent)

    def _set_events(self, state: State, share: Tensor) -> None:
        """Sums and counts of events by which of a cell's own past, late reports and the city are as they are."""
        b, p, (c, n) = self.builder, self.builder.patch, state["recent"].shape[1:]
        lags, due = self._due(state, share)
        new = EventStream(b.cube, p, device=b.device, since=self.newest).arrivals(self.newest, 1)
        late = replace(new, counted=new.counted * (new.age >= p))
        known, usual = state["daily"]
        came = b.daily.arrived(late, 1, c, n)[0]
        waited = sum((b.daily.left(lag * p) * one for lag, one in zip(lags[1:], due[1:], strict=True)), came * 0)
        level, sums = self.ahead.features[:, self.layout[LEVEL]], _parted(known, usual, came, waited)
        self.features = {
            key: torch.cat([b.log_ratios(torch.stack([one, usual])[None]), level], 1) for key, one in sums.items()
        }
        rate = b.climatology.forecast(state["climatology"], self.newest, b.cube.horizons)  # [c k n]
        step, half_lives = torch.arange(p, device=b.device), b.recent.half_lives
        of_patch = rate[:, (step - p) % rate.shape[1]]  # [c p n]: the same hours of a usual day
        once = torch.einsum("cpn,ph->hcn", of_patch, decay((p - 1 - step)[:, None], half_lives))
        back = torch.stack([decay(lag * p, half_lives) for lag in lags])  # [j h]
        usual = torch.einsum("jh,jc->hc", back, share)[..., None] * once / (1 - decay(p, half_lives))[:, None, None]
        waited = torch.einsum("jh,jc->hc", back[1:], share[1:])[..., None] * once
        sums = _parted(self.patch.recent[0], usual, b.recent.arrived(late, 1, c, n)[0], waited)
        self.recent = {key: one[None] for key, one in sums.items()}
        channel = (int(b.events.slots(torch.tensor(self.newest, device=b.device))[1]) + step) % p
        usual = torch.empty_like(self.ahead.patch[0])
        usual[channel] = (of_patch * share[0][:, None, None]).transpose(0, 1)
        sums = _parted(self.ahead.patch[0], usual, none := torch.zeros_like(usual), none, over=(0, 2))
        self.counts = {key: one[None] for key, one in sums.items()}
        by_age = torch.zeros_like(self.ahead.late)
        for lag, one in zip(lags[1:], due[1:], strict=True):
            by_age[0, sum(lag > bound for bound in LATE_PATCHES)] += one
        self.late = {False: by_age, True: self.ahead.late}
        # to the last digit
        self.features[ALL], self.recent[ALL] = self.ahead.features, self.patch.recent
        self.counts[ALL] = self.ahead.patch

    def _due(self, state: State, share: Tensor) -> tuple[list[int], list[Tensor]]:
        """After how many patches reports come, and how many of each were expected in the newest patch, [c n]."""
        lags, past = list(self.builder.climatology.lags[: len(share)]), state["expected"]
        return lags, [past[-min(2 + lag, len(past))] * part[:, None] for lag, part in zip(lags, share, strict=True)]

    def _set_covariates(self, issue: int) -> None:
        """Calendar and weather by (calendar as it is?, weather as it is?)."""
        own, scales, p = self.builder.covariates, self.builder.scales, self.builder.patch
        steps = np.arange(self.newest - p, issue + self.builder.cube.horizons)
        at = own.events.at(torch.as_tensor(steps, device=own.target.device))
        target, weather = own.target.clone(), own.weather.clone()
        cube, days = self.builder.cube, own.calendar
        for values, series, standard, first in (
            (target, cube.future, scales.future, days),
            (weather, cube.weather, scales.weather, 0),
        ):
            usual, width = torch.as_tensor(self._season(series, standard, steps)), len(standard.names)
            seen = values[at, first + width : first + 2 * width]
            values[at, first : first + width] = usual.to(values.device) * seen
        ordinary = own.target.clone()
        ordinary[at, days - HOLIDAYS : days] = 0
        both = torch.cat([ordinary[:, :days], target[:, days:]], 1)
        self.covariates = {
            (True, True): own,
            (False, True): replace(own, target=ordinary),
            (True, False): replace(own, target=target, weather=weather),
            (False, False): replace(own, target=both, weather=weather),
        }

    def _season(self, series: Series, standard: Standard, steps: np.ndarray) -> np.ndarray:
        """The mean of the standardised channels over the same hours of the past near this date, [t w]."""
        step, width = self.builder.cube.step, len(standard.names)
        past = standard.window(series, 0, self.newest)
        back = np.arange(1, len(past) // step.per_day + len(steps))
        apart = (back * step.per_day * step.days + YEAR / 2) % YEAR - YEAR / 2
        at = steps[:, None] - back[abs(apart) <= SEASON_DAYS] * step.per_day
        inside = (at >= 0) & (at < len(past))
        found = past[np.where(inside, at, 0)] * inside[..., None] if len(past) else np.zeros((*at.shape, 2 * width))
        values, seen = found[..., :width].sum(1), found[..., width:].sum(1)
        return np.divide(values, seen, out=np.zeros_like(values), where=seen > 0).astype(np.float32)

    def _usual_by_cell(self, batch: FeatureBatch) -> Tensor:
        """Covariates by cell as they are at these hours without planned events, [1 2j k n]."""
        cells, slots = self.builder.covariates.cells, self.builder.cube.step.slots
        j = len(cells.names)
        before = [issue for i in range(4, 0, -1) if (issue := batch.issues[0] - i * slots) >= 0]
        if not j or not before:
            return batch.by_cell
        past, seen = cells.at(before).split(j, 1)
        mean = (past * seen).sum(0, keepdim=True) / seen.sum(0, keepdim=True).clamp(min=1)
        for place, one in cells.found.items():
            if one.kind == "planned":
                mean[:, place] = 0
        known = batch.by_cell[:, j:]
        return torch.cat([mean * known, known], 1)

    def read(self, real: Collection[str], own: Tensor | None = None) -> Read:
        """What is read where the groups `real` are as they are.

        Args:
            real: of `groups`.
            own: cells whose own inputs of the past `last_days` decides, bool [n]; default all. Of the others it is
                `neighbours`.
        """
        real = frozenset(real)
        own = torch.ones(self.builder.cube.n, dtype=torch.bool, device=self.builder.device) if own is None else own
        covariates = self.covariates["calendar" in real, "weather" in real]
        ahead = self._batch(self.ahead, real, own)
        patch = ahead if self.patch is self.ahead else self._batch(self.patch, real, own)
        return Read(patch, ahead, covariates)

    def _batch(self, batch: FeatureBatch, real: frozenset[str], own: Tensor) -> FeatureBatch:
        late, city = ("late" in real or "late" not in self.groups), "city" in real
        mine, theirs = ((group in real, late, city) for group in OF_EVENTS)

        def by_cell(mine: Tensor, theirs: Tensor) -> Tensor:
            return mine if mine is theirs else torch.where(own, mine, theirs)

        features = batch.features.clone()
        for family in self.builder.table.log_ratios:
            group, place = PLACES[family.place], self.layout[family.name]
            here = (group in real, late, city)
            others = here if group == "city" else theirs
            features[:, place] = by_cell(self.features[here], self.features[others])[:, place]
        seasonal = {False: torch.zeros_like(batch.seasonal), True: batch.seasonal}
        cells, rate = self.builder.covariates.cells, batch.log_rate
        known = batch.by_cell if "covariates" in real else self.by_cell[batch.issues[0]]
        if known is not batch.by_cell:
            rate = rate + cells.log_factor(known) - cells.log_factor(batch.by_cell)
        return FeatureBatch(
            batch.issues,
            log_rate=rate,
            features=features,
            patch=by_cell(self.counts[mine], self.counts[theirs]),
            recent=by_cell(self.recent[mine], self.recent[theirs]) * (self.left if batch is self.ahead else 1.0),
            seasonal=by_cell(seasonal[mine[0]], seasonal[theirs[0]]),
            late=self.late[late],
            by_cell=known,
        )


def _parted(
    known: Tensor, usual: Tensor, came: Tensor, waited: Tensor, over: tuple[int, ...] = (-1,)
) -> dict[tuple[bool, bool, bool], Tensor]:
    """Sums of events by whether the cell's past, late reports and the city are as they are.

    The city moves all of its cells by the ratio of what is known to what is usual, summed `over` the cells; a cell's
    own past is what it has beside that.

    Args:
        known: the sums.
        usual: what was expected of them.
        came: what late reports of the newest patch have in `known`.
        waited: what was expected of these.
    """
    ratio = (known.sum(over, keepdim=True) + 1) / (usual.sum(over, keepdim=True) + 1)
    found = {}
    for own, late, city in product((False, True), repeat=3):
        in_time = known - came if own else usual - waited
        level = (ratio if city else 1 / ratio) if own != city else 1.0
        found[own, late, city] = in_time * level + (came if late else waited)
    return found
