"""What may stand side by side, and what may be averaged: from stored runs to comparisons."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.evaluator.metric_names import EMBEDDING
from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.labels import labels
from benchmarks.runs import paper_tables as tables
from benchmarks.runs.failures import Failure
from benchmarks.runs.record import RunRecord
from benchmarks.runs.store import StoredRun


def shared_recipe(run: RunRecord | Failure) -> dict[str, Any]:
    """Return a run's recipe as that of its comparison: without the fields of its method's own."""
    fields = {**run.recipe, **run.recipe_own}
    return {name: value for name, value in fields.items() if not _unstated(name, value, run)}


def _unstated(name: str, value: Any, run: RunRecord | Failure) -> bool:
    """Return whether only the method's own recipe states a field."""
    return value is None and name in run.recipe_own


def planned(dataset: str, recipe: str) -> Comparison:
    """Return a comparison of which nothing was run yet."""
    return Comparison(dataset, None, recipe_facts.builtin(recipe) or {"name": recipe}, {})


def canonical(*parts: Any) -> str:
    """Return values as one text that is the same for equal ones."""
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
        own = {k: known[k] for k in recipe_facts.augmentation(shared_recipe(facts)) if k in known}
        recipe = recipe_facts.with_augmentation(shared_recipe(facts), own)
        return Comparison(
            dataset_name=facts.dataset.name,
            dataset=facts.dataset,
            recipe=recipe,
            recipe_changed={k: v for k, v in facts.recipe_changed.items() if not ablates(k)},
            groups=_groups(self.runs, self.failures, recipe),
            representation=_representation(self.runs),
        )


def compare(runs: Iterable[StoredRun], failures: Iterable[Failure] = ()) -> list[Comparison]:
    """Put runs that may be compared together, those of the paper's tables first.

    Runs of one data set and recipe stand together even if the command changed fields of the
    augmentation: each ablation makes groups of its own.
    """
    alike: dict[str, list[_Setting]] = defaultdict(list)
    every: list[StoredRun | Failure] = [*runs, *failures]
    split = _split_data_sets(_facts(one) for one in every)
    for one in sorted(every, key=_ablations):
        facts = _facts(one)
        settings = alike[_shared(facts, facts.dataset.name in split)]
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
    fields = recipe_facts.augmentation(shared_recipe(facts))
    return {k: v for k, v in fields.items() if k not in facts.recipe_changed}


def _split_data_sets(every: Iterable[_Facts]) -> set[str]:
    """Return the data sets of which training splits are compared, by the runs or the paper."""
    splits: dict[str, set[str]] = defaultdict(set)
    for facts in every:
        splits[facts.dataset.name].add(facts.dataset.split)
    in_paper = {t.dataset for t in tables.TABLES.values() if any(row.split for row in t.rows)}
    return in_paper | {name for name, found in splits.items() if len(found) > 1}


def _shared(facts: _Facts, any_split: bool) -> str:
    """Return what the runs of a comparison have in common.

    Args:
        facts: of one of them.
        any_split: whether runs on other training splits of the data set stand beside it.
    """
    images = facts.dataset.identity()
    if any_split:
        for of_split in ("digest", "train_images", "bank_images", "split"):
            images.pop(of_split)
    unlike = ("description", recipe_facts.AUGMENTATION)
    return canonical(images, {k: v for k, v in shared_recipe(facts).items() if k not in unlike})


def _place(comparison: Comparison) -> tuple[Any, ...]:
    in_paper = bool(tables.on(comparison.dataset_name))
    paper = recipe_facts.paper_recipe(comparison.paper_tables)
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
        key = canonical(
            record.method.name,
            record.method.hyper_parameters,
            record.environment.precision,
            (_protocol(record), record.representation, record.weights and record.weights.sha256),
            record.dataset.split,
            recipe_facts.augmented(shared_recipe(record), recipe),
        )
        alike[key].append(run)
    groups = [_group(same, recipe) for same in alike.values()]
    for failure in failures:
        _place_failure(groups, failure, recipe_facts.augmented(shared_recipe(failure), recipe))
    groups.sort(key=_order)
    named = zip(groups, labels(groups, recipe), strict=True)
    return tuple(replace(group, label=label) for group, label in named)


def _representation(runs: Sequence[StoredRun]) -> str:
    """Return the headline representation of most methods; of equally many, the embedding."""
    methods = {run.record.method.name: run.record.representation for run in runs}
    counts = Counter(methods.values())
    most = max(counts.values(), default=0)
    ahead = sorted(name for name, count in counts.items() if count == most)
    return ahead[0] if ahead and EMBEDDING not in ahead else EMBEDDING


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
        representation=record.representation,
        split=record.dataset.split,
        ablation=recipe_facts.augmented(shared_recipe(record), recipe),
        weights=record.weights.sha256 if record.weights else "",
    )


def _protocol(record: RunRecord) -> str:
    return record.protocols.get(record.headline_metric.of(record.representation), "")


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
    return canonical(group.method, group.hyper_parameters, group.split, group.ablation)


def _order(group: Group) -> tuple[Any, ...]:
    """Sort by the paper's order of methods, then by name, the least changed first."""
    paper = [row.method for row in tables.get(1).rows]
    rank = paper.index(group.method) if group.method in paper else len(paper)
    changes = len(group.changed), canonical(group.changed)
    ablation = len(group.ablation), canonical(group.ablation)
    return rank, group.method, *ablation, *changes, group.split, group.precision, group.protocol
