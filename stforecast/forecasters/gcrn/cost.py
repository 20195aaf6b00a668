"""What a cube and a network take in memory, counted before it is spent."""

from __future__ import annotations

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features import recurring, rhythms
from stforecast.features.memory import DAYS, blocks
from stforecast.features.recent import RECENT_HOURS
from stforecast.features.record import LAGS_DAYS, stretch_of
from stforecast.forecasters.gcrn.network import QUERY
from stforecast.forecasters.gcrn.parts import KNOTS
from stforecast.forecasters.gcrn.propagation import SUPPORTS

FLOAT = 4
EVENT = 26 * 8
"""Bytes of an event in the cube, on the device and in what it is sorted and counted with."""
LIBRARIES = 70 << 20
"""What PyTorch and Lightning take once they train, measured on a CPU."""


def cost(cube: Cube, config: Config) -> dict[str, int]:
    """Bytes on the training device, by what they are for; the interpreter and its libraries come on top.

    Counted by hexagon in single-precision numbers, as the tensors of a training step and of the validation slice that
    are alive at once.
    """
    n, c, k, model = cube.n, cube.c, cube.horizons, config.model
    slots, length = max(1, 24 // cube.step_hours), config.training.truncation
    ahead = length * max(1, stretch_of(cube) // length)
    p = min(max(1, model.patch_hours // cube.step_hours), k)
    own = config.training.streams // config.training.devices
    day, recent, features = len(DAYS) * c, len(RECENT_HOURS) * c, blocks(c)["level"].stop
    nodes = p * c + (4 * c if cube.late else 0) + features
    lags = LAGS_DAYS[-1] * slots // p if cube.late else 0
    # counts by hour of the week and the rhythm behind them, sums, what was expected of them and of patches whose
    # reports are still due
    memory = 14 * slots * c + rhythms.COUNT + (len(recurring.DAYS) + 7 * len(recurring.WEEKS)) * c * slots
    memory += 2 * day + recent + (2 * (lags + 1) + ahead) * c
    # one issue: what is remembered of it and read, then what the layers keep for their gradients, then the gradients
    leaves = c * k
    given = 2 * nodes + 2 * features + recent + (1 + recurring.COUNT) * leaves
    layers = (9 + 4 * SUPPORTS[model.conv]) * model.hidden + 2 * (model.hidden + features) + 3 * QUERY + model.rank
    layers += 2 * recent + 6 * leaves
    gradients = (4 + 2 * SUPPORTS[model.conv]) * model.hidden + features + 2 * QUERY + model.rank + 6 * leaves
    once = (1 + len(KNOTS)) * recurring.COUNT * leaves  # of one issue at a time
    read = own * given * (ahead + (length if own > 1 else 0))  # streams are laid side by side
    stretch = own * length * (layers + gradients) + once
    # the forecasts of the validation slice, calibrated and scored: about five arrays of its size
    checked = max(1, int(cube.steps / slots * _share(config))) * leaves
    return {
        "PyTorch and Lightning at work": LIBRARIES,
        "events of the cube, and on the device": cube.hour.size * EVENT,
        "long memory": (own + 1) * n * memory * FLOAT,
        "what is read of a walk": n * read * FLOAT,
        "a stretch of training, or the forecasts of the validation slice": n * max(stretch, 5 * checked) * FLOAT,
        "counts of the validation slice": n * checked * FLOAT,
        "a year of daily forecasts": 365 * n * leaves * FLOAT * 3,
    }


def _share(config: Config) -> float:
    """Of the days, the validation slice; where it is given by date, as by default."""
    share = config.split.validation
    return share if isinstance(share, float) else 0.08
