"""What may stand side by side, and what may be averaged: from stored runs to comparisons."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmarks.common.files import Unreadable, one_line, read_whole
from benchmarks.data import datasets
from benchmarks.data.datasets.base import DEFAULT_SPLIT
from benchmarks.report.data import recipe_facts
from benchmarks.runs import paper_tables as tables
from benchmarks.runs.store import (
    FAILED,
    RECORD,
    DamagedRecord,
    DatasetFacts,
    RunRecord,
    StoredRun,
    checked,
    run_folders,
)


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
    split: str = DEFAULT_SPLIT
    """The data set's training split."""
    ablation: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe in which it differs from the comparison, all of the augmentation."""
    label: str = ""
    """The method's name, with what sets it apart from others in the comparison."""
    weights: str = ""
    """The digest of the file of pre-trained weights; empty without one."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(run.record.seed for run in self.runs)

    @property
    def uses_labels(self) -> bool:
        """Whether it learns from labels: an upper bound, never the best of the others."""
        return any(run.record.method.uses_labels for run in self.runs)

    @property
    def own(self) -> bool:
        """Whether what was evaluated is not the encoder's embedding but the method's own."""
        return any(run.record.judged == "own" for run in self.runs)

    @property
    def ranked(self) -> bool:
        """Whether it may be ranked, tested and marked as the best with others."""
        return not (self.uses_labels or self.own)

    @property
    def trained(self) -> bool:
        """Whether a run of it went through at least one epoch."""
        return any(run.record.final.epoch > 0 for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Groups that used the same data set and, but for their ablations, the same recipe."""

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
        label += ", part of the data set" if self.partial else ""
        return f"{label} [{self.mark}]" if self.mark else label

    @property
    def slug(self) -> str:
        """The label as a part of a file name."""
        words = [str(self.recipe["name"]), *(f"{k}-{v}" for k, v in self.recipe_changed.items())]
        words += ["partial"] if self.partial else []
        return recipe_facts.slug(" ".join([*words, self.mark]))

    @property
    def partial(self) -> bool:
        """Whether the data set was not there as a whole."""
        return self.dataset is not None and self.dataset.partial

    @property
    def paper_tables(self) -> list[tables.Table]:
        """The paper's tables that its groups may fill."""
        return tables.fitting(self.dataset_name, str(self.recipe.get("backbone", "")))

    @property
    def headline(self) -> tables.Metric:
        """What its groups are compared by."""
        if self.dataset is not None:
            return tables.headline(self.dataset.unseen)
        return next((table.headline for table in self.paper_tables), tables.KNN)

    @property
    def unablated(self) -> list[Group]:
        """The groups that used the comparison's own augmentation."""
        return [group for group in self.groups if not group.ablation]

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
    for folder in run_folders(results):
        path = folder / FAILED
        if os.path.lexists(folder / RECORD):
            continue
        try:
            text = read_whole(path)
            if text is not None:
                found.append(_failure(path, text))
        except (DamagedRecord, Unreadable) as error:
            warn(f"left out: {error}")
    return found


def _failure(path: Path, text: bytes) -> Failure:
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = one_line(error)
        raise DamagedRecord(f"{path}: not the record of a failed run ({reason})") from error
    return checked(Failure, content, path)


def _canonical(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, default=str)


_Facts = RunRecord | Failure


@dataclass
class _Setting:
    """What one comparison is made of."""

    example: _Facts
    """Of those with the fewest ablations."""
    augmentation: dict[str, Any] = field(default_factory=dict)
    """The fields that are known without ablation."""
    runs: list[StoredRun] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def takes(self, facts: _Facts) -> bool:
        """Return whether a run's augmentation differs in nothing but what its command changed."""
        return all(self.augmentation.get(k, v) == v for k, v in _unchanged(facts).items())

    def add(self, one: StoredRun | Failure) -> None:
        """Add a run that fits."""
        if isinstance(one, Failure):
            self.failures.append(one)
        else:
            self.runs.append(one)
        self.augmentation |= _unchanged(_facts(one))

    def comparison(self) -> Comparison:
        """Return the comparison of all that was added."""
        facts, ablates = self.example, recipe_facts.ablates
        builtin = recipe_facts.builtin(str(facts.recipe["name"])) or {}
        known = recipe_facts.augmentation(builtin) | self.augmentation
        own = {k: known[k] for k in recipe_facts.augmentation(facts.recipe) if k in known}
        recipe = recipe_facts.with_augmentation(facts.recipe, own)
        return Comparison(
            dataset_name=facts.dataset.name,
            dataset=facts.dataset,
            recipe=recipe,
            recipe_changed={k: v for k, v in facts.recipe_changed.items() if not ablates(k)},
            groups=_groups(self.runs, self.failures, recipe),
        )


def compare(runs: Iterable[StoredRun], failures: Iterable[Failure] = ()) -> list[Comparison]:
    """Put runs that may be compared together, those of the paper's tables first.

    Runs of one data set and recipe stand together even if the command changed fields of the
    augmentation: each ablation makes groups of its own.
    """
    alike: dict[str, list[_Setting]] = defaultdict(list)
    every: list[StoredRun | Failure] = [*runs, *failures]
    for one in sorted(every, key=_ablations):
        facts = _facts(one)
        settings = alike[_shared(facts)]
        setting = next((s for s in settings if s.takes(facts)), None)
        if setting is None:
            setting = _Setting(facts)
            settings.append(setting)
        setting.add(one)
    comparisons = [setting.comparison() for settings in alike.values() for setting in settings]
    return sorted(_marked(comparisons), key=_place)


def _facts(one: StoredRun | Failure) -> _Facts:
    return one if isinstance(one, Failure) else one.record


def _ablations(one: StoredRun | Failure) -> int:
    return sum(map(recipe_facts.ablates, _facts(one).recipe_changed))


def _unchanged(facts: _Facts) -> dict[str, Any]:
    """Return the fields of the augmentation that the command left as they were."""
    fields = recipe_facts.augmentation(facts.recipe)
    return {k: v for k, v in fields.items() if k not in facts.recipe_changed}


def _shared(facts: _Facts) -> str:
    """Return what the runs of a comparison have in common."""
    images = facts.dataset.identity()
    if facts.dataset.name in datasets.names() and len(datasets.get(facts.dataset.name).splits) > 1:
        for of_split in ("digest", "train_images", "bank_images", "split"):
            images.pop(of_split)
    unlike = ("description", recipe_facts.AUGMENTATION)
    return _canonical(images, {k: v for k, v in facts.recipe.items() if k not in unlike})


def _place(comparison: Comparison) -> tuple[Any, ...]:
    in_paper = bool(tables.on(comparison.dataset_name))
    paper = recipe_facts.of_paper(comparison.dataset_name, comparison.recipe)
    unlike = recipe_facts.differences(comparison.recipe, paper)
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
        key = _canonical(
            record.method.name,
            record.method.hyper_parameters,
            record.environment.precision,
            (_protocol(record), record.weights and record.weights.sha256),
            record.dataset.split,
            recipe_facts.augmented(record.recipe, recipe),
        )
        alike[key].append(run)
    groups = [_group(same, recipe) for same in alike.values()]
    for failure in failures:
        _place_failure(groups, failure, recipe_facts.augmented(failure.recipe, recipe))
    groups.sort(key=_order)
    brief = [_label(group, groups, recipe) for group in groups]
    labels = [
        label if brief.count(label) == 1 else _label(group, groups, recipe, in_full=True)
        for group, label in zip(groups, brief, strict=True)
    ]
    return tuple(replace(g, label=label) for g, label in zip(groups, labels, strict=True))


def _group(runs: Sequence[StoredRun], recipe: Mapping[str, Any]) -> Group:
    latest = {run.record.seed: run for run in sorted(runs, key=lambda run: run.record.finished)}
    facts, record = runs[0].record.method, runs[0].record
    return Group(
        method=facts.name,
        hyper_parameters=facts.hyper_parameters,
        changed=facts.changed,
        runs=tuple(run for _, run in sorted(latest.items())),
        precision=record.environment.precision,
        protocol=_protocol(record),
        split=record.dataset.split,
        ablation=recipe_facts.augmented(record.recipe, recipe),
        weights=record.weights.sha256 if record.weights else "",
    )


def _protocol(record: RunRecord) -> str:
    return record.protocols.get(tables.headline(record.dataset.unseen).figure, "")


def _place_failure(groups: list[Group], failure: Failure, ablation: Mapping[str, Any]) -> None:
    """Add a failed run to the group of its configuration, or to a new one."""
    alone = Group(
        method=failure.method,
        hyper_parameters=failure.hyper_parameters,
        changed=failure.changed,
        failures=(failure,),
        split=failure.dataset.split,
        ablation=ablation,
    )
    for place, group in enumerate(groups):
        if _configuration(group) == _configuration(alone):
            groups[place] = replace(group, failures=(*group.failures, failure))
            return
    groups.append(alone)


def _configuration(group: Group) -> str:
    return _canonical(group.method, group.hyper_parameters, group.split, group.ablation)


def _order(group: Group) -> tuple[Any, ...]:
    """Sort by the paper's order of methods, then by name, the least changed first."""
    paper = [row.method for row in tables.get(1).rows]
    rank = paper.index(group.method) if group.method in paper else len(paper)
    changes = len(group.changed), _canonical(group.changed)
    ablation = len(group.ablation), _canonical(group.ablation)
    return rank, group.method, *ablation, *changes, group.split, group.precision, group.protocol


def beyond_recipe(group: Group, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed hyper-parameters that the recipe's own `methods` section does not set."""
    stated = recipe.get("methods", {}).get(group.method, {})
    return {k: v for k, v in group.changed.items() if k not in stated or stated[k] != v}


_MEASURED = {"precision", "protocol", "weights"}


def _label(
    group: Group, groups: Sequence[Group], recipe: Mapping[str, Any], in_full: bool = False
) -> str:
    """Return the method with what was changed and what sets it apart from other groups.

    A default that sets it apart goes without saying, unless the paper's tables state it or it is
    asked for `in_full`.
    """
    own, told = _traits(group), set(beyond_recipe(group, recipe))
    unsaid = set() if in_full else group.hyper_parameters.keys() - _stated(group)
    for other in groups:
        if (other.method, other.ablation) != (group.method, group.ablation):
            continue
        theirs = _traits(other)
        comparable = own.keys() if other.runs else own.keys() - _MEASURED
        told |= {k for k in comparable - unsaid if own[k] != theirs.get(k)}
    name = recipe_facts.named(group.method, {k: v for k, v in own.items() if k in told})
    ablation = recipe_facts.ablation(group.ablation, recipe)
    labelled = "learns from labels" if group.uses_labels else ""
    features = "features of its own" if group.own else ""
    return ", ".join(word for word in (name, labelled, features, ablation) if word)


def _stated(group: Group) -> set[str]:
    """Return the hyper-parameters that a row of the paper's tables states as the group has them."""
    return {
        name
        for table in tables.TABLES.values()
        for row in table.rows
        if row.method == group.method
        for name, value in row.hyper_parameters.items()
        if group.hyper_parameters.get(name) == value
    }


def _traits(group: Group) -> dict[str, Any]:
    measured = {"precision": group.precision, "protocol": group.protocol} if group.runs else {}
    measured |= {"weights": group.weights[:8]} if group.weights else {}
    return {**group.hyper_parameters, "split": group.split, **measured}
