"""Texts as numbers: equal exactly for equal texts, also where a hash would have two texts the same."""

import numpy as np
import pyarrow as pa

from stforecast.events import deduplicate as settle
from stforecast.events.parsing.text_columns import hash_texts


def test_a_hash_that_two_texts_share_is_not_used(monkeypatch):
    texts = pa.array(["a", "b", None, "a", "c", None], pa.string())
    tried = []

    def weak_at_first(column: pa.Array, key: int) -> np.ndarray:
        tried.append(key)
        return hash_texts(column, key) % 2 + (1 if key == 0 else hash_texts(column, key))

    monkeypatch.setattr(settle, "hash_texts", weak_at_first)
    (numbers,), (first,), _ = settle.hash_columns(lambda number: (number(texts),), [texts.take])
    assert tried == [0, 1]
    assert numbers[0] == numbers[3]
    assert len(set(numbers[[0, 1, 4]].tolist())) == 3
    assert first.tolist() == [0, 1, 2, 0, 4, 2]


def test_null_is_nought():
    found = hash_texts(pa.array(["", None, "x"], pa.string()), 0)
    assert (found == 0).tolist() == [False, True, False]
