"""Running the command line: a user's mistake is one line on standard error, whatever the caller left odd."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import re
import sys
from contextlib import suppress
from typing import Any

import click

from stforecast.cli.commands import cli
from stforecast.errors import ArtefactError, ConfigError, StforecastError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk or a quota without room."""

SERVING = ("fastapi", "jinja2", "limits", "prometheus_client", "sqlalchemy", "uvicorn")
"""Libraries of the extra serve."""


def refused(error: OSError) -> str:
    """What the system refused, and what to do."""
    where = f"{error.filename}: " if error.filename else ""  # a full disk is told of without the file
    if error.errno in FULL:
        return f"{where}cannot be written: {error.strerror}. Make room, or set root= to another disk, and run it again."
    return f"{where}cannot be read or written: {error.strerror}. Correct the path or permissions, or set another root=."


def prepare_surroundings() -> None:
    """What a caller may have left odd: streams that are closed or of few letters, and a screen to draw on."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened takes its place, and what libraries print lands in it
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or sys.stdout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files alone


def fail(line: str, code: int) -> None:
    """Leave with a line on standard error, if anything can be written there."""
    with suppress(OSError):
        click.echo(line, err=True)
    sys.exit(code)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake is one line on standard error."""
    prepare_surroundings()
    words = sys.argv[1:] if arguments is None else arguments
    atexit.register(gc.freeze)  # or the interpreter's end looks through all that was imported, for half a second
    try:
        if (encoding := sys.getfilesystemencoding()) != "utf-8":
            for word in words:
                word.encode(encoding)  # else a letter that is none there fails somewhere on the way
        cli.main(words or ["--help"], prog_name="stforecast", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "stforecast"
        fail(f"error: {error.format_message()} See `{command} --help`.", error.exit_code)
    except (click.Abort, KeyboardInterrupt, SystemExit):  # Lightning turns Ctrl-C and SIGTERM into exits of its own
        fail("stopped; run the same command again to go on", 130)
    except StforecastError as error:
        fail(f"error: {error}", error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in SERVING:
            raise
        fail(f"error: {error.name}: not installed. Run `pip install 'stforecast[serve]'`.", ConfigError.exit_code)
    except UnicodeEncodeError as error:
        if error.encoding.startswith("utf"):
            raise
        name = error.object.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        fail(
            f"error: {name}: cannot be a path where names are {error.encoding}. Set LC_ALL=C.UTF-8, and run it again.",
            ArtefactError.exit_code,
        )
    except OSError as error:
        told = re.search(r"\[errno (\d+)\]", str(error))  # as Arrow hands on what the system says
        if error.errno is None and told is None:  # a library's own, not the system's: a defect, to be traced
            raise
        system = OSError(int(told[1]), os.strerror(int(told[1]))) if told else error
        fail(f"error: {refused(system)}", ArtefactError.exit_code)
    sys.exit(0)
