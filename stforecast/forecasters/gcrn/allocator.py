"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""


def keep_freed() -> None:
    """Have this process keep memory that is freed, for what comes next.

    glibc gives buffers above 32 MB back to the system at once, which clears their pages anew for every step of a large
    city: half of the time (docs/speed.md). Other C libraries are left as they are.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(TRIM_THRESHOLD, -1)
        libc.mallopt(MMAP_MAX, 0)
