"""Columns of text as Arrow arrays: work is done once a column or once a distinct text, never once a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_BLANK = ("na", "n/a", "nan", "nat", "null", "(null)", "none", "<na>")
_DECIMAL_COMMA = r"^([-+]?[0-9]+),([0-9]+)$"


def as_array(column: pd.Series | Sequence[str]) -> pa.Array:
    """Texts [r] as one Arrow array."""
    found = pa.array(column.array if isinstance(column, pd.Series) else column, pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def as_series(texts: pa.Array) -> pd.Series:
    """An Arrow array of texts as pandas holds texts."""
    return pa.table({"text": texts}).to_pandas(use_threads=False)["text"]


def is_empty(texts: pa.Array) -> np.ndarray:
    """Rows [r] without text."""
    return np.asarray(pc.equal(pc.binary_length(texts), 0))


def stripped(texts: pa.Array, key: bool) -> pa.Array:
    """Texts without blanks around them; all words for nothing are "", and a key loses the .0 of a spreadsheet."""
    texts = pc.utf8_trim_whitespace(texts)
    short = pc.less_equal(pc.binary_length(texts), 6)
    if pc.any(short).as_py():
        blank = pc.is_in(pc.ascii_lower(texts), pa.array(_BLANK, texts.type))
        if pc.any(blank).as_py():
            texts = pc.if_else(blank, pa.scalar("", texts.type), texts)
    if key and pc.any(spreadsheet := pc.ends_with(texts, ".0")).as_py():
        texts = pc.if_else(spreadsheet, pc.utf8_slice_codeunits(texts, 0, -2), texts)
    return texts


def coded(texts: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """For each row which of the distinct texts it bears [r] (−1: null), and those in order of appearance."""
    found = texts.dictionary_encode()
    return pc.fill_null(found.indices, -1).to_numpy(), found.dictionary


def hashed(texts: pa.Array, key: int) -> np.ndarray:
    """A 64-bit hash of each text [r], uint64; 0 for null."""
    found = pd.util.hash_array(texts.to_numpy(zero_copy_only=False), hash_key=f"{key:016d}", categorize=False)
    found[found == 0] = 1
    found[np.asarray(texts.is_null())] = 0
    return found


def code_of(texts: pa.Array, distinct: pa.Array) -> np.ndarray:
    """Where each text [r] stands among distinct ones; −1: nowhere."""
    return pc.fill_null(pc.index_in(texts.cast(distinct.type), distinct), -1).to_numpy()


def numbers_of(texts: pa.Array) -> np.ndarray:
    """float64 [r]; what is no number is NaN. A lone comma between digits is a decimal comma."""
    filled = pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar("nan", texts.type), texts)
    try:
        return np.array(pc.cast(filled, pa.float64()))
    except pa.ArrowInvalid:
        texts = pc.replace_substring_regex(texts, _DECIMAL_COMMA, r"\1.\2")
        return pd.to_numeric(pd.Series(texts.to_pylist(), dtype=object), errors="coerce").to_numpy(float).copy()


def by_text(texts: pa.Array, meaning: Callable[[str], int]) -> np.ndarray:
    """int64 [r]: a number for each text, found once for each distinct one."""
    which, distinct = coded(texts)
    return np.array([meaning(text) for text in distinct.to_pylist()], np.int64)[which]
