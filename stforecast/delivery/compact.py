"""Numbers of a view in few bytes, and bytes in few letters: `web/view.js` reads both.

Whole numbers of 32 bits stand as planes: the lowest bytes of all, then the next ones, of 2 d, or of −2 d − 1 where d is
negative. Small ones have planes of zeros, which gzip makes short.

λ and what is usual, [c k n], stand as differences from the step before, less the median difference of their category
and step, which come first, [c k]; all modulo 2³². The numbers of λ are the bits of a float32, so that every reader has
each of them, its sums and its ranks to the last digit; where there is a usual, less those of its own. Of that are kept
KEPT bits behind the first digit, rounded: it lies within 2⁻¹¹, 0.05 %, of what tables and service say, and is shown
with two or three digits.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
import shapely

KEPT = 10
CUT = 23 - KEPT
"""Bits of a float32 that are left away."""


def intensity_and_usual(intensity: np.ndarray, usual: np.ndarray | None) -> dict[str, bytes | None]:
    """λ and what is usual, float32 [k c n], packed."""
    if usual is None:
        return {"intensity": _differences(_bits(intensity)), "usual": None}
    short = _bits(usual) + (1 << CUT - 1) >> CUT
    return {"intensity": _differences(_bits(intensity) - (short << CUT)), "usual": _differences(short)}


def rings(shapes: np.ndarray, unit: float) -> bytes:
    """Rings of shapes, packed: their number, which shape each belongs to, how many points it has, and x and y of these
    as differences from the point before in a unit of degrees; the first from the first of the ring before."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    closed, part = shapely.get_rings(parts, return_index=True)
    places, ring = shapely.get_coordinates(closed, return_index=True)
    points, sizes = np.rint(places / unit).astype(np.int64), np.bincount(ring)
    first = sizes.cumsum() - sizes
    steps = np.diff(points, axis=0, prepend=0)
    steps[first[1:]] = points[first[1:]] - points[first[:-1]]
    return planes(np.concatenate([[len(sizes)], shape[part], sizes, *steps.T]))


def planes(numbers: np.ndarray) -> bytes:
    """Whole numbers of 32 bits by planes of bytes."""
    signed = np.ascontiguousarray(numbers, "<i4").ravel()
    return ((signed << 1) ^ (signed >> 31)).view(np.uint8).reshape(-1, 4).T.tobytes()


def to_text(value: Any, escape: bool = True) -> str:
    """Plain values as compact JSON, bytes in it as base64."""
    return _json(value, escape, lambda data: base64.b64encode(data).decode())


def to_gzip(value: Any) -> bytes:
    """Plain values as a line of JSON, in which bytes are where they stand in all that follow it, compressed."""
    held = bytearray()

    def place(data: bytes) -> dict[str, int]:
        held.extend(data)
        return {"from": len(held) - len(data), "until": len(held)}

    head = _json(value, False, place)
    return gzip.compress(head.encode() + b"\n" + held, 6, mtime=0)


def letters(data: bytes) -> str:
    """Bytes as text of 91 letters, two for 13 bits: `#` … `}`, of which `!` stands for `<`."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    groups = np.packbits(np.pad(bits, (0, -len(bits) % 13)).reshape(-1, 13), axis=1).view(">u2") >> 3
    return (np.hstack(np.divmod(groups, 91)) + 35).astype(np.uint8).tobytes().decode("ascii").replace("<", "!")


def _bits(values: np.ndarray) -> np.ndarray:
    """Values [k c n] as the bits of float32, int64 [c k n]."""
    return np.ascontiguousarray(values.transpose(1, 0, 2), "<f4").view("<i4").astype(np.int64)


def _differences(numbers: np.ndarray) -> bytes:
    steps = np.diff(numbers, axis=1, prepend=0)
    usual = np.median(steps, axis=2, keepdims=True).astype(np.int64)
    return planes(np.concatenate([usual.ravel(), (steps - usual).ravel()]).astype("<u4").view("<i4"))


def _json(value: Any, escape: bool, of_bytes: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=escape, default=of_bytes)
