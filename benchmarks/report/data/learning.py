"""How fast methods learn: their curves, the paper's, and the targets that they are timed to."""

import math

import pandas as pd

from benchmarks.report.data import aggregate, recipe_facts
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.labels import beyond_recipe
from benchmarks.runs import paper_tables

PUBLISHED_TARGET = 60.0
"""Percent; the target of section 4.1.1 of the paper."""
_QUANTITY = "epochs_to_60pct_kNN"
_STEP = 5.0


def shown_groups(comparison: Comparison) -> list[Group]:
    """Return the groups that have a learning curve, less the ablations."""
    return [group for group in comparison.unablated if len(aggregate.curve(group, comparison.key))]


def curves(comparison: Comparison) -> pd.DataFrame:
    """Return all learning curves of a comparison, a row per group and evaluated epoch."""
    frames = []
    for group in shown_groups(comparison):
        frame = aggregate.curve(group, comparison.key).copy()
        frame.insert(0, "method", group.method)
        frame.insert(1, "label", group.label)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def published_epochs(method: str, source: str) -> float | None:
    """Return the paper's epochs to 60 %: "text_stated", or "digitised" from its Figure 3."""
    stated = paper_tables.published_figure_3()
    match = stated[
        (stated.source == source)
        & (stated.method == paper_tables.FIGURE_3.get(method))
        & (stated.quantity == _QUANTITY)
    ].value
    return None if match.empty else float(match.iloc[0])


def published_points(group: Group, comparison: Comparison) -> list[tuple[float, float]]:
    """Return (epoch, kNN) of the paper's Figure 3.

    None for a variant of the method, another network or fewer images.
    """
    unlike = set(recipe_facts.differences(comparison.recipe))
    if comparison.dataset_name != paper_tables.TABLES[1].dataset or unlike & {
        "backbone",
        "train_images",
    }:
        return []
    if beyond_recipe(group, comparison.recipe):
        return []
    stated, prefix = paper_tables.published_figure_3(), "kNN_at_epoch_"
    points = stated[
        (stated.method == paper_tables.FIGURE_3.get(group.method))
        & stated.quantity.str.startswith(prefix)
    ]
    epochs = points.quantity.str.removeprefix(prefix).astype(float)
    return sorted(zip(epochs, points.value.astype(float), strict=True))


def own_target(comparison: Comparison) -> float | None:
    """Return the highest multiple of 5 % that two trained methods reach at some epoch.

    None if there is none above the untrained network, where reaching it would mean nothing.
    """
    tops: dict[str, float] = {}
    for group in comparison.unablated:
        top = aggregate.highest(group, comparison.key)
        if group.trained and group.ranked and top is not None:
            tops[group.method] = max(top[0], tops.get(group.method, 0.0))
    untrained = [aggregate.final(g, comparison.key) for g in comparison.unablated if not g.trained]
    floor = max((value.mean for value in untrained if value), default=0.0)
    if len(tops) < 2:
        return None
    target = math.floor(sorted(tops.values())[-2] / _STEP) * _STEP
    return target if target > floor else None


def slug(comparison: Comparison) -> str:
    """Return how the files on a comparison's learning speed are called."""
    return recipe_facts.slug(f"efficiency {comparison.dataset_name} {comparison.slug}")
