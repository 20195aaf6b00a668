"""LightGBM's trees, opened from its text form and read for many rows at once.

LightGBM walks every row down every tree, and a processor cannot foresee where a walk turns. Here a bit stands for a
row: what several trees ask of it is asked once, and which rows reach a node follows from those that reach its parent,
64 rows to an operation. The leaves and the order in which they are added up are LightGBM's, and so are the sums, to the
last bit, in a quarter of the time.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BLOCK_BYTES = 16_000_000
"""Of the bits that say which rows reach which node: rows are read in blocks that need about as many."""
NAN_LEFT, NAN_READ = 2, 8
"""Bits of a decision's type: NaN goes left; it is read as such, and not as 0."""


@dataclass(frozen=True)
class LightGBMTrees:
    """Trees of numerical splits.

    names: of the columns.
    column, threshold, left: of each different split, in the order of columns: which it reads, the largest float32 that
        goes left, and whether NaN does, where it is not read as 0, [s].
    zeros: columns whose NaN is read as 0, bool [f].
    levels: by depth, of its nodes: their place, their split, and the places of both children. Nodes have the first
        places, then come the leaves, as many for each tree.
    values: of the leaves of each tree, [t v].
    """

    names: list[str]
    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    zeros: np.ndarray
    levels: list[tuple[np.ndarray, ...]]
    values: np.ndarray

    @staticmethod
    def of(text: str) -> LightGBMTrees:
        """Open the content of a model's file.

        Raises:
            ValueError: it is damaged, or of other trees than such of numerical splits and one output.
            KeyError: it lacks a line.
        """
        head, *parts = re.split(r"\nTree=\d+\n", text.partition("\nend of trees\n")[0])
        facts, trees = _lines(head), [_lines(part) for part in parts]
        names = facts["feature_names"].split()
        if not trees or len(trees) != len(facts["tree_sizes"].split()) or facts["num_tree_per_iteration"] != "1":
            raise ValueError("trees are missing, or have several outputs")

        def of_all(key: str, kind: type) -> list[np.ndarray]:
            return [np.array(tree.get(key, "").split(), kind) for tree in trees]

        values, sides = of_all("leaf_value", float), (of_all("left_child", int), of_all("right_child", int))
        column, threshold, decision = map(
            np.concatenate, (of_all("split_feature", int), of_all("threshold", float), of_all("decision_type", int))
        )
        for value, *children in zip(values, *sides, strict=True):
            _check(len(value), *children)
        if not len(column) == len(threshold) == len(decision) == sum(map(len, sides[0])):
            raise ValueError("splits are missing")
        if np.any((column < 0) | (column >= len(names))) or not np.isin(decision | NAN_LEFT | NAN_READ, 10).all():
            raise ValueError("expected numerical splits of known columns")
        width = 1 << (max(map(len, values)) - 1).bit_length()
        begin = np.cumsum([0, *map(len, sides[0])])
        nodes = begin[-1]
        left, right = (
            np.concatenate(
                [
                    np.where(child >= 0, begin[tree] + child, nodes + tree * width + ~child)
                    for tree, child in enumerate(side)
                ]
            )
            for side in sides
        )
        splits, split = np.unique(np.stack([column, threshold, decision]), axis=1, return_inverse=True)
        level, levels = begin[:-1][np.diff(begin) > 0], list[tuple[np.ndarray, ...]]()
        while len(level):
            levels.append((level, split[level], left[level], right[level]))
            below = np.concatenate(levels[-1][2:])
            level = np.sort(below[below < nodes])
        zeros = np.zeros(len(names), bool)
        zeros[column[decision & NAN_READ == 0]] = True
        return LightGBMTrees(
            names,
            splits[0].astype(np.int64),
            _rounded_down(splits[1]),
            splits[2].astype(np.int64) & NAN_LEFT > 0,
            zeros,
            levels,
            np.stack([np.pad(value, (0, width - len(value))) for value in values]),
        )

    @property
    def nodes(self) -> int:
        """How many there are, of all trees."""
        return sum(len(level[0]) for level in self.levels)

    def margin(self, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """The sum of the leaves that each of the rows [r f], float32, reaches: float64 [r].

        Raises:
            ValueError: the rows have other columns.
        """
        if rows.shape[1] != len(self.names):
            raise ValueError(f"expected {len(self.names)} columns, got {rows.shape[1]}")
        block = 64 * max(1, BLOCK_BYTES // 8 // (self.nodes + self.values.size))
        with ThreadPoolExecutor(threads) as pool:
            parts = pool.map(self._margin, (rows[i : i + block] for i in range(0, max(1, len(rows)), block)))
            return np.concatenate([*parts])

    def _margin(self, rows: np.ndarray) -> np.ndarray:
        out = np.zeros(len(rows))
        for value, leaf in zip(self.values, self._leaves(rows), strict=True):
            out += value.take(leaf[: len(rows)])
        return out

    def _leaves(self, rows: np.ndarray) -> np.ndarray:
        """The number of the leaf of each tree that rows reach, [t r]; there may be more rows than were given."""
        answers = self._answers(rows)
        trees, width = self.values.shape
        reached = np.zeros((self.nodes + trees * width, answers.shape[1]), np.uint64)
        if self.levels:
            reached[self.levels[0][0]] = ~np.uint64(0)
        for place, split, left, right in self.levels:
            here, goes_left = reached.take(place, 0), answers.take(split, 0)
            goes_left &= here
            here ^= goes_left
            reached[left], reached[right] = goes_left, here
        among = reached[self.nodes :].reshape(trees, width, -1)
        leaf = np.zeros((trees, 64 * answers.shape[1]), np.min_scalar_type(width - 1))
        while (half := among.shape[1] // 2) > 0:  # bit by bit of the leaf's number, the highest one first
            upper = np.bitwise_or.reduce(among[:, half:], axis=1)
            leaf += leaf  # for bytes an addition is several times faster than a shift
            leaf += np.unpackbits(upper.view(np.uint8), axis=1, bitorder="little")
            among = among[:, :half] | among[:, half:]
        return leaf

    def _answers(self, rows: np.ndarray) -> np.ndarray:
        """Which rows go left at each split, a bit each, [s w]."""
        words = -(-len(rows) // 64)
        columns = np.zeros((rows.shape[1], 64 * words), np.float32)
        columns[:, : len(rows)] = rows.T
        out = np.empty((len(self.column), 8 * words), np.uint8)
        ends = np.searchsorted(self.column, np.arange(len(columns) + 1)).tolist()
        for values, zero, (first, last) in zip(columns, self.zeros, pairwise(ends), strict=True):
            missing = np.isnan(values)
            if zero:
                values[missing] = 0
            answer = values <= self.threshold[first:last, None]
            if not zero and missing.any():
                answer |= missing & self.left[first:last, None]
            out[first:last] = np.packbits(answer, axis=1, bitorder="little")
        return out.view(np.uint64)


def _lines(part: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in part.splitlines() if "=" in line)


def _check(leaves: int, left: np.ndarray, right: np.ndarray) -> None:
    """Raise ValueError unless every node but the first, and every leaf, has one parent, and that an earlier node."""
    nodes, children = np.arange(leaves - 1), np.concatenate([left, right])
    expected = np.r_[-leaves:0, 1 : leaves - 1] if leaves > 1 else nodes
    whole = len(left) == len(nodes) and np.array_equal(np.sort(children), expected)
    if not whole or np.any((children >= 0) & (children <= np.tile(nodes, 2))):
        raise ValueError("a tree is damaged")


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 up to each threshold: a float32 is not above the one where it is not above the other."""
    out = threshold.astype(np.float32)
    return np.where(out > threshold, np.nextafter(out, np.float32(-np.inf)), out)
