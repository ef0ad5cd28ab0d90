"""Progress of work that takes long, on standard error: a bar in a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBars

Report = Callable[[str], None]
"""Receives one line of progress at a time."""
Progress = Callable[[int, int], None]
"""Receives how many pieces of work are done, and how many there are."""


@contextmanager
def progress_bar(text: str, after: float = 0.0) -> Iterator[tuple[Report, Progress]]:
    """Yield what shows lines and progress on standard error: a bar, or a line every tenth.

    Nothing is shown before the first step of progress.

    Args:
        text: what is being done.
        after: seconds that pass before progress is shown, so that short work shows none.
    """
    console = Console(stderr=True)
    tenth = 0
    begin = time.monotonic() + after

    def line(done: int, total: int) -> None:
        nonlocal tenth
        if time.monotonic() >= begin and done * 10 // total > tenth:
            tenth = done * 10 // total
            report(f"{text}: {done:,} of {total:,}")

    def report(words: str) -> None:
        console.print(words, highlight=False, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield report, line
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with RichBars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        bar = bars.add_task(text, total=None, visible=False)

        def move(done: int, total: int) -> None:
            if time.monotonic() >= begin:
                bars.update(bar, completed=done, total=total, visible=True)

        yield report, move
