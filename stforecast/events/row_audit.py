"""What becomes of each row of a chunk, and why: the bookkeeping of `clean`."""

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.events.facts import FOREVER, Facts
from stforecast.events.parsing.text_columns import is_empty, to_arrow
from stforecast.events.schema import REJECT_COLUMNS


class RowAudit:
    """`open` [r] are the rows on their way to become events; the first reason given to a row stays.

    Args:
        chunk: rows, those that cannot be read with their `problem`, and the `value` to show of it.
    """

    def __init__(self, chunk: pd.DataFrame) -> None:
        self.file = pa.array(chunk["file"].astype("category"))
        self.line = chunk["line"].to_numpy()
        self.facts = Facts(len(chunk))
        problem, value = to_arrow(chunk["problem"]), to_arrow(chunk["value"])
        self.open = is_empty(problem).copy()
        broken = np.flatnonzero(~self.open).tolist()
        self._refused = [(row, problem[row].as_py(), value[row].as_py()) for row in broken]
        self._first: dict[str, int] = {}  # row of each example

    def refuse(self, rows: np.ndarray, reason: str, *shown: pa.Array) -> None:
        """Refuse open rows; the texts in `shown` are what the user should look at."""
        which = np.flatnonzero(rows & self.open)
        self.open[which] = False
        values = [texts.take(pa.array(which)).to_pylist() for texts in shown]
        rows_of = zip(which.tolist(), *values, strict=True)
        self._refused += [(row, reason, " ".join(filter(None, words))) for row, *words in rows_of]

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Leave open rows out: they are none of this configuration's business."""
        self._count_open("left_out", rows, reason)
        self.open &= ~rows

    def correct(self, rows: np.ndarray, what: str) -> None:
        """Count open rows of which something was corrected."""
        self._count_open("corrected", rows, what)

    def example(self, kind: str, rows: np.ndarray, shown: pa.Array) -> None:
        """Note the first of some rows [r] as an example of its kind."""
        which = np.flatnonzero(rows)
        if which.size and which[0] < self._first.get(kind, len(rows)):
            row = self._first[kind] = int(which[0])
            self.facts.examples[kind] = (self.file[row].as_py(), int(self.line[row]), shown[row].as_py())

    def await_until(self, instants: np.ndarray) -> None:
        """Note when rows that tell of what is yet to come may become possible."""
        self.facts.due = min(self.facts.due, int(instants.min(initial=FOREVER)))

    def rejects(self) -> pa.Table:
        """The refused rows: file, line, reason, value."""
        refused = sorted(self._refused)
        rows = np.array([row for row, _, _ in refused], np.int64)
        file = self.file.take(pa.array(rows)).cast(pa.large_string())
        reasons, values = (pa.array([row[at] for row in refused], pa.large_string()) for at in (1, 2))
        return pa.table([file, pa.array(self.line[rows]), reasons, values], list(REJECT_COLUMNS))

    def _count_open(self, name: str, rows: np.ndarray, what: str) -> None:
        if number := int((rows & self.open).sum()):
            self.facts.count(name, {what: number})
