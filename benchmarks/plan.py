"""From names, tables and seeds to a list of runs, and carrying them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from benchmarks import tables
from benchmarks.datasets.base import ImageData
from benchmarks.errors import BenchError, UsageProblem, unknown_name
from benchmarks.hyper_parameters import RECIPE, defaults, resolve
from benchmarks.images import subset
from benchmarks.recipes import Recipe
from benchmarks.recipes import resolve as resolve_recipe
from benchmarks.run import Run, Workplace, carry_out, finished_record
from benchmarks.trainer import check_batch_size
from methods import Method
from methods import get as get_method
from methods import names as method_names

LOCK = ".lock"
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Choice:
    """One line of a plan: a method with the hyper-parameters a table's row sets."""

    method: type[Method]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


def choose(methods: Sequence[str], table: int | None = None) -> list[Choice]:
    """Return the methods to run: those named ("all" is every one), or a table's rows.

    With a table, `methods` keeps only the rows of these methods.

    Raises:
        UsageProblem: if a method or table is unknown.
    """
    wanted = method_names() if list(methods) in ([], ["all"]) else list(dict.fromkeys(methods))
    for name in wanted:
        if name not in method_names():
            raise unknown_name("method", name, [*method_names(), "all"])
    if table is None:
        return [Choice(get_method(name)) for name in wanted]
    rows = [row for row in tables.get(table).rows if row.method in wanted]
    if not rows:
        raise UsageProblem(f"table {table} has no row of {', '.join(wanted)}")
    return [Choice(get_method(row.method), row.hyper_parameters) for row in rows]


def make_plan(
    choices: Sequence[Choice],
    data: ImageData,
    recipe: Recipe,
    seeds: int,
    settings: Mapping[str, Mapping[str, Any]],
    precision: str,
) -> list[Run]:
    """Return the runs, seed by seed, without repeats; everything is checked before any starts.

    Args:
        choices: what to run.
        data: the images.
        recipe: shared by all runs.
        seeds: number of seeds, counted from 0.
        settings: {method: {hyper_parameter: value}}; the key "recipe" changes the recipe's fields.
        precision: "bf16" or "fp32".

    Raises:
        UsageProblem: if a setting, a hyper-parameter or the batch size does not fit.
    """
    _check_owners(settings, choices)
    recipe_changed = dict(settings.get(RECIPE, {}))
    recipe = resolve_recipe(recipe, recipe_changed)
    try:
        data = replace(data, train=subset(data.train, recipe.train_images))
    except ValueError as error:
        raise UsageProblem(f"recipe {recipe.name}: {error}") from error
    first = [
        _make_run(choice, data, recipe, recipe_changed, settings, precision) for choice in choices
    ]
    every = [replace(run, seed=seed) for seed in range(seeds) for run in first]
    return list({run.key: run for run in every}.values())


def _check_owners(settings: Mapping[str, Mapping[str, Any]], choices: Sequence[Choice]) -> None:
    chosen = {choice.method.name for choice in choices}
    for owner in settings:
        if owner == RECIPE or owner in chosen:
            continue
        if owner in method_names():
            raise UsageProblem(f"--set {owner}.…: {owner} is not among the methods of this command")
        raise unknown_name("method in --set", owner, [*method_names(), RECIPE])


def _make_run(
    choice: Choice,
    data: ImageData,
    recipe: Recipe,
    recipe_changed: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
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


def carry_out_all(runs: Sequence[Run], place: Workplace) -> Outcome:
    """Carry out the runs that are not finished; a failing run does not stop the others.

    A run that another process works on is passed over and waited for at the end; if that process
    dies, its lock is free and the run is taken over from its checkpoint.
    """
    outcome = Outcome()
    waiting = _pass_over(runs, place, outcome, timeout=0)
    if waiting:
        names = ", ".join(run.title for run in waiting)
        place.progress.note(f"waiting for another process that works on: {names}")
    while waiting:
        waiting = _pass_over(waiting, place, outcome, timeout=POLL_SECONDS)
    return outcome


def _pass_over(
    runs: Sequence[Run], place: Workplace, outcome: Outcome, timeout: float
) -> list[Run]:
    busy = []
    for run in runs:
        try:
            _work_on(run, place, outcome, timeout)
        except Timeout:
            busy.append(run)
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
        figure = "no labels" if record.final.knn is None else f"kNN {record.final.knn:.1f}"
        place.progress.run_ended(f"done: {run.title}: {figure} ({folder.name})")


def _lock(folder: Path, timeout: float) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / LOCK, timeout=timeout)
    except OSError as error:
        raise BenchError(
            f"cannot write {folder}: {error.strerror}; choose another folder with --results"
        ) from error
