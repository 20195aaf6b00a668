"""A side of a benchmark as a process of its own, with its interpreter and packages, which waits while others work.

A request is a line of JSON, and so is the answer. Nothing here needs stforecast, so that peers can import it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
"""This checkout."""


def alone(checkout: Path) -> dict[str, str]:
    """The environment of a process that imports a checkout's `stforecast`, which says itself how its threads wait."""
    return {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | {
        "PYTHONPATH": str(checkout),
        "PYTHONWARNINGS": "ignore",
    }


class Worker:
    """A script that calls `serve`.

    Args:
        python: interpreter; script: in `scripts/bench`; arguments: of its command line.
        checkout: whose script it is and whose `stforecast` that imports.
    """

    def __init__(self, python: str, script: str, *arguments: str, checkout: Path = ROOT) -> None:
        command = [python, str(checkout / "scripts/bench" / script), *arguments]
        environment = alone(checkout)
        self.name = f"{script} {' '.join(arguments)}".strip()
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            RuntimeError: the process ended; what it said is above.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps([what, arguments]) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.name}: ended with status {self.process.wait()} at {what!r}; see above.")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; one that is left ends with its parent, whose pipe closes."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(**answers: Callable[..., dict[str, Any]]) -> None:
    """Answer requests by name until the input ends. What else is printed goes to stderr."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        what, arguments = json.loads(line)
        print(json.dumps(answers[what](**arguments)), file=out, flush=True)
