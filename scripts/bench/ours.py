"""This package as a side of the benchmarks: a worker that opens or simulates a city and trains on it.

    python scripts/bench/ours.py        (other scripts start it, that of the checkout to be measured)

`updates` and `HourlyCell` are all that know how the network is trained; the rest is Config, Cube and clocks. What it is
asked and what it answers stay the same from version to version, so that `step.py` can set two of them side by side.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import count as counting
from itertools import islice
from pathlib import Path
from typing import Any

import stforecast  # noqa: F401  # before PyTorch, whose threads wait as it says

# isort: split

import torch
from cities import simulated
from limits import counted, rates
from torch import Tensor, nn
from workers import serve

from stforecast.config import Config, load, parse
from stforecast.cube import Cube
from stforecast.cube.store import open_cube
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.forecasters.gcrn.allocator import keep_freed
from stforecast.forecasters.gcrn.cost import cost
from stforecast.forecasters.gcrn.forecaster import GCRN, choose_device
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.parts import recur
from stforecast.forecasters.gcrn.propagation import Propagation
from stforecast.forecasters.gcrn.segments import Stream
from stforecast.forecasters.gcrn.training import Module, Task, Validation
from stforecast.forecasters.streaming import threads_for
from stforecast.pipeline.stages import Stages
from stforecast.scoring.splits import Split


def module_of(cube: Cube, split: Split, config: Config) -> Module:
    """The network with its training slice, as `GCRN.learn` makes them; on a GPU where there is one."""
    torch.manual_seed(config.seed)
    scales, device = Scales.of(cube, split.train_end), choose_device(config)
    builder = FeatureBuilder(cube, scales, patch_steps(config, cube), device)
    module = Module(config, builder).to(device)
    module.task = Task(cube, split, config)
    module.stream = Stream(cube, split, config, builder)
    module.compile_step()
    return module


def updates(module: Module, clip: float, halved: bool | None = None) -> Iterator[tuple[int, Tensor]]:
    """One update of the weights after another, epoch after epoch: origins in it, and its loss.

    An update is all that Lightning has `Module` do: features, forward, loss, backward, clipping, AdamW, averaging.
    `halved`: in bfloat16 mixed precision; as training does by default, on a GPU.
    """
    halved = module.device.type == "cuda" if halved is None else halved
    plan: Any = module.configure_optimizers()
    optimizer, schedule = plan["optimizer"], plan["lr_scheduler"]["scheduler"]
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    stretches = epochs(module)
    while True:
        with threads_of(module):
            i, batch = next(stretches)
            module.on_train_batch_start(batch, i)
            with torch.autocast(module.device.type, torch.bfloat16, enabled=halved):
                loss = module.training_step(batch, i)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.network.parameters(), clip)
            optimizer.step()
            if schedule.last_epoch < schedule.total_steps - 1:
                schedule.step()
            module.on_train_batch_end(None, batch, i)
        yield len(batch.inputs.log_rate), loss.detach()


def epochs(module: Module) -> Iterator[tuple[int, Any]]:
    """What is learned from, epoch after epoch, with its place in its epoch."""
    for epoch in counting():
        module.on_train_epoch_start()
        module.stream.epoch = epoch
        yield from enumerate(module.stream)


def updates_of_segment(module: Module) -> int:
    """Updates for which the record is read at once."""
    return max(1, module.stream.builder.events.segment // module.options["truncation"])


def threads_of(module: Module) -> AbstractContextManager[None]:
    """As many threads as training has."""
    return threads_for(module.graph.n * module.stream.cube.c * module.options["streams"])


class HourlyCell(nn.Module):
    """The peers' work with our cell: a week of hourly counts [t n c] → log λ of the next 24 hours [n 24 c]."""

    def __init__(self, edges: Tensor, n: int, c: int, hidden: int) -> None:
        super().__init__()
        self.propagation = Propagation("hex", edges, n)
        self.more = -c % 8  # channels of zeros: MKL multiplies six columns at a tenth of its rate
        self.given = nn.Linear(self.propagation.supports * (c + self.more), 3 * hidden)
        self.recurrent = nn.Linear(self.propagation.supports * hidden, 3 * hidden, bias=False)
        self.read = nn.Linear(hidden, 24 * c)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        c = x.shape[2]
        x = nn.functional.pad(x, (0, self.more))
        t, n, width = x.shape
        spread = self.propagation(x.transpose(0, 1).reshape(n, t * width)).view(n, -1, t, width).permute(2, 0, 1, 3)
        given, start = self.given(spread.reshape(t, n, -1)), torch.zeros(n, self.hidden)
        return self.read(recur(given, start, self.recurrent.weight, self.propagation)[-1]).view(n, 24, c)


class Ours:
    """What the worker answers."""

    cube: Cube
    split: Split
    config: Config

    def open(self, path: str, overrides: list[str], gold: str) -> dict[str, Any]:
        """Take a city's gold cube, under a configuration."""
        keep_freed()
        self.config, self.cube = load(path, overrides), open_cube(Path(gold))
        return self._ready()

    def simulate(self, settings: dict[str, Any], keep: bool = True, **sizes: int) -> dict[str, Any]:
        """Take a simulated cube; `keep`: with memory as a training run keeps it."""
        if keep:
            keep_freed()
        self.config, self.cube = parse({"city": "simulated", **settings}, "simulated"), simulated(**sizes)
        return self._ready()

    def _ready(self) -> dict[str, Any]:
        self.split = Stages(self.config, print).split(self.cube)
        self.updates: Iterator[tuple[int, Tensor]] | None = None
        self.hours: list[tuple[HourlyCell, Tensor, torch.optim.Optimizer]] = []
        cube = self.cube
        return {"hexagons": cube.n, "categories": cube.c, "hours": cube.steps * cube.step_hours, **memory()}

    def steps(self, count: int) -> dict[str, Any]:
        """The next `count` updates: seconds, origins and loss of each."""
        if self.updates is None:
            self.updates = updates(module_of(self.cube, self.split, self.config), self.config.training.clip)
        seconds, origins, losses = [], [], []
        for _ in range(count):
            began = time.perf_counter()
            made, loss = next(self.updates)
            losses.append(float(loss))  # waits for a GPU
            seconds.append(time.perf_counter() - began)
            origins.append(made)
        return {"seconds": seconds, "origins": origins, "losses": losses, **memory()}

    def epoch(self) -> dict[str, Any]:
        """The next epoch: seconds and origins."""
        module = module_of(self.cube, self.split, self.config)
        one = updates(module, self.config.training.clip)
        next(one)  # warm, and the first update of an epoch is not counted in the second
        count = len(module.stream)
        list(islice(one, count - 1))
        began = time.perf_counter()
        origins = sum(made for made, _ in islice(one, count))
        return {"seconds": time.perf_counter() - began, "origins": origins, **memory()}

    def hourly(self, count: int, hours: int) -> dict[str, Any]:
        """The peers' work with our cell, `count` origins one by one."""
        if not self.hours:
            torch.manual_seed(0)
            cell = HourlyCell(torch.tensor(self.cube.edges), self.cube.n, self.cube.c, self.config.model.hidden)
            self.hours = [(cell, self.cube.dense(), torch.optim.Adam(cell.parameters(), 1e-3))]
        (cell, counts, optimizer), began = self.hours[0], time.perf_counter()
        for i in range(count):
            now = hours + 24 * i % (len(counts) - hours - 24)
            log_rate = cell(counts[now - hours : now].log1p())
            target = counts[now : now + 24].transpose(0, 1)
            loss = nn.functional.poisson_nll_loss(log_rate, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {"seconds": time.perf_counter() - began, "origins": count}

    def limit(self) -> dict[str, Any]:
        """What an origin asks of the machine, and what the machine can do."""
        module = module_of(self.cube, self.split, self.config)
        half = module.device.type == "cuda"  # as it is trained
        asked = counted(updates(module, self.config.training.clip), updates_of_segment(module))
        able = rates(module.device, torch.bfloat16 if half else torch.float32)
        return {
            "flop_per_origin": asked["flop"],
            "gemm_flop_per_second": able["flop"],
            "seconds": asked["flop"] / able["flop"],
            "bytes_per_origin": asked["bytes"],
            "copy_bytes_per_second": able["bytes"],
            "seconds_of_memory": asked["bytes"] / able["bytes"],
            "operations_per_origin": asked["operations"],
        }

    def validate(self) -> dict[str, Any]:
        """Read the validation slice and forecast it, as at the end of an epoch."""
        module = module_of(self.cube, self.split, self.config)
        check = Validation(self.cube, self.split, module.stream.builder, self.config.training.truncation)
        check.intensity(module.best, module.graph)
        return memory()

    def fit(self) -> dict[str, Any]:
        """A training run of `training.max_epochs`, as `stforecast train` does it."""
        began = time.perf_counter()
        GCRN(self.config).learn(self.cube, self.split)
        return {"seconds": time.perf_counter() - began, **memory()}

    def predicted(self) -> dict[str, Any]:
        """Bytes by item, as `stforecast doctor` prints them."""
        return dict(cost(self.cube, self.split, self.config))

    def facts(self) -> dict[str, Any]:
        """What is measured."""
        model, training = self.config.model.model_dump(), self.config.training.model_dump()
        return {"threads": torch.get_num_threads(), "model": model, "training": training}


def memory() -> dict[str, int]:
    """Resident bytes: now, and at most since the imports."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    resident, peak = int(found["VmRSS"]) << 10, int(found["VmHWM"]) << 10
    return {"resident": resident - AFTER_IMPORTS, "peak": peak - AFTER_IMPORTS}


AFTER_IMPORTS = 0
if __name__ == "__main__":
    torch.randn(64, 64) @ torch.randn(64, 64)
    AFTER_IMPORTS = memory()["resident"]
    answers = Ours()
    names = ("open", "simulate", "steps", "epoch", "hourly", "limit", "validate", "fit", "predicted", "facts")
    serve(**{name: getattr(answers, name) for name in names})
