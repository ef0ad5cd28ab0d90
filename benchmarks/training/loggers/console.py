"""Telling how a run goes: rich bars in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichBars

from benchmarks.evaluator import metric_names

HEADLINES = {
    metric.name: metric.published for metric in (metric_names.KNN, metric_names.RECALL_AT_1)
}
"""What an epoch's figures are shown of, and its name."""


class Progress(Protocol):
    """What the trainer and the runs report to."""

    def run_started(self, title: str) -> None:
        """Note that a run starts or goes on."""

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        """Note that epoch `epoch` (from 1) of `epochs` starts, with `steps` steps."""

    def stepped(self, step: int, loss: float) -> None:
        """Note that `step` steps of the epoch are done; `loss` is the last one's."""

    def evaluating(self) -> None:
        """Note that an evaluation starts."""

    def epoch_ended(self, row: dict[str, Any]) -> None:
        """Note the epoch's row of the record."""

    def run_ended(self, text: str) -> None:
        """Say in one line how the run ended."""

    def note(self, text: str) -> None:
        """Say one line."""


class _Clock:
    """Estimates the time left from the steps of this process alone, so that resuming is fair."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.first_epoch: int | None = None
        self.epoch = self.epochs = self.steps = self.step = 0

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        if self.first_epoch is None:
            self.first_epoch, self.started = epoch, time.monotonic()
        self.epoch, self.epochs, self.steps, self.step = epoch, epochs, steps, 0

    def left(self) -> str:
        if self.first_epoch is None:
            return "?"
        done = (self.epoch - self.first_epoch) * self.steps + self.step
        remaining = (self.epochs - self.epoch + 1) * self.steps - self.step
        if done == 0:
            return "?"
        return duration((time.monotonic() - self.started) / done * remaining)


def duration(seconds: float) -> str:
    """Write seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _describe(row: dict[str, Any], left: str) -> str:
    parts = []
    if np.isfinite(row.get("loss", np.nan)):
        parts.append(f"loss {row['loss']:.4f}")
    for column, name in HEADLINES.items():
        if np.isfinite(row.get(column, np.nan)):
            parts.append(f"{name} {row[column]:.1f}")
    if np.isfinite(row.get("images_per_second", np.nan)):
        parts.append(f"{row['images_per_second']:,.0f} images/s")
    return "  ".join([*parts, f"left {left}"])


class PlainProgress:
    """One line an epoch."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self._say = say
        self._title = ""
        self._clock = _Clock()

    def run_started(self, title: str) -> None:
        """Remember the title and start the clock."""
        self._title, self._clock = title, _Clock()

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        """Start the epoch's count."""
        self._clock.epoch_started(epoch, epochs, steps)

    def stepped(self, step: int, loss: float) -> None:
        """Count; nothing is printed."""
        self._clock.step = step

    def evaluating(self) -> None:
        """Print nothing."""

    def epoch_ended(self, row: dict[str, Any]) -> None:
        """Print the epoch's line."""
        epochs = max(self._clock.epochs, row["epoch"])
        line = _describe(row, self._clock.left() if row["epoch"] < epochs else "0:00")
        self._say(f"{self._title}  epoch {row['epoch']}/{epochs}  {line}")

    def run_ended(self, text: str) -> None:
        """Print the line."""
        self._say(text)

    def note(self, text: str) -> None:
        """Print the line."""
        self._say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""


class BarProgress:
    """A bar over all runs and a bar for the current one."""

    def __init__(self, runs: int, console: Console) -> None:
        self._bars = RichBars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
        )
        self._all = self._bars.add_task("runs", total=runs, status="")
        self._current = self._bars.add_task("", total=None, status="", visible=False)
        self._clock = _Clock()
        self._row: dict[str, Any] = {}

    def run_started(self, title: str) -> None:
        """Show a new bar for the run."""
        self._clock, self._row = _Clock(), {}
        self._bars.reset(self._current, description=title, total=None, visible=True, status="")

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        """Set the bar to the epoch's first step."""
        self._clock.epoch_started(epoch, epochs, steps)
        self._bars.update(self._current, total=epochs * steps, completed=(epoch - 1) * steps)

    def stepped(self, step: int, loss: float) -> None:
        """Move the bar."""
        self._clock.step = step
        status = _describe({**self._row, "loss": loss}, self._clock.left())
        done = (self._clock.epoch - 1) * self._clock.steps + step
        self._bars.update(self._current, completed=done, status=status)

    def evaluating(self) -> None:
        """Say so beside the bar."""
        self._bars.update(self._current, status="evaluating")

    def epoch_ended(self, row: dict[str, Any]) -> None:
        """Show the epoch's figures beside the bar."""
        known = {k: v for k, v in self._row.items() if k in HEADLINES and np.isfinite(v)}
        found = {k: v for k, v in row.items() if k not in HEADLINES or np.isfinite(v)}
        self._row = known | found
        status = _describe(self._row, self._clock.left())
        self._bars.update(self._current, status=status, refresh=True)

    def run_ended(self, text: str) -> None:
        """Print the line and count the run as ended."""
        self.note(text)
        self._bars.update(self._current, visible=False)
        self._bars.advance(self._all)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self._bars.stop()


def make_progress(runs: int) -> PlainProgress | BarProgress:
    """Return bars if the output is a terminal, else plain lines."""
    console = Console(stderr=False)
    if console.is_terminal and sys.stdout.isatty():
        return BarProgress(runs, console)
    return PlainProgress(lambda text: print(text, flush=True))
