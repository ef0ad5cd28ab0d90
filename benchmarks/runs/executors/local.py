"""Runs executed one after the other in this process; others may work on the same plan."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from benchmarks.common.errors import BenchError, OutOfTime, RunFailed
from benchmarks.common.files import clear_parts
from benchmarks.runs.anew import adopt, folder_anew
from benchmarks.runs.code_changes import changed_since
from benchmarks.runs.execute import RunContext, execute, finished_record, reusable_record
from benchmarks.runs.executors.base import Outcome
from benchmarks.runs.lock import locked
from benchmarks.runs.spec import RunSpec
from benchmarks.runs.store import FAILED, RECORD, read_failure

POLL_SECONDS = 2.0
"""Between two looks whether another process has finished."""


def execute_all(runs: Sequence[RunSpec], context: RunContext) -> Outcome:
    """Execute the runs that are not finished; a failing run does not stop the others.

    A run that another process works on is passed over and waited for at the end; if that process
    dies, its lock is free and the run is taken over from its checkpoint. A run that another process
    saw fail in the meantime has failed here too; the next command tries again. After the context's
    deadline no run is started and none waited for.
    """
    outcome = Outcome()
    work = _Work(context, outcome, {run.key: _failure_stamp(context.folder(run)) for run in runs})
    waiting = work.pass_over(runs, timeout=0)
    if waiting and not _late(context):
        names = ", ".join(run.title for run in waiting)
        context.progress.note(f"waiting for another process that works on: {names}")
    while waiting and not _late(context):
        waiting = work.pass_over(waiting, timeout=POLL_SECONDS)
    outcome.left += waiting
    return outcome


def _late(context: RunContext) -> bool:
    return context.deadline is not None and time.monotonic() >= context.deadline


def _failure_stamp(folder: Path) -> tuple[int, ...] | None:
    """Return what tells one writing of failed.json from the next; None if there is none."""
    try:
        found = (folder / FAILED).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True)
class _Work:
    """A plan under way in this process."""

    context: RunContext
    outcome: Outcome
    failures: Mapping[str, tuple[int, ...] | None]
    """By key, the stamp of the failure that was there when the plan started."""

    def pass_over(self, runs: Sequence[RunSpec], timeout: float) -> list[RunSpec]:
        """Work on the runs that are free and return those that another process works on."""
        busy, context, outcome = [], self.context, self.outcome
        for run in runs:
            if _late(context) and not os.path.lexists(context.folder(run) / RECORD):
                outcome.left.append(run)
                continue
            try:
                self._work_on(run, timeout)
            except Timeout:
                busy.append(run)
            except OutOfTime as error:
                outcome.left.append(run)
                context.progress.run_ended(f"left: {run.title}: {error}")
            except BenchError as error:
                outcome.failed[run.title] = str(error)
                context.progress.run_ended(f"failed: {run.title}: {error}")
        return busy

    def _work_on(self, run: RunSpec, timeout: float) -> None:
        context, folder = self.context, self.context.folder(run)
        pending = os.path.lexists(folder_anew(folder))  # may be a result that waits for adoption
        if not (context.force or pending) and reusable_record(folder) is not None:
            clear_parts(folder)
            self._reuse(run)
            return
        with locked(folder, timeout):
            clear_parts(folder, locked=True)
            adopt(folder)
            finished = finished_record(folder, context.progress) is not None
            if finished and not context.force:
                self._reuse(run)
                return
            self._stop_at_failure(run)
            changed = None if finished else changed_since(folder, run.key_without_code, run.method)
            if changed is not None:
                context.progress.note(f"{run.title}: {changed}")
            context.progress.run_started(run.title)
            if finished:  # the old result stays until the new one is there
                record = execute(run, context, folder_anew(folder))
                adopt(folder)
            else:
                record = execute(run, context)
            self.outcome.done.append(run)
            context.progress.run_ended(f"done: {run.title}: {record.headline} ({folder.name})")

    def _reuse(self, run: RunSpec) -> None:
        self.outcome.reused.append(run)
        folder = self.context.folder(run)
        self.context.progress.run_ended(f"reused: {run.title} ({folder.name})")

    def _stop_at_failure(self, run: RunSpec) -> None:
        """Raise RunFailed if another process saw the run fail since this plan started."""
        folder = self.context.folder(run)
        stamp = _failure_stamp(folder)
        if stamp is None or stamp == self.failures.get(run.key):
            return
        failure = read_failure(folder)
        if failure is not None and failure.get("key") == run.key:
            raise RunFailed(
                f"{failure.get('message')} (in another process, just now; the next command tries "
                "again)"
            )
