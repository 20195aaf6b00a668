"""Rows of a publisher's file by their ids: which of some ids it holds, and the file without the rows to be erased."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.config.sections import Source
from stforecast.events.forgotten import KEYS, Forgotten, broken_cells, key_texts
from stforecast.events.readers.chunk import InputFile
from stforecast.events.readers.containers import detect_format
from stforecast.events.readers.decoding import peek_head, utf16_encoding
from stforecast.events.readers.read_file import read
from stforecast.files import atomic_path
from stforecast.sources.pulls import pull_of


def ids_in(paths: Iterable[Path], source: Source, ids: Collection[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Which of some ids files hold, each with the fields that hold it, and the incidents of the rows with them.

    An id in a row that could not be read may be of either field.
    """
    found: dict[str, set[str]] = {}
    incidents: set[str] = set()
    for chunk in (chunk for path in paths for chunk in read(path, source.columns, rows_in=source.rows_in)):
        texts = {name: key_texts(chunk.frame[name]) for name in KEYS if name in chunk.frame}
        for name, column in texts.items():
            rows = [row for row, text in enumerate(column) if text in ids]
            for row in rows:
                found.setdefault(column[row], set()).add(name)
            incidents |= {texts[KEYS[1]][row] for row in rows if KEYS[1] in texts} - {""}
        for cells in broken_cells(chunk.frame).values():
            for text in {*cells} & {*ids}:
                found.setdefault(text, set())
    return found, incidents


def erase(path: Path, source: Source, forgotten: Forgotten, rewrite: bool) -> tuple[int, bool]:
    """Rewrite a file without the rows that are on the list; all others keep their bytes in text, and values elsewhere.

    Args:
        path: the file.
        source: how it is read, effective.
        forgotten: the list.
        rewrite: whether the file may be rewritten.

    Returns:
        How many rows are on the list, and whether the file is without them now: delimited text, Parquet and fetched
        pages of JSON can be rewritten, other formats cannot.
    """
    starts, gone = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for chunk in read(path, source.columns, rows_in=source.rows_in):
        line = chunk.frame["line"].to_numpy()
        once = np.diff(line, prepend=-1) != 0  # where columns are periods, a line is many rows
        starts.append(line[once])
        gone.append(forgotten.rows(chunk.frame)[once])
    line, which = np.concatenate(starts), np.concatenate(gone)
    number = int(which.sum())
    with path.open("rb") as raw:
        head = peek_head(raw)
        kind = detect_format(head, InputFile(path, raw, path.name, None, (), 0))
    paged = kind == "json" and pull_of(path) is not None
    if not number or not rewrite or not (paged or kind in ("text", "parquet")):
        return number, not number
    with atomic_path(path) as temporary:
        if paged:
            _copy_page(path, temporary, which)
        elif kind == "parquet":
            pq.write_table(pq.read_table(path).filter(pa.array(~which)), temporary)
        else:
            _copy_lines(path, temporary, utf16_encoding(head) or "latin-1", line, which)  # latin-1 keeps every byte
    return number, True


def _copy_page(path: Path, target: Path, gone: np.ndarray) -> None:
    """Copy a page of ArcGIS or CKAN without some rows [r]."""
    found = json.loads(path.read_bytes())
    within, name = (found, "features") if "features" in found else (found["result"], "records")
    within[name] = [row for row, left in zip(within[name], ~gone, strict=True) if left]
    target.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")


def _copy_lines(path: Path, target: Path, encoding: str, line: np.ndarray, gone: np.ndarray) -> None:
    """Copy text without the lines of some records [r], which begin at `line` and end before the next one does."""
    never = np.iinfo(np.int64).max
    spans = zip(line[gone].tolist(), np.append(line[1:], never)[gone].tolist(), strict=True)
    with path.open(encoding=encoding, newline="") as text, target.open("w", encoding=encoding, newline="") as out:
        begin, end = next(spans)
        for number, words in enumerate(text, 1):
            while number >= end:
                begin, end = next(spans, (never, never + 1))
            if number < begin:
                out.write(words)
