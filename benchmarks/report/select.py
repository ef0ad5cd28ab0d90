"""What may stand side by side, and what may be averaged: from stored runs to comparisons."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmarks.records import FAILED, RECORD, DatasetFacts, RunRecord, StoredRun, runs_folder
from benchmarks.report import recipe_facts
from benchmarks.tables import TABLES


class Failure(BaseModel):
    """The content of failed.json: a run that stopped, for instance at an infinite loss."""

    model_config = ConfigDict(frozen=True)

    method: str
    hyper_parameters: dict[str, Any]
    changed: dict[str, Any]
    """The hyper-parameters that differ from the method's defaults."""
    dataset: DatasetFacts
    recipe: dict[str, Any]
    recipe_changed: dict[str, Any]
    seed: int
    message: str


@dataclass(frozen=True)
class Group:
    """Runs of one configuration: they differ in nothing but the seed."""

    method: str
    hyper_parameters: Mapping[str, Any]
    changed: Mapping[str, Any]
    """The hyper-parameters that differ from the method's defaults."""
    runs: tuple[StoredRun, ...] = ()
    """One per seed, in the order of the seeds."""
    failures: tuple[Failure, ...] = ()
    precision: str = ""
    protocol: str = ""
    label: str = ""
    """The method's name, with what sets it apart from others in the comparison."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(run.record.seed for run in self.runs)

    @property
    def trained(self) -> bool:
        """Whether a run of it went through at least one epoch."""
        return any(run.record.final.epoch > 0 for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Groups that used the same images and the same recipe."""

    dataset_name: str
    dataset: DatasetFacts | None
    """None if nothing was run yet."""
    recipe: Mapping[str, Any]
    recipe_changed: Mapping[str, Any]
    groups: tuple[Group, ...] = ()
    mark: str = ""
    """Set where data set and recipe have the same names as another comparison's."""

    @property
    def label(self) -> str:
        """The recipe and what the command changed of it, such as "paper, epochs = 2 of 200"."""
        label = recipe_facts.label(self.recipe, self.recipe_changed)
        return f"{label} [{self.mark}]" if self.mark else label

    @property
    def slug(self) -> str:
        """The label as a part of a file name."""
        words = [str(self.recipe["name"]), *(f"{k}-{v}" for k, v in self.recipe_changed.items())]
        return recipe_facts.slug(" ".join([*words, self.mark]))

    @property
    def runs(self) -> list[StoredRun]:
        """All finished runs."""
        return [run for group in self.groups for run in group.runs]

    @property
    def failures(self) -> list[Failure]:
        """All failed runs."""
        return [failure for group in self.groups for failure in group.failures]

    @property
    def seeds(self) -> int:
        """How many seeds, counted from 0, were run."""
        ran = [run.record.seed for run in self.runs] + [f.seed for f in self.failures]
        return max(ran, default=-1) + 1


def planned(dataset: str, recipe: str) -> Comparison:
    """Return a comparison of which nothing was run yet."""
    return Comparison(dataset, None, recipe_facts.builtin(recipe) or {"name": recipe}, {})


def read_failures(results: Path, warn: Callable[[str], None]) -> list[Failure]:
    """Read every failed run below `results`; a run that finished after all is not among them."""
    found = []
    for path in sorted(runs_folder(results).glob(f"*/{FAILED}")):
        if (path.parent / RECORD).exists():
            continue
        try:
            found.append(Failure.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            warn(f"left out: {path}: not the record of a failed run ({_first_line(error)})")
    return found


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join([*map(str, first["loc"]), first["msg"]])
    return str(error)


def _canonical(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, default=str)


def compare(runs: Iterable[StoredRun], failures: Iterable[Failure] = ()) -> list[Comparison]:
    """Put runs that may be compared together, those of the paper's tables first."""
    finished: dict[str, list[StoredRun]] = defaultdict(list)
    failed: dict[str, list[Failure]] = defaultdict(list)
    for run in runs:
        finished[_setting(run.record.dataset, run.record.recipe)].append(run)
    for failure in failures:
        failed[_setting(failure.dataset, failure.recipe)].append(failure)
    comparisons = []
    for setting in finished | failed:
        candidates: list[RunRecord | Failure] = [run.record for run in finished[setting]]
        example = (candidates or [*failed[setting]])[0]
        groups = _groups(finished[setting], failed[setting], example.recipe)
        comparisons.append(
            Comparison(
                example.dataset.name,
                example.dataset,
                example.recipe,
                example.recipe_changed,
                groups,
            )
        )
    return sorted(_marked(comparisons), key=_place)


def _setting(dataset: DatasetFacts, recipe: Mapping[str, Any]) -> str:
    return _canonical(dataset.model_dump(), {k: v for k, v in recipe.items() if k != "description"})


def _place(comparison: Comparison) -> tuple[Any, ...]:
    in_paper = any(table.dataset == comparison.dataset_name for table in TABLES.values())
    unlike = recipe_facts.differences(comparison.recipe)
    return not in_paper, comparison.dataset_name, bool(unlike), comparison.label


def _marked(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Tell apart comparisons whose data set and recipe go by the same names."""
    namesakes: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for comparison in comparisons:
        namesakes[comparison.dataset_name, comparison.slug].append(comparison)
    marked = []
    for same in namesakes.values():
        for number, comparison in enumerate(same, 1):
            images = {c.dataset.digest for c in same if c.dataset}
            mark = f"no. {number}"
            if comparison.dataset and len(images) == len(same):
                mark = f"images {comparison.dataset.digest[:8]}"
            marked.append(replace(comparison, mark=mark if len(same) > 1 else ""))
    return marked


def _groups(
    runs: Sequence[StoredRun], failures: Sequence[Failure], recipe: Mapping[str, Any]
) -> tuple[Group, ...]:
    alike: dict[str, list[StoredRun]] = defaultdict(list)
    for run in runs:
        record = run.record
        alike[
            _canonical(
                record.method.name,
                record.method.hyper_parameters,
                record.environment.precision,
                record.protocols.get("knn"),
            )
        ].append(run)
    groups = [_group(same) for same in alike.values()]
    for failure in failures:
        _place_failure(groups, failure)
    groups.sort(key=_order)
    return tuple(replace(group, label=_label(group, groups, recipe)) for group in groups)


def _group(runs: Sequence[StoredRun]) -> Group:
    latest = {run.record.seed: run for run in sorted(runs, key=lambda run: run.record.finished)}
    facts, record = runs[0].record.method, runs[0].record
    return Group(
        method=facts.name,
        hyper_parameters=facts.hyper_parameters,
        changed=facts.changed,
        runs=tuple(run for _, run in sorted(latest.items())),
        precision=record.environment.precision,
        protocol=record.protocols.get("knn", ""),
    )


def _place_failure(groups: list[Group], failure: Failure) -> None:
    """Add a failed run to the group of its configuration, or to a new one."""
    configuration = _canonical(failure.method, failure.hyper_parameters)
    for place, group in enumerate(groups):
        if _canonical(group.method, group.hyper_parameters) == configuration:
            groups[place] = replace(group, failures=(*group.failures, failure))
            return
    groups.append(
        Group(failure.method, failure.hyper_parameters, failure.changed, failures=(failure,))
    )


def _order(group: Group) -> tuple[Any, ...]:
    """Sort by the paper's order of methods, then by name, the least changed first."""
    paper = [row.method for row in TABLES[1].rows]
    rank = paper.index(group.method) if group.method in paper else len(paper)
    changes = len(group.changed), _canonical(group.changed)
    return rank, group.method, *changes, group.precision, group.protocol


def beyond_recipe(group: Group, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed hyper-parameters that the recipe's own `methods` section does not set."""
    stated = recipe.get("methods", {}).get(group.method, {})
    return {k: v for k, v in group.changed.items() if k not in stated or stated[k] != v}


def _label(group: Group, groups: Sequence[Group], recipe: Mapping[str, Any]) -> str:
    own = _traits(group)
    shown = set(beyond_recipe(group, recipe))
    for other in groups:
        if other.method != group.method:
            continue
        comparable = own if other.runs else group.hyper_parameters
        theirs = _traits(other)
        shown |= {k for k in comparable if own[k] != theirs.get(k)}
    return named(group.method, {k: v for k, v in own.items() if k in shown})


def _traits(group: Group) -> dict[str, Any]:
    measured = {"precision": group.precision, "protocol": group.protocol} if group.runs else {}
    return {**group.hyper_parameters, **measured}


def named(method: str, hyper_parameters: Mapping[str, Any]) -> str:
    """Return "method (hyper-parameter = value)"."""
    settings = ", ".join(f"{k} = {v}" for k, v in hyper_parameters.items())
    return f"{method} ({settings})" if settings else method
