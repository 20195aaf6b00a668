"""Texts as numbers: equal exactly for equal texts, also where a hash would have two texts the same."""

import numpy as np
import pyarrow as pa

from stforecast.events.deduplicate import Hashes
from stforecast.events.parsing.text_columns import hash_texts


def test_a_hash_that_two_texts_share_is_not_used():
    texts = pa.array(["a", "b", None, "a", "c", None], pa.string())
    tried = []

    def weak_at_first(key: int) -> np.ndarray:
        tried.append(key)
        return hash_texts(texts, key) % 2 + (1 if key == 0 else hash_texts(texts, key))

    found = Hashes.of(weak_at_first, texts.take)
    assert tried == [0, 1]
    assert found.numbers[0] == found.numbers[3]
    assert len(set(found.numbers[[0, 1, 4]].tolist())) == 3
    assert found.first.tolist() == [0, 1, 2, 0, 4, 2]


def test_null_is_nought():
    found = hash_texts(pa.array(["", None, "x"], pa.string()), 0)
    assert (found == 0).tolist() == [False, True, False]
