"""Columns of text as Arrow arrays: work is done once a column or once a distinct text, never once a row."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_BLANK = ("na", "n/a", "nan", "nat", "null", "(null)", "none", "<na>")
_DECIMAL_COMMA = r"^([-+]?[0-9]+),([0-9]+)$"


def to_arrow(column: pd.Series | Sequence[str | None]) -> pa.Array:
    """Texts [r] as one Arrow array."""
    found = pa.array(column.array if isinstance(column, pd.Series) else column, pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def offsets_and_bytes(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Where each of some large texts begins, and the last ends [r + 1], in the bytes of all of them."""
    _, edges, letters = texts.buffers()
    found = np.frombuffer(edges, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return found, np.frombuffer(letters, np.uint8)


def is_empty(texts: pa.Array) -> np.ndarray:
    """Rows [r] of large texts without text."""
    return np.diff(offsets_and_bytes(texts)[0]) == 0


def strip(texts: pa.Array, key: bool) -> pa.Array:
    """Texts without blanks around them; all words for nothing are "", and a key loses the .0 of a spreadsheet."""
    edges, letters = offsets_and_bytes(texts)
    if letters.size:
        # of an empty text these are the letters of its neighbours
        ends = letters.take(np.stack([edges[:-1], edges[1:] - 1]), mode="clip")
        if ((ends <= ord(" ")) | (ends > ord("~"))).any():
            texts = pc.utf8_trim_whitespace(texts)
    length = np.diff(offsets_and_bytes(texts)[0])
    if ((length > 1) & (length <= 6)).any():  # as the words for nothing
        blank = pc.is_in(pc.ascii_lower(texts), pa.array(_BLANK, texts.type))
        if pc.any(blank).as_py():
            texts = pc.if_else(blank, pa.scalar("", texts.type), texts)
    if key and pc.any(spreadsheet := pc.ends_with(texts, ".0")).as_py():
        texts = pc.if_else(spreadsheet, pc.utf8_slice_codeunits(texts, 0, -2), texts)
    return texts


def factorize(texts: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """For each row which of the distinct texts it bears [r] (−1: null), and those in order of appearance."""
    found = texts.dictionary_encode()
    which = pc.fill_null(found.indices, -1) if found.null_count else found.indices
    return which.to_numpy(), found.dictionary


def hash_texts(texts: pa.Array, key: int) -> np.ndarray:
    """A 64-bit hash of each text [r], uint64; 0 for null."""
    edges, letters = offsets_and_bytes(texts.cast(pa.large_string()))
    begin, length = edges[:-1], np.diff(edges)
    padded = np.append(letters, np.zeros(8, np.uint8))
    eights = np.ndarray(len(letters) + 1, "<u8", padded, strides=(1,))  # the eight bytes from each byte on
    found = mixed(length.astype(np.uint64) + (np.uint64(key) << np.uint64(32)))
    rows = np.arange(len(texts))
    for at in range(0, int(length.max(initial=0)), 8):
        rows = rows[length[rows] > at]
        surplus = 8 * np.maximum(at + 8 - length[rows], 0).astype(np.uint64)  # bits of the next text
        found[rows] = mixed(found[rows] ^ (eights[begin[rows] + at] << surplus))
    found[found == 0] = 1
    found[np.asarray(texts.is_null())] = 0
    return found


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Every bit of the results hangs on every bit of the numbers, uint64 (splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def codes_in(texts: pa.Array, distinct: pa.Array) -> np.ndarray:
    """Where each text [r] stands among distinct ones; −1: nowhere."""
    return pc.fill_null(pc.index_in(texts.cast(distinct.type), distinct), -1).to_numpy()


def to_numbers(texts: pa.Array) -> np.ndarray:
    """float64 [r]; what is no number is NaN. A lone comma between digits is a decimal comma."""
    filled = pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar("nan", texts.type), texts)
    try:
        return np.array(pc.cast(filled, pa.float64()))
    except pa.ArrowInvalid:
        texts = pc.replace_substring_regex(texts, _DECIMAL_COMMA, r"\1.\2")
        return pd.to_numeric(pd.Series(texts.to_pylist(), dtype=object), errors="coerce").to_numpy(float).copy()
