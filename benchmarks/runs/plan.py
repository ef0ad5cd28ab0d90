"""From names, tables and seeds to a list of runs, and carrying them out."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmarks import backbones
from benchmarks.backbones.weights import WeightsFile
from benchmarks.common.errors import (
    BenchError,
    MethodProblem,
    OutOfTime,
    RunFailed,
    UsageProblem,
    unknown_name,
)
from benchmarks.common.files import clear_parts
from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, with_copies_noted
from benchmarks.data.loader import subset
from benchmarks.runs import paper_tables
from benchmarks.runs.anew import adopt, folder_anew
from benchmarks.runs.code_changes import changed_since
from benchmarks.runs.execute import Run, Workplace, carry_out, finished_record, reusable_record
from benchmarks.runs.memory import check_batch_memory, check_embedding_memory
from benchmarks.runs.store import FAILED, RECORD, read_failure
from benchmarks.runs.trial import try_out
from benchmarks.training.recipe import Recipe
from benchmarks.training.recipe import resolve as resolve_recipe
from benchmarks.training.recipe.overrides import RECIPE, check_methods, defaults, resolve, untyped
from methods import Method
from methods import get as get_method
from methods import names as method_names

ALL = "all"
"""Stands for every method that uses no labels."""
LOCK = ".lock"
POLL_SECONDS = 2.0

Load = Callable[[int | None, str | None], ImageData]
"""Reads the images in a size and a training split, as `Dataset.load` does below a folder."""
Settings = Mapping[str, Mapping[str, Any]]
"""{method: {hyper_parameter: value}}; the key "recipe" changes the recipe's fields."""


@dataclass(frozen=True)
class Choice:
    """One line of a plan: a method with what a table's row sets."""

    method: type[Method]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the recipe's fields."""
    split: str | None = None
    """Training split; None for the data set's first."""


def choose(
    methods: Sequence[str], numbers: Sequence[int] = (), split: str | None = None
) -> list[Choice]:
    """Return the methods to run: those named, or the rows of tables.

    Args:
        methods: names, or ALL; of a table, only the rows of these methods are kept.
        numbers: of tables; none of them for the methods as they are.
        split: training split; of a table, rows of another split are left out.

    Raises:
        UsageProblem: if no method is named, a method or table is unknown, or no row is left.
    """
    known = method_names(labelled=True)
    wanted: list[str] = []
    for name in methods:
        if name != ALL and name not in known:
            raise unknown_name("method", name, [*known, ALL])
        wanted += method_names() if name == ALL else [name]
    if not wanted:
        raise UsageProblem(f"--methods: expected names joined by commas or {ALL}, found none")
    wanted = list(dict.fromkeys(wanted))
    if not numbers:
        return [Choice(get_method(name), split=split) for name in wanted]
    choices = [
        Choice(get_method(row.method), row.hyper_parameters, row.recipe, row.split or split)
        for number in numbers
        for row in paper_tables.get(number).rows
        if row.method in wanted and (split is None or row.split in (None, split))
    ]
    if not choices:
        several = len(numbers) > 1
        named = (
            f"table{'s' * several} {', '.join(map(str, numbers))} {'have' if several else 'has'}"
        )
        trained = f" on split {split}" if split else ""
        raise UsageProblem(f"{named} no row of {', '.join(wanted)}{trained}")
    return choices


def make_plan(
    choices: Sequence[Choice],
    load: Load,
    recipe: Recipe,
    seeds: int,
    settings: Settings,
    precision: str,
    weights: Path | None = None,
    refused: dict[str, str] | None = None,
) -> list[Run]:
    """Return the runs, seed by seed, without repeats; everything is checked before any starts.

    Args:
        choices: what to run. What one changes of the recipe stands above what `settings` changes.
        load: reads the images; called once for each training split that is needed.
        recipe: shared by all runs but for the changes of a choice.
        seeds: number of seeds, counted from 0.
        settings: changes of hyper-parameters and of the recipe.
        precision: "bf16" or "fp32".
        weights: the file that pre-trained backbones start from.
        refused: takes the plug-ins' methods that cannot be used, each with the reason; None to
            raise at the first.

    Raises:
        MethodProblem: if a plug-in's method cannot be used and `refused` is None.
        UsageProblem: if a setting, a hyper-parameter, the batch size or the crop does not fit.
        DataProblem: if weights are missing or wrong, or the images cannot be read.
    """
    _check_owners(settings, choices)
    read = cache(load)

    @cache
    def start(backbone: str) -> WeightsFile | None:
        return backbones.get(backbone).identify(weights)

    @cache
    def images(image_size: int | None, split: str | None, train_images: int | None) -> ImageData:
        data = read(image_size, split)
        attributes(data.name, data.classes)  # unknown classes are told now, not after training
        try:
            data = replace(data, train=subset(data.train, train_images))
        except ValueError as error:
            raise UsageProblem(
                f"recipe {recipe.name}: {error}; set --set recipe.train_images=N, null for all"
            ) from error
        return with_copies_noted(data)

    def run_of(choice: Choice) -> Run:
        recipe_changed = {**settings.get(RECIPE, {}), **choice.recipe}
        used = resolve_recipe(recipe, recipe_changed)
        check_methods(used)
        check_batch_memory(used)
        beginning = start(used.backbone)  # before hours of decoding images
        data = images(used.image_size, choice.split, used.train_images)
        check_embedding_memory(used, data)
        run = _make_run(choice, data, used, recipe_changed, settings, precision)
        return replace(run, weights=beginning)

    first = []
    for choice in choices:
        try:
            first.append(run_of(choice))
        except MethodProblem as error:
            if refused is None:
                raise
            refused[choice.method.name] = str(error).removeprefix(f"{choice.method.name}: ")
    plan: dict[str, Run] = {}
    for seed in range(seeds):
        for run in first:
            of_seed = replace(run, seed=seed)
            plan.setdefault(of_seed.key, of_seed)
    return list(plan.values())


def _check_owners(settings: Settings, choices: Sequence[Choice]) -> None:
    chosen = {choice.method.name for choice in choices}
    for owner in settings:
        if owner == RECIPE or owner in chosen:
            continue
        if owner in method_names(labelled=True):
            raise UsageProblem(f"--set {owner}.…: {owner} is not among the methods of this command")
        raise unknown_name("method in --set", owner, [*method_names(), RECIPE])


def _make_run(
    choice: Choice,
    data: ImageData,
    recipe: Recipe,
    recipe_changed: Mapping[str, Any],
    settings: Settings,
    precision: str,
) -> Run:
    """Return the run of seed 0, its hyper-parameters resolved and tried out."""
    method = choice.method
    changes = {
        **recipe.methods.get(method.name, {}),
        **choice.hyper_parameters,
        **settings.get(method.name, {}),
    }
    values = resolve(method, changes)
    usual = defaults(method)
    _check_crop(recipe, data)
    notes = try_out(method, values, recipe, data, user_set=bool(settings.get(method.name)))
    notes += [
        f"{method.name}.{name}={values[name]!r}: neither annotation nor default says of which type"
        for name in untyped(method, settings.get(method.name, {}))
    ]
    return Run(
        method=method,
        hyper_parameters=values,
        changed={k: v for k, v in values.items() if v != usual[k]},
        data=data,
        recipe=recipe,
        recipe_changed=recipe_changed,
        seed=0,
        precision=precision,
        notes=tuple(notes),
    )


def _check_crop(recipe: Recipe, data: ImageData) -> None:
    if recipe.crop_size is not None and recipe.crop_size > data.image_size:
        raise UsageProblem(
            f"recipe {recipe.name}: crop_size: expected at most {data.image_size}, the side of the "
            f"images of {data.name}, found {recipe.crop_size}; set another recipe.crop_size or a "
            "larger recipe.image_size"
        )


@dataclass
class Outcome:
    """What became of a plan's runs."""

    done: list[Run] = field(default_factory=list)
    reused: list[Run] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Reason by the run's title."""
    left: list[Run] = field(default_factory=list)
    """Not finished when the time was up."""

    @property
    def total(self) -> int:
        """Number of runs in the plan."""
        return len(self.done) + len(self.reused) + len(self.failed) + len(self.left)


def carry_out_all(runs: Sequence[Run], place: Workplace) -> Outcome:
    """Carry out the runs that are not finished; a failing run does not stop the others.

    A run that another process works on is passed over and waited for at the end; if that process
    dies, its lock is free and the run is taken over from its checkpoint. A run that another process
    saw fail in the meantime has failed here too; the next command tries again. After the place's
    deadline no run is started and none waited for.
    """
    outcome = Outcome()
    work = _Work(place, outcome, {run.key: _failure_stamp(place.folder(run)) for run in runs})
    waiting = work.pass_over(runs, timeout=0)
    if waiting and not _late(place):
        names = ", ".join(run.title for run in waiting)
        place.progress.note(f"waiting for another process that works on: {names}")
    while waiting and not _late(place):
        waiting = work.pass_over(waiting, timeout=POLL_SECONDS)
    outcome.left += waiting
    return outcome


def _late(place: Workplace) -> bool:
    return place.deadline is not None and time.monotonic() >= place.deadline


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

    place: Workplace
    outcome: Outcome
    failures: Mapping[str, tuple[int, ...] | None]
    """By key, the stamp of the failure that was there when the plan started."""

    def pass_over(self, runs: Sequence[Run], timeout: float) -> list[Run]:
        """Work on the runs that are free and return those that another process works on."""
        busy, place, outcome = [], self.place, self.outcome
        for run in runs:
            if _late(place) and not os.path.lexists(place.folder(run) / RECORD):
                outcome.left.append(run)
                continue
            try:
                self._work_on(run, timeout)
            except Timeout:
                busy.append(run)
            except OutOfTime as error:
                outcome.left.append(run)
                place.progress.run_ended(f"left: {run.title}: {error}")
            except BenchError as error:
                outcome.failed[run.title] = str(error)
                place.progress.run_ended(f"failed: {run.title}: {error}")
        return busy

    def _work_on(self, run: Run, timeout: float) -> None:
        place, folder = self.place, self.place.folder(run)
        pending = os.path.lexists(folder_anew(folder))  # may be a result that waits for adoption
        if not (place.force or pending) and reusable_record(folder) is not None:
            clear_parts(folder)
            self._reuse(run)
            return
        with _locked(folder, timeout):
            clear_parts(folder, locked=True)
            adopt(folder)
            finished = finished_record(folder, place.progress) is not None
            if finished and not place.force:
                self._reuse(run)
                return
            self._stop_at_failure(run)
            changed = None if finished else changed_since(folder, run.key_without_code, run.method)
            if changed is not None:
                place.progress.note(f"{run.title}: {changed}")
            place.progress.run_started(run.title)
            if finished:  # the old result stays until the new one is there
                record = carry_out(run, place, folder_anew(folder))
                adopt(folder)
            else:
                record = carry_out(run, place)
            self.outcome.done.append(run)
            place.progress.run_ended(f"done: {run.title}: {record.headline} ({folder.name})")

    def _reuse(self, run: Run) -> None:
        self.outcome.reused.append(run)
        folder = self.place.folder(run)
        self.place.progress.run_ended(f"reused: {run.title} ({folder.name})")

    def _stop_at_failure(self, run: Run) -> None:
        """Raise RunFailed if another process saw the run fail since this plan started."""
        folder = self.place.folder(run)
        stamp = _failure_stamp(folder)
        if stamp is None or stamp == self.failures.get(run.key):
            return
        failure = read_failure(folder)
        if failure is not None and failure.get("key") == run.key:
            raise RunFailed(
                f"{failure.get('message')} (in another process, just now; the next command tries "
                "again)"
            )


@contextmanager
def _locked(folder: Path, timeout: float) -> Iterator[None]:
    """Hold a run's lock.

    Raises:
        Timeout: if another process holds it for longer.
        BenchError: if the folder cannot be written or locked.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=timeout)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"cannot write {folder}: {error.strerror}; choose another folder with --results"
        ) from error
    try:
        lock.acquire()
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BenchError(
            f"cannot lock {path}: {reason}; expected a file system with locks and a file that this "
            "user may write, choose another folder with --results"
        ) from error
    try:
        yield
    finally:
        lock.release()
