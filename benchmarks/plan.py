"""From names, tables and seeds to a list of runs, and carrying them out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from benchmarks import tables
from benchmarks.attributes import attributes
from benchmarks.backbones import BACKBONES
from benchmarks.backbones.weights import WeightsFile
from benchmarks.datasets.base import ImageData
from benchmarks.errors import BenchError, OutOfTime, UsageProblem, unknown_name
from benchmarks.hyper_parameters import RECIPE, check_methods, defaults, resolve
from benchmarks.images import subset
from benchmarks.memory import check_batch_memory, check_embedding_memory
from benchmarks.recipes import Recipe
from benchmarks.recipes import resolve as resolve_recipe
from benchmarks.records import RECORD
from benchmarks.run import Run, Workplace, carry_out, finished_record
from benchmarks.trainer import check_batch_size
from methods import Method
from methods import get as get_method
from methods import names as method_names

LOCK = ".lock"
ALL = "all"
"""Stands for every method that learns without labels, alone or beside others."""
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
        for row in tables.get(number).rows
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

    Raises:
        UsageProblem: if a setting, a hyper-parameter, the batch size or the crop does not fit.
        DataProblem: if weights are missing or wrong, or the images cannot be read.
    """
    _check_owners(settings, choices)
    read = cache(load)

    @cache
    def start(backbone: str) -> WeightsFile | None:
        return BACKBONES[backbone].identify(weights)

    @cache
    def images(image_size: int | None, split: str | None, train_images: int | None) -> ImageData:
        data = read(image_size, split)
        attributes(data.name, data.classes)  # unknown classes are told now, not after training
        try:
            return replace(data, train=subset(data.train, train_images))
        except ValueError as error:
            raise UsageProblem(
                f"recipe {recipe.name}: {error}; set --set recipe.train_images=N, null for all"
            ) from error

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

    first = list(map(run_of, choices))
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
    _try_out(method, values, recipe, len(data.train.images))
    return Run(
        method=method,
        hyper_parameters=values,
        changed={k: v for k, v in values.items() if v != usual[k]},
        data=data,
        recipe=recipe,
        recipe_changed=recipe_changed,
        seed=0,
        precision=precision,
    )


def _check_crop(recipe: Recipe, data: ImageData) -> None:
    if recipe.crop_size is not None and recipe.crop_size > data.image_size:
        raise UsageProblem(
            f"recipe {recipe.name}: crop_size: expected at most {data.image_size}, the side of the "
            f"images of {data.name}, found {recipe.crop_size}; set another recipe.crop_size or a "
            "larger recipe.image_size"
        )


class _StandIn(nn.Module):
    """Takes the encoder's place while hyper-parameters are checked."""

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size

    def forward(self, images: Tensor) -> Tensor:
        return images.new_zeros(len(images), self.embedding_size)


def _try_out(
    method: type[Method], values: Mapping[str, Any], recipe: Recipe, instances: int
) -> None:
    """Build the method once so that a value it refuses is told before hours of training."""
    check_batch_size(method, recipe, instances)
    try:
        with torch.random.fork_rng(devices=[]):
            method(_StandIn(recipe.embedding_size), instances=instances, **values)
    except ValueError as error:
        raise UsageProblem(f"{method.name}: {error}") from error


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
    dies, its lock is free and the run is taken over from its checkpoint. After the place's deadline
    no run is started and none waited for.
    """
    outcome = Outcome()
    waiting = _pass_over(runs, place, outcome, timeout=0)
    if waiting and not _late(place):
        names = ", ".join(run.title for run in waiting)
        place.progress.note(f"waiting for another process that works on: {names}")
    while waiting and not _late(place):
        waiting = _pass_over(waiting, place, outcome, timeout=POLL_SECONDS)
    outcome.left += waiting
    return outcome


def _late(place: Workplace) -> bool:
    return place.deadline is not None and time.monotonic() >= place.deadline


def _pass_over(
    runs: Sequence[Run], place: Workplace, outcome: Outcome, timeout: float
) -> list[Run]:
    busy = []
    for run in runs:
        if _late(place) and not (place.folder(run) / RECORD).exists():
            outcome.left.append(run)
            continue
        try:
            _work_on(run, place, outcome, timeout)
        except Timeout:
            busy.append(run)
        except OutOfTime as error:
            outcome.left.append(run)
            place.progress.run_ended(f"left: {run.title}: {error}")
        except BenchError as error:
            outcome.failed[run.title] = str(error)
            place.progress.run_ended(f"failed: {run.title}: {error}")
    return busy


def _work_on(run: Run, place: Workplace, outcome: Outcome, timeout: float) -> None:
    folder = place.folder(run)
    with _lock(folder, timeout):
        if finished_record(folder, place.progress) is not None:
            outcome.reused.append(run)
            place.progress.run_ended(f"reused: {run.title} ({folder.name})")
            return
        place.progress.run_started(run.title)
        record = carry_out(run, place)
        outcome.done.append(run)
        place.progress.run_ended(f"done: {run.title}: {record.headline} ({folder.name})")


def _lock(folder: Path, timeout: float) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / LOCK, timeout=timeout)
    except OSError as error:
        raise BenchError(
            f"cannot write {folder}: {error.strerror}; choose another folder with --results"
        ) from error
