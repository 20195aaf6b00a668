"""Two machines that run the same command fit one network, which the first of them keeps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tiny_city import SMALL, config_of

from stforecast.pipeline.stages import Stages

FIT = ("evaluation.forecasters=[gcrn, hexagon_mean]", "training.max_epochs=1", "training.streams=2", "model.hidden=8")
FIT += ("training.warm_up_days=20", "training.device=cpu", "training.nodes=2")


def train(root: Path, *more: str, **variables: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "stforecast", "train", "configs/quickstart.yaml", f"root={root}", *SMALL, *FIT]
    environment = {name: text for name, text in os.environ.items() if name != "NODE_RANK"} | variables
    return subprocess.Popen([*words, *more], env=environment, stderr=subprocess.PIPE, text=True)


def test_two_machines_fit_one_network(tmp_path: Path) -> None:
    stages = Stages(config_of(tmp_path, *FIT), lambda _: None)
    stages.ingest()
    stages.build()
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    where |= {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "fit", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    machines = [train(tmp_path, NODE_RANK=r, SLURM_NODEID=r, SLURM_PROCID=r, **where) for r in "10"]
    for machine in machines:
        said = machine.communicate(timeout=300)[1]
        assert machine.returncode == 0, said
    run = stages.run()
    assert json.loads((run.folder / "run.json").read_text())["forecasters"] == ["gcrn", "hexagon_mean"]
    assert run.folder == Stages(config_of(tmp_path, *FIT, "training.nodes=1"), print).run().folder


def test_a_machine_that_is_not_told_where_the_first_is(tmp_path: Path) -> None:
    stages = Stages(config_of(tmp_path, *FIT), lambda _: None)
    stages.ingest()
    stages.build()
    alone, anew = train(tmp_path), train(tmp_path, "--fresh")
    said = alone.communicate()[1]
    assert alone.returncode == 3
    assert "training.nodes: 2 machines fit the network, and this one lacks NODE_RANK, MASTER_ADDR" in said
    assert "--fresh: not on several machines" in anew.communicate()[1]
