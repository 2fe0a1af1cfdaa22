"""Keeps glibc from handing the network's activations back to the kernel after every forward pass."""

from __future__ import annotations

import ctypes
import platform
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_INT = 2**31 - 1
_KEEP_BLOCKS_BELOW = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks of up to 1 GiB in the process; return whether it did.

    By default glibc maps blocks of some hundred KiB and more afresh each time and unmaps them when freed:
    every forward pass on a CPU then pays page faults for all its activations. Called once, early, by a
    process that runs inference or training on a CPU; it changes that process only. No effect (False) on
    other systems and other C libraries.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BLOCKS_BELOW)
    kept &= libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
    return bool(kept)
