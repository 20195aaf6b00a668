"""What a cube and a network take in memory, counted before it is spent."""

from __future__ import annotations

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.forecasters.gcrn.propagation import SUPPORTS
from stforecast.forecasters.memory import DAYS, HOUR_DAYS, blocks

FLOAT = 4


def cost(cube: Cube, config: Config) -> dict[str, int]:
    """Bytes on the training device, by what they are for; the interpreter and its libraries come on top."""
    n, c, k, model = cube.n, cube.c, cube.horizons, config.model
    slots, length, p = max(1, 24 // cube.step_hours), config.training.truncation, model.patch_hours
    memory = blocks(c)["level"].stop + len(HOUR_DAYS) * slots
    nodes = p * c + memory + (4 * c if cube.late else 0)
    # per issue and hexagon: features and their copies, gates of the recurrence, read-out and loss on k × c leaves
    kept = (
        3 * nodes + memory + (8 + 3 * SUPPORTS[model.conv]) * model.hidden + 3 * 128 + model.rank + 12 * k * c + 6 * k
    )
    carried = n * (2 * c * len(DAYS) + slots * (2 * len(HOUR_DAYS) + 16 + 2))
    stretch = length * n * kept
    targets = int(cube.steps * 0.75) * n * c
    days = cube.steps // slots
    return {
        "events of the cube": cube.hour.size * 8 * 5,
        "counts of the training slice": targets * FLOAT,
        "one stretch of training, forward and backward": (2 * stretch + carried) * FLOAT,
        "validation slice": int(days * 0.08 + 90) * n * (nodes + memory + 5 * k * c + 3 * k) * FLOAT,
        "a year of daily forecasts": 365 * k * n * c * FLOAT * 3,
    }
