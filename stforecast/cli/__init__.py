"""The command line: a thin layer over the Python API."""

from stforecast.cli import lake, learning, records
from stforecast.cli.commands import cli
from stforecast.cli.entry import main

__all__ = ["cli", "lake", "learning", "main", "records"]
