"""No verb calls anyone: each runs on a small simulated city under strace, and any call to an address fails.

    python scripts/no_network.py [VERB]...

`serve` may listen on this machine. strace must be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

SMALL = (
    *("quickstart", "synthetic.hexagons=30", "synthetic.days=120", "training.max_epochs=1", "training.warm_up_days=20"),
    *("training.truncation=7", "model.hidden=16", "training.device=cpu"),
    "evaluation.forecasters=[gcrn, rolling_climatology]",
)
VERBS = (
    *("ingest", "build", "train", "evaluate", "forecast", "map", "report", "analyse", "refresh", "run", "doctor"),
    *("backtest", "init", "serve"),
)
CALL = re.compile(r"(?:connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET6?,.*")
HERE = re.compile(r'(?!.*htons\(53\)).*(?:inet_addr\("127\.|inet_pton\(AF_INET6, "::1")')  # names are asked of others


def traced(
    command: list[str], log: Path, folder: Path | None = None, seconds: float | None = None
) -> tuple[int, list[str]]:
    """Exit code of a command, stopped after some seconds, and its calls to other machines."""
    strace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log)]
    running = subprocess.Popen([*strace, *command], stdout=subprocess.DEVNULL, start_new_session=True, cwd=folder)
    if seconds is not None:
        time.sleep(seconds)
        os.killpg(running.pid, signal.SIGTERM)
    code = running.wait()
    calls = [line for line in log.read_text("utf-8", "replace").splitlines() if CALL.search(line)]
    return code, [line for line in calls if not HERE.match(line)]


def check(verbs: list[str]) -> int:
    """How many verbs called anyone, or failed."""
    wrong = 0
    with TemporaryDirectory() as root:
        base = [sys.executable, "-m", "stforecast"]
        for verb in verbs:
            words = [verb, *SMALL, f"root={root}"]
            if verb == "init":
                words = ["init", f"{root}/data/quickstart/bronze/offences.csv"]
            code, calls = traced(
                [*base, *words], Path(root) / "strace.txt", Path(root), 15 if verb == "serve" else None
            )
            served = verb == "serve" and "bind" in (Path(root) / "strace.txt").read_text("utf-8", "replace")
            bad = bool(calls) or not (code == 0 or served)
            wrong += bad
            print(f"{verb}: exit code {code}, {len(calls)} calls to other machines", *calls[:3], sep="\n  ", flush=True)
    return wrong


if __name__ == "__main__":
    if not shutil.which("strace"):
        sys.exit("strace is not installed. Install it (apt-get install strace).")
    sys.exit(check(sys.argv[1:] or list(VERBS)) > 0)
