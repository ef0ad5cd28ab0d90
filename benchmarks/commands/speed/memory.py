"""The highest memory use since a moment: of the GPU, or of the process."""

import ctypes
import gc
from pathlib import Path

import torch

from benchmarks.common.allocator import is_glibc

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak(device: torch.device) -> None:
    """Start anew from what is in use now."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    if is_glibc():
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _FORGET.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return


def peak(device: torch.device) -> float:
    """Return the peak in bytes; NaN where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return float("nan")
    return next(
        (1024.0 * float(s.split()[1]) for s in lines if s.startswith("VmHWM:")), float("nan")
    )
