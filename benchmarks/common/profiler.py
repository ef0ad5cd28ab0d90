"""Where the time of a training loop goes."""

import time
from collections import defaultdict

import torch


class Stopwatch:
    """Adds up the seconds between laps, by the name of the phase that a lap ends.

    On a GPU laps are events on its stream, so that timing a step does not make it wait.

    Args:
        device: where the timed work is done; None measures nothing and costs nothing.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device
        self._phases: list[str] = []
        self._moments: list[float] = []
        self._events: list[torch.cuda.Event] = []
        self.start()

    def start(self) -> None:
        """Forget all laps and begin the first phase."""
        self._phases, self._moments, self._events = [], [], []
        self._mark()

    def lap(self, phase: str) -> None:
        """End a phase: what was done since the last lap."""
        if self._device is not None:
            self._phases.append(phase)
            self._mark()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase so far; waits for the device."""
        moments = self._moments
        if self._events:
            torch.cuda.synchronize(self._device)
            moments = [self._events[0].elapsed_time(event) / 1000 for event in self._events]
        totals: dict[str, float] = defaultdict(float)
        for phase, start, end in zip(self._phases, moments, moments[1:], strict=False):
            totals[phase] += end - start
        return dict(totals)

    def _mark(self) -> None:
        if self._device is None:
            return
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)
        else:
            self._moments.append(time.perf_counter())
