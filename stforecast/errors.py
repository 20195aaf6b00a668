"""Errors that are the user's to mend: one line that says what is wrong and what to do.

The command line prints the message without a traceback and leaves with `exit_code`
(2 is a wrong call of the command line itself, 1 a defect of the program).
"""


class StforecastError(Exception):
    """Base of every error that names the file, the field, what was expected and what to do."""

    exit_code = 1


class ConfigError(StforecastError):
    """A configuration that cannot be read or does not make sense."""

    exit_code = 3


class DataError(StforecastError):
    """A publisher's file (offences, weather, polygons) that cannot be used as it is."""

    exit_code = 4


class ArtefactError(StforecastError):
    """A file of ours (events, cube, checkpoint, grid) that is absent, damaged or of another version."""

    exit_code = 5


class FetchError(StforecastError):
    """A publisher that cannot be reached, or does not answer as it should."""

    exit_code = 7


class BusyError(StforecastError):
    """Another process does the same work at this moment."""

    exit_code = 6


def in_brief(error: Exception) -> str:
    """What an error of a library says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
