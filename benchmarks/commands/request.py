"""From one command's options to its outcome: what `bench run` does, callable from Python."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.allocator import keep_freed_memory
from benchmarks.common.device import choose_device, choose_precision
from benchmarks.common.errors import MethodProblem, UsageProblem
from benchmarks.common.output import steady_output
from benchmarks.data import datasets
from benchmarks.data.datasets.base import Dataset
from benchmarks.runs import paper_tables as tables
from benchmarks.runs import plugin_tables
from benchmarks.runs.execute import RunContext
from benchmarks.runs.executors.base import Outcome
from benchmarks.runs.executors.local import execute_all
from benchmarks.runs.images import NamedDataset
from benchmarks.runs.plan import ALL, choose, make_plan
from benchmarks.runs.plugins import load_plugins
from benchmarks.runs.spec import RunSpec
from benchmarks.training import recipe as recipes
from benchmarks.training.loggers.console import make_progress
from benchmarks.training.recipe import Recipe, RecipeFile
from benchmarks.training.recipe.overrides import RECIPE, parse_settings
from methods.base import FAMILY_WORDS, registry


@dataclass(frozen=True)
class Request:
    """The options of `bench run`."""

    methods: Sequence[str] = ("all",)
    dataset: str | None = None
    """None: the tables', else the folder of images that `data` gives, else the digits."""
    recipe: RecipeFile | None = None
    """None: the tables', else the data set's own default."""
    tables: Sequence[int | str] = ()
    """Tables on one data set: numbers of the paper's, names of those of plug-ins."""
    split: str | None = None
    """Training split; None: the table row's, else the data set's first."""
    seeds: int = 1
    settings: Sequence[str] = ()
    epochs: int | None = None
    data: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    precision: str = "auto"
    plugin: Sequence[Path] = ()
    minutes: float | None = None
    """When to stop, from now on; None: when everything is done."""
    partial: bool = False
    """Whether a part of a data set will do, which its records then say."""
    compiled: bool = False
    """Whether torch.compile prepares encoders for training."""
    weights: Path | None = None
    """The file that pre-trained backbones start from."""
    force: bool = False
    """Whether finished runs are made anew; each old result stays until the new one is there."""


def run_request(request: Request) -> Outcome:
    """Plan the request's runs and execute them.

    Raises:
        BenchError: if the request does not make sense or the data cannot be read; failures of
            single runs are in the outcome instead.
    """
    deadline = None if request.minutes is None else time.monotonic() + 60 * request.minutes
    if request.force and request.minutes is not None:
        raise UsageProblem(
            "--force: expected no --for beside it, as the same command given again would begin "
            "with the first run again; leave one of them out"
        )
    failed = load_plugins(request.plugin)
    settings = parse_settings(request.settings)
    if request.epochs is not None:
        settings.setdefault(RECIPE, {})["epochs"] = request.epochs
    dataset, recipe = _images_and_recipe(request)
    chosen = _known(request.methods, failed)
    choices = choose(chosen, request.tables, request.split)
    notes: list[str] = []
    device = choose_device(request.device, notes.append)
    if device.type == "cpu":
        keep_freed_memory()
    precision = choose_precision(request.precision, device)
    root = datasets.root_of(dataset.name, request.data)
    load = NamedDataset(dataset.name, root, request.partial)
    runs = make_plan(
        choices, load, recipe, request.seeds, settings, precision, request.weights, failed
    )
    plugin_tables.keep(request.results, map(str, request.tables))
    with steady_output(), make_progress(len(runs)) as progress:
        notes += [] if request.recipe is None else request.recipe.notes
        for note in dict.fromkeys([*notes, *_notes(runs, chosen, failed)]):
            progress.note(note)
        context = RunContext(
            request.results, device, progress, deadline, request.compiled, request.force
        )
        outcome = execute_all(runs, context)
    outcome.failed = {**failed, **outcome.failed}
    return outcome


def _images_and_recipe(request: Request) -> tuple[Dataset, Recipe]:
    """Return what the request names, or what its tables or data set have by default."""
    if not request.tables:
        own = "digits" if request.data is None else "folder"
        dataset = datasets.get(own if request.dataset is None else request.dataset)
        default = dataset.default_recipe
    else:
        table = _first_table(request.tables)
        if request.dataset not in (None, table.dataset):
            raise UsageProblem(
                f"table {table.id} is on {table.dataset}, found --dataset {request.dataset}; "
                "leave --dataset out"
            )
        dataset, default = datasets.get(table.dataset), table.recipe
    return dataset, (request.recipe or recipes.read(default)).recipe


def _first_table(ids: Sequence[int | str]) -> tables.Table:
    """Return the first of tables that can be run together."""
    first, *others = map(tables.get, ids)
    for other in others:
        if (other.dataset, other.recipe) != (first.dataset, first.recipe):
            raise UsageProblem(
                f"table {first.id} is on {first.dataset} with recipe {first.recipe} and table "
                f"{other.id} on {other.dataset} with recipe {other.recipe}; run them by two "
                "commands"
            )
    return first


def _notes(
    runs: Sequence[RunSpec], methods: Sequence[str], failed: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is to be said before any run starts."""
    yield from dict.fromkeys(note for run in runs for note in (*run.data.told, *run.notes))
    for name, reason in failed.items():
        yield f"failed: {name}: {reason}"
    if not methods or ALL in methods:
        for name, reason in registry.failures().items():
            yield f"left out: installed plug-in {name}: {reason}"


def _known(methods: Sequence[str], failed: dict[str, str]) -> Sequence[str]:
    """Return the methods without those that a plug-in which failed may have been to bring.

    Args:
        methods: the names that were asked for.
        failed: plug-ins that failed; takes those names too.
    """
    known = {*registry.names(labelled=True), *FAMILY_WORDS, ALL}
    unknown = [name for name in methods if name not in known] if failed else []
    if not unknown:
        return methods
    rest = [name for name in methods if name in known]
    if not rest:
        raise MethodProblem("; ".join(f"{name}: {why}" for name, why in failed.items()))
    failed.update(dict.fromkeys(unknown, "not known; a plug-in failed"))
    return rest
