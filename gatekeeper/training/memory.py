"""Freed memory is kept for the next step, instead of going back to the system and coming again page by page.

Each step allocates what the last one freed. The C library's defaults unmap large blocks at once, and a fresh page costs
more than writing to a known one: up to a third of a step's time on small images.
"""

from __future__ import annotations

import ctypes
import platform

# <malloc.h>: blocks up to the largest threshold that glibc takes come from the heap, whose end is not given back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _KEPT = 32 << 20, (1 << 31) - 1


def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees, up to 2 GiB; elsewhere than with glibc nothing changes."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
