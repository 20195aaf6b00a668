"""A map of a new city before anything is fitted to it: the network of many cities as it is."""

from __future__ import annotations

from stforecast.pipeline.stages import Stages
from stforecast.pipeline.starting import starting_weights


def first_map(stages: Stages) -> None:
    """Write a map from the weights to start from, where a city has no grid yet; it only calibrates them.

    It is a run like any other, of the network beside what is usual; the next one that is finished takes its place.
    """
    config, cube = stages.config, stages.cube()
    if stages.run(cube).finished or any(stages.place.grids.glob("*/grid.json")):
        return
    # what lies ahead was not learned from, whatever was of the test slice: nothing is scored here
    weights, _ = starting_weights(config, cube, stages.split(cube), simulated=True)
    if weights is None or "gcrn" not in weights.starts:
        return
    start = "pretrained" if config.training.start == "auto" else config.training.start
    training = config.training.model_copy(update={"start": start, "adapt": "none"})
    few = config.evaluation.model_copy(update={"forecasters": ["gcrn", "rolling_climatology"]})
    first = Stages(config.model_copy(update={"seeds": 1, "training": training, "evaluation": few}), stages.say)
    first.train()
    path = first.forecast()[-1] / "map.html"
    stages.say(
        f"first map: {path}, by the network of {weights.name} as it is: only its calibration is fitted to this city. "
        "Training and comparison follow, and then the map is drawn again"
    )
