"""From names, tables and seeds to a list of runs: resolve, check, load, expand the seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import backbones
from benchmarks.backbones.weights import WeightsFile
from benchmarks.common.errors import MethodProblem, UsageProblem, unknown_name
from benchmarks.data.datasets.base import ImageData
from benchmarks.runs import paper_tables
from benchmarks.runs.images import ImageRequest, Load, forget_images, read_images
from benchmarks.runs.memory import check_batch_memory, check_embedding_memory
from benchmarks.runs.spec import DatasetSpec, RunSpec
from benchmarks.runs.trial import try_out
from benchmarks.training.recipe import Recipe, for_method, shared_values
from benchmarks.training.recipe.overrides import RECIPE, check_methods, defaults, resolve, untyped
from methods import Method
from methods import get as get_method
from methods import names as method_names
from methods.base import FAMILY_WORDS

ALL = "all"
"""Stands for every method that uses no labels."""
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
    methods: Sequence[str], tables: Sequence[int | str] = (), split: str | None = None
) -> list[Choice]:
    """Return the methods to run: those named, or the rows of tables.

    Args:
        methods: names, families, or ALL; of a table, only the rows of these methods are kept.
        tables: their numbers or names; none of them for the methods as they are.
        split: training split; of a table, rows of another split are left out.

    Raises:
        UsageProblem: if no method is named, a method or table is unknown, or no row is left.
    """
    chosen = [name for word in methods for name in methods_of(word)]
    if not chosen:
        raise UsageProblem(f"--methods: expected names joined by commas or {ALL}, found none")
    chosen = list(dict.fromkeys(chosen))
    if not tables:
        return [Choice(get_method(name), split=split) for name in chosen]
    choices = [
        Choice(get_method(row.method), row.hyper_parameters, row.recipe, row.split or split)
        for table_id in tables
        for row in paper_tables.get(table_id).rows
        if row.method in chosen and (split is None or row.split in (None, split))
    ]
    if not choices:
        several = len(tables) > 1
        named = f"table{'s' * several} {', '.join(map(str, tables))} {'have' if several else 'has'}"
        trained = f" on split {split}" if split else ""
        raise UsageProblem(f"{named} no row of {', '.join(chosen)}{trained}")
    return choices


def methods_of(word: str) -> list[str]:
    """Return the methods that a word of `--methods` stands for.

    Args:
        word: a method's name, a family or ALL; of the last two, methods without labels.

    Raises:
        UsageProblem: it is neither.
    """
    if word == ALL:
        return method_names()
    if word in FAMILY_WORDS:
        family = FAMILY_WORDS[word]
        return [name for name in method_names() if get_method(name).family == family]
    known = method_names(labelled=True)
    if word not in known:
        raise unknown_name("method", word, [*known, *FAMILY_WORDS, ALL])
    return [word]


def make_plan(
    choices: Sequence[Choice],
    load: Load,
    recipe: Recipe,
    seeds: int,
    settings: Settings,
    precision: str,
    weights: Path | None = None,
    refused: dict[str, str] | None = None,
) -> list[RunSpec]:
    """Return the runs, seed by seed, without repeats; everything is checked before any starts.

    Args:
        choices: what to run. A choice's changes of the recipe take precedence over `settings`.
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
    forget_images()
    plan = _Plan(load, recipe, settings, precision, weights)
    cells = _usable(plan.resolve, choices, refused)
    starts = plan.check(cells, choices)  # before hours of decoding images
    first = _usable(plan.load_images, cells, refused)
    return _expand([replace(s, weights=starts[s.recipe.backbone]) for s in first], seeds)


@dataclass(frozen=True)
class _Cell:
    """A choice with what it becomes under the command's recipe and settings."""

    choice: Choice
    recipe: Recipe
    recipe_changed: Mapping[str, Any]
    recipe_own: Mapping[str, Any]
    hyper_parameters: Mapping[str, Any]
    """All of them, defaults included."""

    @property
    def method(self) -> type[Method]:
        return self.choice.method


@dataclass(frozen=True)
class _Plan:
    """What all runs of a plan share, and the steps that each choice takes."""

    load: Load
    recipe: Recipe
    settings: Settings
    precision: str
    weights: Path | None

    def resolve(self, choice: Choice) -> _Cell:
        """Fill in every field of the recipe and every hyper-parameter."""
        recipe_changed = {**self.settings.get(RECIPE, {}), **choice.recipe}
        name = choice.method.name
        recipe = for_method(self.recipe, name, recipe_changed)
        changes = {
            **recipe.methods.get(name, {}),
            **choice.hyper_parameters,
            **self.settings.get(name, {}),
        }
        own = shared_values(self.recipe, recipe, recipe_changed)
        return _Cell(choice, recipe, recipe_changed, own, resolve(choice.method, changes))

    def check(
        self, cells: Sequence[_Cell], choices: Sequence[Choice]
    ) -> dict[str, WeightsFile | None]:
        """Check all that can be checked without images; return what each backbone starts from."""
        _check_owners(self.settings, choices)
        check_methods(self.recipe)
        for cell in cells:
            check_methods(cell.recipe)
            check_batch_memory(cell.recipe)
        needed = dict.fromkeys(cell.recipe.backbone for cell in cells)
        return {name: backbones.get(name).identify(self.weights) for name in needed}

    def load_images(self, cell: _Cell) -> RunSpec:
        """Read the images, try the method out on their facts, and return the run of seed 0."""
        recipe, method, values = cell.recipe, cell.method, cell.hyper_parameters
        request = ImageRequest(self.load, recipe.image_size, cell.choice.split, recipe.train_images)
        data = read_images(request)
        check_embedding_memory(recipe, data)
        _check_crop(recipe, data)
        user_set = self.settings.get(method.name, {})
        notes = try_out(method, values, recipe, data, user_set=bool(user_set))
        notes += [
            f"{method.name}.{name}={values[name]!r}: neither annotation nor default says of which "
            "type"
            for name in untyped(method, user_set)
        ]
        usual = defaults(method)
        return RunSpec(
            method=method,
            hyper_parameters=values,
            changed={k: v for k, v in values.items() if v != usual[k]},
            data=DatasetSpec.of(request, data),
            recipe=recipe,
            recipe_changed=cell.recipe_changed,
            recipe_own=cell.recipe_own,
            seed=0,
            precision=self.precision,
            notes=tuple(notes),
        )


Given = TypeVar("Given", Choice, _Cell)
Made = TypeVar("Made", _Cell, RunSpec)


def _usable(
    step: Callable[[Given], Made], items: Iterable[Given], refused: dict[str, str] | None
) -> list[Made]:
    """Take a step for each item, and note in `refused` those whose method cannot be used."""
    made = []
    for item in items:
        try:
            made.append(step(item))
        except MethodProblem as error:
            if refused is None:
                raise
            name = item.method.name
            refused[name] = str(error).removeprefix(f"{name}: ")
    return made


def _expand(first: Sequence[RunSpec], seeds: int) -> list[RunSpec]:
    """Return the runs of every seed, seed by seed; of runs with one key, the first."""
    plan: dict[str, RunSpec] = {}
    for seed in range(seeds):
        for spec in first:
            of_seed = replace(spec, seed=seed)
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


def _check_crop(recipe: Recipe, data: ImageData) -> None:
    if recipe.crop_size is not None and recipe.crop_size > data.image_size:
        raise UsageProblem(
            f"recipe {recipe.name}: crop_size: expected at most {data.image_size}, the side of the "
            f"images of {data.name}, found {recipe.crop_size}; set another recipe.crop_size or a "
            "larger recipe.image_size"
        )
