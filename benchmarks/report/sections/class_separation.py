"""Figures 5 and 6 of the paper: are images of the same class more similar than others?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.evaluator import metric_names
from benchmarks.report.data import recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.quantity import SEEDS, Quantity, quantity_row
from benchmarks.report.data.separation import (
    ATTRIBUTE_METRICS,
    BIN_WIDTH,
    CLASS,
    CLASS_METRICS,
    Measured,
    Panel,
    auc_of,
    in_words,
    measured,
)
from benchmarks.report.document import METHOD, Notes, Plot, Section, Table
from benchmarks.report.render.separation_plot import draw
from benchmarks.report.text import footnotes
from benchmarks.report.text.commands import Commands

OURS = "invaspread"
"""The trained method of the paper's Figure 6."""

_HOW = (
    "Queries and neighbours are both images of the test set, the query itself left out; of each "
    "query, the cosine similarity to its 5 nearest {same} and its 5 nearest {other}. Overlap: the "
    "area under both distributions, 0 if they are apart, 1 if they are the same. AUC: the "
    "probability that a similarity of the first kind is above one of the second; 0.5 if they do "
    "not differ."
)
_BINNED = (
    "An AUC of a single attribute that a run did not record is taken from the histogram, whose "
    f"bins are {BIN_WIDTH:g} wide: coarse where all similarities lie close together."
)


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return how far similarities within a class, and an attribute, lie above the others."""
    found = measured(comparison)
    of_class = [one for one in found if one.densities(CLASS) is not None]
    names = dict.fromkeys(name for one in found for run in one.runs for name in run)
    attributes = [name for name in names if name != CLASS]
    slug = recipe_facts.slug(f"similarity {comparison.dataset_name} {comparison.slug}")
    tables, plots = [], []
    shown = [one.group for one in of_class]
    held = {id(group) for group in shown}
    of = comparison.representation
    shown += [g for g in comparison.groups if id(g) not in held and _undefined(g, of)]
    if of_class:
        plots.append(_class_plot(of_class, f"{slug}-classes"))
    if shown:
        tables.append(_class_table(comparison, shown, slug))
    if attributes:
        plots.append(_attribute_plot(found, attributes, f"{slug}-attributes"))
        tables.append(_attribute_table(comparison, found, attributes, f"{slug}-by-attribute"))
    return Section(
        title="Figures 5 and 6: similarity of neighbours",
        tables=tuple(tables),
        plots=tuple(plots),
    )


def _undefined(group: Group, representation: str) -> bool:
    """Return whether the similarities of its classes are stated as undefined."""
    names = (metric_names.of(quantity.key, representation) for quantity in CLASS_METRICS)
    return footnotes.undefined(group, *names)


def _class_table(comparison: Comparison, groups: Sequence[Group], slug: str) -> Table:
    return _table(
        comparison,
        5,
        slug,
        [(g, {q: q.of(g, comparison.representation) for q in CLASS_METRICS}) for g in groups],
        (
            _HOW.format(same="of the same class", other="of other classes"),
            "The paper does not say from which images it takes queries and neighbours.",
        ),
    )


def _attribute_table(
    comparison: Comparison, found: Sequence[Measured], attributes: Sequence[str], slug: str
) -> Table:
    each = {name: auc_of(name) for name in attributes}
    of = comparison.representation
    binned = any(q.of(one.group, of) is None for q in each.values() for one in found)
    return _table(
        comparison,
        6,
        slug,
        [
            (
                one.group,
                {q: q.of(one.group, of) for q in ATTRIBUTE_METRICS}
                | {quantity: one.auc(name) for name, quantity in each.items()},
            )
            for one in found
        ],
        (
            _HOW.format(
                same="that are like it in the attribute (both have it, or neither)",
                other="that are not",
            ),
            "The table of attributes is the suite's own (`benchmarks/data/attributes.csv`): the "
            "paper does not print the one that it used.",
            *([_BINNED] if binned else []),
        ),
    )


def _table(
    comparison: Comparison,
    number: int,
    slug: str,
    values: Sequence[tuple[Group, Mapping[Quantity, Spread | None]]],
    general_notes: tuple[str, ...],
) -> Table:
    """Return a figure of the paper in numbers, ordered by the second quantity, an AUC."""
    shown = list(values[0][1])
    names = [metric_names.of(quantity.key, comparison.representation) for quantity in shown]
    rows, notes = [], Notes()
    for group, cells in values:
        there = {quantity: value for quantity, value in cells.items() if value is not None}
        if there or footnotes.undefined(group, *names):
            row = quantity_row(group, there, comparison, shown, notes)
            rows.append((_height(there.get(shown[1]) if group.ranked else None), row))
    rows.sort(key=lambda pair: pair[0], reverse=True)
    return Table(
        slug=slug,
        caption=f"Figure {number} of the paper in numbers, {comparison.dataset_name}: "
        f"recipe {comparison.label}",
        columns=(METHOD, *(quantity.column for quantity in shown), SEEDS),
        rows=tuple(
            replace(row, best=math.isfinite(height) and height == rows[0][0])
            for height, row in rows
        ),
        notes=tuple(notes.texts),
        general_notes=general_notes,
    )


def _height(value: Spread | None) -> float:
    """Return what rows and methods are ordered by; without a value they come last."""
    return -math.inf if value is None else value.mean


def _class_plot(found: Sequence[Measured], slug: str) -> Plot:
    panels = [one.panel(CLASS, one.group.label) for one in found]
    legend = ("5 nearest, same class", "5 nearest, other classes")
    return Plot(
        slug=slug,
        caption="Figure 5: cosine similarity to the nearest of the same and of other classes; the "
        "number is the AUC",
        draw=lambda: draw(_in_rows(panels, 2), (), legend, slug),
    )


def _attribute_plot(found: Sequence[Measured], attributes: Sequence[str], slug: str) -> Plot:
    columns = _compared(found)
    grid = [[one.panel(name, in_words(name)) for one in columns] for name in attributes]
    legend = ("5 nearest, same in attribute", "5 nearest, not the same")
    return Plot(
        slug=slug,
        caption="Figure 6: the same by attribute, " + " against ".join(_described(columns)),
        draw=lambda: draw(grid, [one.group.label for one in columns], legend, slug),
    )


def _compared(found: Sequence[Measured]) -> list[Measured]:
    """Return what Figure 6 shows: the untrained network, the paper's method and the best other.

    The best is the one with the highest mean AUC over the attributes.
    """
    trained = [one for one in found if one.group.trained]
    ours = [one for one in trained if one.group.method == OURS][:1]
    others = [one for one in trained if one.group.method != OURS]
    auc = ATTRIBUTE_METRICS[1]
    best = sorted(
        others, key=lambda one: _height(auc.of(one.group, one.representation)), reverse=True
    )[:1]
    return [*[one for one in found if not one.group.trained][:1], *ours, *best]


def _described(columns: Sequence[Measured]) -> list[str]:
    untrained = ["the untrained network"] if not all(one.group.trained for one in columns) else []
    trained = [one.group.method for one in columns if one.group.trained]
    return untrained + ([" and ".join(trained)] if trained else [])


def _in_rows(panels: Sequence[Panel | None], columns: int) -> list[list[Panel | None]]:
    padded = [*panels, *[None] * (-len(panels) % columns)]
    return [padded[start : start + columns] for start in range(0, len(padded), columns)]
