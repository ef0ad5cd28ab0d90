"""Timing work on any device."""

import time
from collections.abc import Callable
from statistics import median

import torch


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Return the median seconds of `work` over some repeats; no warm-up."""
    taken = []
    for _ in range(repeats):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        taken.append(time.perf_counter() - started)
    return median(taken)


def repeated(work: Callable[[], object], device: torch.device, budget: float) -> float:
    """Return the median seconds of `work`, repeated for about `budget` seconds after a warm-up."""
    first = seconds(work, device)
    return seconds(work, device, max(1, min(200, round(budget / max(first, 1e-6)))))
