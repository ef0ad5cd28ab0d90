"""What every engine that executes runs promises."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.runs.execute import RunContext
from benchmarks.runs.spec import RunSpec


@dataclass
class Outcome:
    """What became of a plan's runs."""

    done: list[RunSpec] = field(default_factory=list)
    reused: list[RunSpec] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Reason by the run's title."""
    left: list[RunSpec] = field(default_factory=list)
    """Not finished when the time was up."""

    @property
    def total(self) -> int:
        """Number of runs in the plan."""
        return len(self.done) + len(self.reused) + len(self.failed) + len(self.left)


class Executor(Protocol):
    """An engine; a module's function `execute_all` is one."""

    def __call__(self, runs: Sequence[RunSpec], context: RunContext) -> Outcome:
        """Execute the runs that are not finished; a failing run does not stop the others.

        Every run ends in exactly one of the outcome's lists. No two processes work on one run at
        a time, whichever engines started them: each holds the lock of the run's folder.
        """
