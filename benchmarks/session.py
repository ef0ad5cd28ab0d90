"""From one command's options to its outcome: what `bench run` does, callable from Python."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import datasets, recipes, tables
from benchmarks.allocator import keep_freed_memory
from benchmarks.datasets.base import Dataset
from benchmarks.environment import choose_device, choose_precision
from benchmarks.errors import UsageProblem
from benchmarks.hyper_parameters import RECIPE, parse_settings
from benchmarks.plan import Outcome, carry_out_all, choose, make_plan
from benchmarks.progress import make_progress
from benchmarks.recipes import Recipe, RecipeFile
from benchmarks.run import Workplace
from methods import registry


@dataclass(frozen=True)
class Request:
    """The options of `bench run`."""

    methods: Sequence[str] = ("all",)
    dataset: str | None = None
    """None: the tables', else the folder of images that `data` gives, else the digits."""
    recipe: RecipeFile | None = None
    """None: the tables', else the data set's own default."""
    tables: Sequence[int] = ()
    """Numbers of tables on one data set."""
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


def run_request(request: Request) -> Outcome:
    """Plan the request's runs and carry them out.

    Raises:
        BenchError: if the request does not make sense or the data cannot be read; failures of
            single runs are in the outcome instead.
    """
    deadline = None if request.minutes is None else time.monotonic() + 60 * request.minutes
    load_plugins(request.plugin)
    settings = parse_settings(request.settings)
    if request.epochs is not None:
        settings.setdefault(RECIPE, {})["epochs"] = request.epochs
    dataset, recipe = _images_and_recipe(request)
    choices = choose(request.methods, request.tables, request.split)
    device = choose_device(request.device)
    if device.type == "cpu":
        keep_freed_memory()
    precision = choose_precision(request.precision, device)
    load = partial(
        dataset.load, datasets.root_of(dataset.name, request.data), partial=request.partial
    )
    runs = make_plan(choices, load, recipe, request.seeds, settings, precision, request.weights)
    with make_progress(len(runs)) as progress:
        for note in dict.fromkeys(note for run in runs for note in run.data.told):
            progress.note(note)
        place = Workplace(request.results, device, progress, deadline, request.compiled)
        return carry_out_all(runs, place)


def _images_and_recipe(request: Request) -> tuple[Dataset, Recipe]:
    """Return what the request names, or what its tables or data set have by default."""
    if not request.tables:
        own = "digits" if request.data is None else "folder"
        dataset = datasets.get(request.dataset or own)
        default = dataset.default_recipe
    else:
        table = _first_table(request.tables)
        if request.dataset not in (None, table.dataset):
            raise UsageProblem(
                f"table {table.number} is on {table.dataset}, found --dataset {request.dataset}; "
                "leave --dataset out"
            )
        dataset, default = datasets.get(table.dataset), table.recipe
    return dataset, (request.recipe or recipes.read(default)).recipe


def _first_table(numbers: Sequence[int]) -> tables.Table:
    """Return the first of tables that can be run together."""
    first, *others = map(tables.get, numbers)
    for other in others:
        if (other.dataset, other.recipe) != (first.dataset, first.recipe):
            raise UsageProblem(
                f"table {first.number} is on {first.dataset} with recipe {first.recipe} and table "
                f"{other.number} on {other.dataset} with recipe {other.recipe}; run them by two "
                "commands"
            )
    return first


def load_plugins(files: Sequence[Path]) -> None:
    """Import plug-in files so that their methods are known by name.

    Raises:
        UsageProblem: if a file cannot be imported or holds no method.
    """
    for file in files:
        try:
            registry.load_file(file)
        except ValueError as error:
            raise UsageProblem(str(error)) from error
