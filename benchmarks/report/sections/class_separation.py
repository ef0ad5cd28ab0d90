"""Figures 5 and 6 of the paper: are images of the same class more similar than others?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmarks.report.data import aggregate, recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import METHOD, Chapter, Notes, Picture, Table
from benchmarks.report.render.plot_style import (
    FONT,
    INK,
    LINE,
    MUTED,
    WIDTH,
    as_svg,
    drawing,
    wrapped,
)
from benchmarks.report.sections.label_free import SEEDS, Quantity, measured_row
from benchmarks.report.text import footnotes
from benchmarks.report.text.commands import Commands
from benchmarks.runs.store import SIMILARITIES, StoredRun
from evaluation.metrics.separation import BINS
from evaluation.validation import Doubles

EDGES = np.linspace(-1.0, 1.0, BINS + 1)
BIN_WIDTH = 2.0 / BINS
CLASS = "class"
"""What the `attribute` of a class's histogram is called."""
KINDS = ("positive", "negative")
COLOURS = ("#0b6fb8", "#d9730d")
"""Blue and orange: told apart under the common colour-vision deficiencies."""
OURS = "invaspread"
"""The trained method of the paper's Figure 6."""

Densities = Doubles
"""(2, BINS): of positive and negative similarities; either integrates to 1."""

_COLUMN = "attribute"
_NEEDED = {_COLUMN, "kind", "low", "count"}
_SIDE, _GAP, _PLOT, _LEGEND, _TICKS = 12.0, 16.0, 58.0, 24.0, 36.0
_CHARACTER = 6.2  # mean width
_CLASS_FIGURES = (
    Quantity("similarity_overlap", "Overlap"),
    Quantity("similarity_auc", "AUC"),
)
_ATTRIBUTE_FIGURES = (
    Quantity("attribute_overlap", "Overlap, mean over attributes", "Overlap"),
    Quantity("attribute_auc", "AUC, mean over attributes", "AUC"),
)
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


@dataclass(frozen=True)
class Panel:
    """One plot of the grid."""

    title: str
    densities: Densities
    auc: Spread | None


@dataclass(frozen=True)
class Measured:
    """A group whose runs recorded similarities."""

    group: Group
    runs: tuple[Mapping[str, Densities], ...]
    """By attribute, of each seed that recorded any."""

    def densities(self, attribute: str) -> Densities | None:
        """Return the mean over the seeds, or None if no seed has the attribute."""
        there = [run[attribute] for run in self.runs if attribute in run]
        return np.mean(there, axis=0) if there else None

    def auc(self, attribute: str) -> Spread | None:
        """Return the AUC over the seeds: as it was recorded, or else as far as the bins tell."""
        recorded = auc_of(attribute).of(self.group)
        if recorded is not None:
            return recorded
        return aggregate.spread(binned_auc(run[attribute]) for run in self.runs if attribute in run)

    def panel(self, attribute: str, title: str) -> Panel | None:
        """Return the plot of an attribute, or None if no seed has it."""
        densities = self.densities(attribute)
        return None if densities is None else Panel(title, densities, self.auc(attribute))


def auc_of(attribute: str) -> Quantity:
    """Return the AUC of the classes or of one attribute as a figure of a run's record."""
    if attribute == CLASS:
        return _CLASS_FIGURES[1]
    return Quantity(f"attribute_auc_{attribute}", f"AUC, {_words(attribute)}", decimals=2)


def densities(run: StoredRun) -> dict[str, Densities]:
    """Return by attribute the densities of a run's similarities; empty if it has none.

    An attribute that lacks one of the two kinds is left out.
    """
    frame = run.frame(SIMILARITIES)
    if frame is None or not set(frame.columns) >= _NEEDED:
        return {}
    found = {}
    for attribute, rows in frame.dropna(subset=[*_NEEDED]).groupby(_COLUMN, sort=False):
        counts = np.stack([_counts(rows[rows["kind"] == kind]) for kind in KINDS])
        totals = counts.sum(axis=1, keepdims=True)
        if (totals > 0).all():
            found[str(attribute)] = counts / totals / BIN_WIDTH
    return found


def _counts(rows: pd.DataFrame) -> Doubles:
    places = np.rint((rows["low"].to_numpy(float) + 1.0) / BIN_WIDTH).astype(int)
    counts = rows["count"].to_numpy(float)
    placed = np.bincount(np.clip(places, 0, BINS - 1), counts, minlength=BINS)
    return placed.astype(np.float64)


def binned_auc(densities: Densities) -> float:
    """Return the probability that a positive similarity is above a negative one.

    Two similarities in one bin count half.
    """
    positive, negative = densities * BIN_WIDTH
    return float(positive @ (np.cumsum(negative) - negative / 2))


def measured(comparison: Comparison) -> list[Measured]:
    """Return the groups whose runs recorded similarities."""
    found = []
    for group in comparison.groups:
        runs = tuple(there for run in group.runs if (there := densities(run)))
        if runs:
            found.append(Measured(group, runs))
    return found


def chapter(comparison: Comparison, commands: Commands) -> Chapter:
    """Return how far similarities within a class, and an attribute, lie above the others."""
    found = measured(comparison)
    of_class = [one for one in found if one.densities(CLASS) is not None]
    names = dict.fromkeys(name for one in found for run in one.runs for name in run)
    attributes = [name for name in names if name != CLASS]
    slug = recipe_facts.slug(f"similarity {comparison.dataset_name} {comparison.slug}")
    tables, pictures = [], []
    shown = [one.group for one in of_class]
    held = {id(group) for group in shown}
    shown += [g for g in comparison.groups if id(g) not in held and _undefined(g)]
    if of_class:
        pictures.append(_class_picture(of_class, f"{slug}-classes"))
    if shown:
        tables.append(_class_table(comparison, shown, slug))
    if attributes:
        pictures.append(_attribute_picture(found, attributes, f"{slug}-attributes"))
        tables.append(_attribute_table(comparison, found, attributes, f"{slug}-by-attribute"))
    return Chapter(
        title="Figures 5 and 6: similarity of neighbours",
        tables=tuple(tables),
        pictures=tuple(pictures),
    )


def _undefined(group: Group) -> bool:
    """Return whether the similarities of its classes are stated as undefined."""
    return footnotes.undefined(group, *(quantity.key for quantity in _CLASS_FIGURES))


def _class_table(comparison: Comparison, groups: Sequence[Group], slug: str) -> Table:
    return _table(
        comparison,
        5,
        slug,
        [(group, {q: q.of(group) for q in _CLASS_FIGURES}) for group in groups],
        (
            _HOW.format(same="of the same class", other="of other classes"),
            "The paper does not say from which images it takes queries and neighbours.",
        ),
    )


def _attribute_table(
    comparison: Comparison, found: Sequence[Measured], attributes: Sequence[str], slug: str
) -> Table:
    each = {name: auc_of(name) for name in attributes}
    binned = any(q.of(one.group) is None for q in each.values() for one in found)
    return _table(
        comparison,
        6,
        slug,
        [
            (
                one.group,
                {q: q.of(one.group) for q in _ATTRIBUTE_FIGURES}
                | {quantity: one.auc(name) for name, quantity in each.items()},
            )
            for one in found
        ],
        (
            _HOW.format(
                same="that are like it in the attribute (both have it, or neither)",
                other="that are not",
            ),
            "The table of attributes is the suite's own (`benchmarks/attributes.csv`): the "
            "paper does not print the one that it used.",
            *([_BINNED] if binned else []),
        ),
    )


def _table(
    comparison: Comparison,
    number: int,
    slug: str,
    figures: Sequence[tuple[Group, Mapping[Quantity, Spread | None]]],
    remarks: tuple[str, ...],
) -> Table:
    """Return a figure of the paper in numbers, ordered by the second quantity, an AUC."""
    shown = list(figures[0][1])
    rows, notes = [], Notes()
    for group, cells in figures:
        there = {quantity: figure for quantity, figure in cells.items() if figure is not None}
        if there or footnotes.undefined(group, *(quantity.key for quantity in shown)):
            row = measured_row(group, there, comparison, shown, notes)
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
        remarks=remarks,
    )


def _height(figure: Spread | None) -> float:
    """Return what rows and methods are ordered by; without a figure they come last."""
    return -math.inf if figure is None else figure.mean


def _words(attribute: str) -> str:
    return attribute.replace("_", " ")


def _class_picture(found: Sequence[Measured], slug: str) -> Picture:
    panels = [one.panel(CLASS, one.group.label) for one in found]
    legend = ("5 nearest, same class", "5 nearest, other classes")
    return Picture(
        slug=slug,
        caption="Figure 5: cosine similarity to the nearest of the same and of other classes; the "
        "number is the AUC",
        draw=lambda: draw(_in_rows(panels, 2), (), legend, slug),
    )


def _attribute_picture(found: Sequence[Measured], attributes: Sequence[str], slug: str) -> Picture:
    columns = _compared(found)
    grid = [[one.panel(name, _words(name)) for one in columns] for name in attributes]
    legend = ("5 nearest, same in attribute", "5 nearest, not the same")
    return Picture(
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
    auc = _ATTRIBUTE_FIGURES[1]
    best = sorted(others, key=lambda one: _height(auc.of(one.group)), reverse=True)[:1]
    return [*[one for one in found if not one.group.trained][:1], *ours, *best]


def _described(columns: Sequence[Measured]) -> list[str]:
    untrained = ["the untrained network"] if not all(one.group.trained for one in columns) else []
    trained = [one.group.method for one in columns if one.group.trained]
    return untrained + ([" and ".join(trained)] if trained else [])


def _in_rows(panels: Sequence[Panel | None], columns: int) -> list[list[Panel | None]]:
    padded = [*panels, *[None] * (-len(panels) % columns)]
    return [padded[start : start + columns] for start in range(0, len(padded), columns)]


def draw(
    grid: Sequence[Sequence[Panel | None]],
    headings: Sequence[str],
    legend: tuple[str, str],
    name: str,
) -> str:
    """Return small plots of two distributions each, on one axis of similarity, as an SVG.

    Heights differ from plot to plot: each area is 1.

    Args:
        grid: the plots in rows of equal length; None leaves a gap.
        headings: of the columns, or none.
        legend: what the positive and the negative similarities are.
        name: prefix of the ids, unique on a page.
    """
    columns = len(grid[0])
    width = (WIDTH - 2 * _SIDE - (columns - 1) * _GAP) / columns
    wrap = int((width - 34) / _CHARACTER)  # beside the AUC
    heads = [wrapped(text, int(width / _CHARACTER)) for text in headings]
    above = _LEGEND + (LINE * max(map(len, heads)) + 4 if heads else 0)
    titles = [[wrapped(panel.title, wrap) if panel else [] for panel in row] for row in grid]
    bands = [LINE * max(map(len, row)) + 6 for row in titles]
    height = above + sum(bands) + len(grid) * (_PLOT + 8) + _TICKS
    low, high = _range([panel for row in grid for panel in row if panel is not None])
    with drawing(name):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        _key(figure, legend)
        top = above
        for place, (row, band) in enumerate(zip(grid, bands, strict=True)):
            top += band + _PLOT + 8
            for column, panel in enumerate(row):
                if panel is None:
                    continue
                left = _SIDE + column * (width + _GAP)
                box = (left / WIDTH, 1 - (top - 8) / height, width / WIDTH, _PLOT / height)
                axes = figure.add_axes(box, xlim=(low, high))
                last = all(below[column] is None for below in grid[place + 1 :])
                _plot(axes, panel, titles[place][column], last)
        for column, lines in enumerate(heads):
            left = (_SIDE + column * (width + _GAP)) / WIDTH
            figure.text(left, 1 - _LEGEND / height, "\n".join(lines), va="top", linespacing=1.1,
                        fontweight="bold")  # fmt: skip
        return as_svg(figure, name, f"Distributions of cosine similarity: {' and '.join(legend)}")


def _range(panels: Sequence[Panel]) -> tuple[float, float]:
    """Return the similarities between which all lie, to a quarter."""
    occupied = np.flatnonzero(sum(panel.densities.sum(axis=0) for panel in panels))
    low, high = EDGES[occupied[0]], EDGES[occupied[-1] + 1]
    return math.floor(round(low * 4, 6)) / 4, math.ceil(round(high * 4, 6)) / 4


def _plot(axes: Axes, panel: Panel, title: Sequence[str], last: bool) -> None:
    occupied = np.flatnonzero(panel.densities.sum(axis=0))
    first, end = occupied[0], occupied[-1] + 1
    for density, colour in zip(panel.densities, COLOURS, strict=True):
        axes.stairs(density[first:end], EDGES[first : end + 1], fill=True, linewidth=1.1,
                    facecolor=(colour, 0.35), edgecolor=colour, clip_on=False)  # fmt: skip
    axes.set_ylim(0, panel.densities.max() * 1.04)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.tick_params(length=3, pad=3, labelbottom=last)
    if last:
        axes.set_xlabel("cosine similarity", labelpad=2)
    text: Any = {"fontsize": FONT, "pad": 4, "linespacing": 1.1}
    axes.set_title("\n".join(title), loc="left", color=INK, **text)
    if panel.auc is not None:
        axes.set_title(f"{panel.auc.mean:.2f}", loc="right", color=MUTED, **text)


def _key(figure: Figure, legend: tuple[str, str]) -> None:
    handles = [
        Patch(facecolor=(colour, 0.35), edgecolor=colour, linewidth=1.1) for colour in COLOURS
    ]
    figure.legend(handles, legend, loc="upper left", bbox_to_anchor=(0, 1), ncols=2, frameon=False,
                  borderpad=0.2, borderaxespad=0.2, handlelength=1.2, handletextpad=0.5,
                  columnspacing=1.2)  # fmt: skip
