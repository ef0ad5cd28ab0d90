"""Keeping freed memory for the next training step instead of handing it back to the system."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_KEPT = 2**30
NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to reuse large blocks; returns whether it could be told.

    By default each activation tensor is mapped anew and given back after use, so that a step on
    the CPU spends part of its time in page faults. Memory use is then the peak's.
    """
    if not is_glibc():
        return False
    libc = ctypes.CDLL(None)
    return bool(
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    )


def is_glibc() -> bool:
    """Return whether the process uses the GNU C library."""
    return platform.libc_ver()[0] == "glibc"
