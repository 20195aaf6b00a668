"""What a cube and a network take in memory, counted before it is spent."""

from __future__ import annotations

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.forecasters import recurring
from stforecast.forecasters.gcrn.propagation import SUPPORTS
from stforecast.forecasters.memory import DAYS, HOUR_DAYS, blocks
from stforecast.forecasters.recent import RECENT_HOURS

FLOAT = 4


def cost(cube: Cube, config: Config) -> dict[str, int]:
    """Bytes on the training device, by what they are for; the interpreter and its libraries come on top."""
    n, c, k, model = cube.n, cube.c, cube.horizons, config.model
    slots, length, p = max(1, 24 // cube.step_hours), config.training.truncation, model.patch_hours
    memory = blocks(c)["level"].stop + len(HOUR_DAYS) * slots
    nodes = p * c + memory + (4 * c if cube.late else 0)
    # per issue and hexagon: features and copies, gates of the recurrence, read-out, excitation, loss on k × c leaves
    gates = (8 + 3 * SUPPORTS[model.conv]) * model.hidden
    leaves = (18 + 7 * recurring.COUNT) * k * c + 6 * k
    kept = 3 * nodes + memory + gates + 3 * 128 + model.rank + 6 * len(RECENT_HOURS) * c + leaves
    carried = n * (c * (2 * len(DAYS) + len(RECENT_HOURS)) + slots * (2 * len(HOUR_DAYS) + 16 + 2))
    carried += n * c * slots * (len(recurring.DAYS) + 7 * len(recurring.WEEKS))
    stretch = length * n * kept
    targets = int(cube.steps * 0.75) * n * c
    days = cube.steps // slots
    read = nodes + memory + (5 + recurring.COUNT) * k * c + 3 * k
    return {
        "events of the cube": cube.hour.size * 8 * 5,
        "counts of the training slice": targets * FLOAT,
        "one stretch of training, forward and backward": (2 * stretch + carried) * FLOAT,
        "validation slice": int(days * 0.08 + 90) * n * read * FLOAT,
        "a year of daily forecasts": 365 * k * n * c * FLOAT * 3,
    }
