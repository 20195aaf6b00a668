"""A city on one device, GPU or CPU, as the side of scripts/gpu_check.py: updates, fits, forecasts.

python scripts/bench/on_device.py        (scripts/gpu_check.py starts it)
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from limits import counted, rates
from ours import Ours, module_of, updates, updates_of_segment
from peer_skill import deviance
from workers import serve

from stforecast.features.targets import scored
from stforecast.forecasters.gcrn.allocator import keep_freed
from stforecast.forecasters.gcrn.forecaster import GCRN

KINDS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
SIDE, NUMBERS = 8192, 1 << 29
"""Of a product and of a copy (2 GB) that show what a GPU can do."""


class OnDevice(Ours):
    """What the worker answers, beside what `Ours` does."""

    def limits(self) -> dict[str, Any]:
        """The device, and what it can do."""
        gpu = torch.cuda.is_available()
        device, size = torch.device("cuda" if gpu else "cpu"), (SIDE, NUMBERS) if gpu else (1024, 1 << 24)
        each = {name: rates(device, kind, *size) for name, kind in KINDS.items()}
        return {
            "kind": device.type,
            "name": torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads",
            "torch": torch.__version__,
            "flop_per_second": {name: found["flop"] for name, found in each.items()},
            "bytes_per_second": each["float32"]["bytes"],
            "product": size[0],
        }

    def timed(self, precision: str, seconds: float) -> dict[str, Any]:
        """Updates for so many seconds, once they are warm: seconds of an origin, all and by walk of the record.

        Where the step is not compiled, what an origin asks for is counted too.
        """
        module, training = module_of(self.cube, self.split, self.config), self.config.training
        gpu = module.device.type == "cuda"
        wait = torch.cuda.synchronize if gpu else lambda: None
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        one = updates(module, training.clip, precision == "bfloat16")
        walk = updates_of_segment(module)
        list(islice(one, 2 * walk))
        took, origins, losses = [], [], []
        while sum(took) < seconds:
            wait()
            began = time.perf_counter()
            done = list(islice(one, walk))
            wait()
            took.append(time.perf_counter() - began)
            origins.append(sum(made for made, _ in done))
            losses += [loss for _, loss in done]
        found: dict[str, Any] = {
            "seconds_per_origin": sum(took) / sum(origins),
            "quartiles_of_walks": np.quantile(np.divide(took, origins), [0.25, 0.5, 0.75]).tolist(),
            "origins": sum(origins),
            "loss": float(torch.stack(losses).mean()),
        }
        if gpu:
            found["peak_bytes"] = torch.cuda.max_memory_allocated()
        return found if training.compile else found | counted(one, walk)

    def fit(self) -> dict[str, Any]:
        """A training run of `training.max_epochs`, and the deviance of its calibrated forecasts of the test slice."""
        began = time.perf_counter()
        self.fitted = GCRN(self.config).fit(self.cube, self.split)
        took = time.perf_counter() - began
        daily = deviance(lambda issues: self.fitted.raw(self.cube, issues), self.cube, self.split, 1)
        return {"seconds": took, "deviance": float(daily.mean())}

    def beside_cpu(self) -> dict[str, Any]:
        """Forecasts of the validation slice by the newest fit, and by the same weights on the CPU."""
        cpu = self.config.model_copy(update={"training": self.config.training.model_copy(update={"device": "cpu"})})
        with TemporaryDirectory() as folder:
            self.fitted.save(Path(folder))
            twin = GCRN.load(Path(folder), cpu)
        issues, seconds, found = scored(self.cube, self.split, "validation"), [], []
        for forecaster in (self.fitted, twin):
            began = time.perf_counter()
            found.append(forecaster.raw(self.cube, issues))
            seconds.append(time.perf_counter() - began)
        ours, theirs = found
        return {
            "forecasts": len(issues),
            "seconds": {"device": seconds[0], "cpu": seconds[1]},
            "largest_relative_difference": float(np.abs(ours / theirs - 1).max()),
        }


if __name__ == "__main__":
    keep_freed()
    answers = OnDevice()
    names = ("open", "simulate", "limits", "timed", "fit", "beside_cpu")
    serve(**{name: getattr(answers, name) for name in names})
