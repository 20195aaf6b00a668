"""A forecaster of one's own, as a reader of the docs would write it."""

from pathlib import Path

import numpy as np

import stforecast as st
from stforecast.files import read_json, write_json


class Persistence(st.Forecaster):
    """The counts of the same hour in each of the last weeks, and a little of the mean of the training slice."""

    name = "persistence"
    weeks = 4

    def learn(self, cube: st.Cube, split: st.Split, folder: Path | None = None) -> None:
        known = (cube.hour < split.train_end) & (cube.known_hour < split.train_end)
        counts = np.bincount(cube.category[known], cube.weight[known], minlength=cube.c)
        self.mean = counts / (split.train_end * cube.n)

    def intensity(self, cube: st.Cube, issues: np.ndarray) -> np.ndarray:
        out, week = [], 7 * 24 // cube.step_hours
        for issue in issues.tolist():
            starts = issue - week * np.arange(1, self.weeks + 1)
            past = [cube.dense(s, s + cube.horizons, known_before=issue).numpy() for s in starts.tolist()]
            out.append((np.mean(past, 0) + self.mean) / 2)
        return np.array(out, np.float32)

    def save_fit(self, folder: Path) -> None:
        write_json(folder / "mean.json", {"mean": self.mean.tolist()})

    def load_fit(self, folder: Path) -> None:
        self.mean = np.array(read_json(folder / "mean.json")["mean"])
