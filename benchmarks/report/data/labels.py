"""What groups of a comparison are called: the method, and what sets it apart from the others."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Group
from benchmarks.runs import paper_tables as tables


def beyond_recipe(group: Group, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed hyper-parameters that the recipe's own `methods` section does not set."""
    stated = recipe.get("methods", {}).get(group.method, {})
    return {k: v for k, v in group.changed.items() if k not in stated or stated[k] != v}


_MEASURED = frozenset({"precision", "protocol", "weights"})
"""What is known of finished runs only."""


def labels(groups: Sequence[Group], recipe: Mapping[str, Any]) -> list[str]:
    """Return what each group is called: its method, and what sets it apart from the others.

    A default that sets it apart goes without saying unless the paper's tables state it; where two
    groups would be called the same, it is said.
    """
    brief = [_label(group, groups, recipe) for group in groups]
    return [
        label if brief.count(label) == 1 else _label(group, groups, recipe, in_full=True)
        for group, label in zip(groups, brief, strict=True)
    ]


def _label(
    group: Group, groups: Sequence[Group], recipe: Mapping[str, Any], in_full: bool = False
) -> str:
    siblings = [
        other
        for other in groups
        if (other.method, other.ablation) == (group.method, group.ablation)
    ]
    distinguishing = {name for other in siblings for name in _differing(group, other)}
    if not in_full:
        distinguishing -= group.hyper_parameters.keys() - _stated(group)
    shown = distinguishing | beyond_recipe(group, recipe).keys()
    words = (
        recipe_facts.named(group.method, {k: v for k, v in _traits(group).items() if k in shown}),
        "learns from labels" if group.uses_labels else "",
        recipe_facts.ablation(group.ablation, recipe),
    )
    return ", ".join(word for word in words if word)


def _differing(group: Group, other: Group) -> set[str]:
    """Return the traits in which a group differs from another, as far as those are known."""
    own, theirs = _traits(group), _traits(other)
    comparable = own.keys() if other.runs else own.keys() - _MEASURED
    return {name for name in comparable if own[name] != theirs.get(name)}


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
