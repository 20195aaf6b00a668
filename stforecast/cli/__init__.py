"""The command line: a thin layer over the Python API."""

from stforecast.cli.commands import cli
from stforecast.cli.entry import main
from stforecast.cli.lake import lake

__all__ = ["cli", "lake", "main"]
