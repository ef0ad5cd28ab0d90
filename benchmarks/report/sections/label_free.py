"""Metrics that need no labels, and how well they tell which method is better with labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from benchmarks.evaluator import metric_names
from benchmarks.report.data import recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.quantity import SEEDS, Quantity, quantity_row
from benchmarks.report.document import METHOD, Notes, Plot, Section, Table
from benchmarks.report.render.plot_style import (
    LINE,
    NAMES_GAP,
    WIDTH,
    as_svg,
    drawing,
    frame,
    name_at_right,
    style,
    wrapped,
)
from benchmarks.report.text import footnotes
from benchmarks.report.text.commands import Commands

FEWEST = 4
"""Methods below which a rank correlation says nothing."""

_HEIGHT, _LEFT, _TOP, _BOTTOM, _NAMES = 230.0, 30.0, 28.0, 38.0, 138.0


QUANTITIES = (
    Quantity("alignment", "Alignment ↓"),
    Quantity("uniformity", "Uniformity ↓"),
    Quantity("effective_rank", "Effective rank ↑", "Rank ↑", decimals=1),
    Quantity("view_agreement", "Agreement of views (%) ↑", "Agreement ↑", decimals=1),
)


@dataclass(frozen=True)
class Measured:
    """A group with those of its metrics that have a value."""

    group: Group
    values: Mapping[Quantity, Spread]

    def has(self, *quantities: Quantity) -> bool:
        """Return whether all of these are there."""
        return set(quantities) <= self.values.keys()


def measured(comparison: Comparison, headline: Quantity) -> list[Measured]:
    """Return the groups that have a metric that needs no labels, or the reason why it has none."""
    found = []
    for group in comparison.groups:
        quantities = headline, *QUANTITIES
        of = comparison.representation
        there = {q: value for q in quantities if (value := q.of(group, of)) is not None}
        names = (metric_names.of(quantity.key, of) for quantity in QUANTITIES)
        if there.keys() - {headline} or footnotes.undefined(group, *names):
            found.append(Measured(group, there))
    return found


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return the metrics that need no labels beside the one that does."""
    metric = comparison.headline
    headline = Quantity(metric.name, f"{metric.published} (%)", decimals=1)
    found = measured(comparison, headline)
    if not found:
        return Section()
    slug = recipe_facts.slug(f"label free {comparison.dataset_name} {comparison.slug}")
    return Section(
        title="Without labels",
        tables=(_table(comparison, found, headline, slug),),
        plots=tuple(
            _plot(
                quantity,
                headline,
                metric.words,
                shown,
                f"{slug}-{recipe_facts.slug(quantity.key)}",
            )
            for quantity in QUANTITIES
            if len(shown := [one for one in found if one.has(headline, quantity)]) > 1
        ),
    )


def _table(
    comparison: Comparison, found: Sequence[Measured], headline: Quantity, slug: str
) -> Table:
    notes, shown = Notes(), (headline, *QUANTITIES)
    rows = [quantity_row(one.group, one.values, comparison, shown, notes) for one in found]
    return Table(
        slug=slug,
        caption=f"Metrics that need no labels, on {comparison.dataset_name}: "
        f"recipe {comparison.label}",
        columns=(METHOD, *(q.column for q in shown), SEEDS),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        general_notes=(
            "From two augmented views of each of some images. Alignment: mean squared distance "
            "between the two (Wang and Isola, 2020). Uniformity: log of the mean of "
            "exp(−2 · squared distance) over pairs of images (likewise). Effective rank: RankMe, "
            "how many dimensions are in use (Garrido et al., 2023). Agreement of views: share of "
            "the nearest images that the two views have in common. ↓: lower is better; ↑: higher.",
            *_prediction(found, headline, comparison.headline.words),
        ),
    )


def _prediction(found: Sequence[Measured], headline: Quantity, words: str) -> list[str]:
    """Say how well each metric orders the methods as the labelled one does."""
    if not any(one.has(headline) for one in found):
        return []
    return [
        f"Does it order the methods as {words} does? Spearman's rank correlation: "
        + "; ".join(_correlation_in_words(found, quantity, headline) for quantity in QUANTITIES)
        + ". A perfect order is −1 for ↓ and +1 for ↑; with so few methods, values well inside "
        "say little."
    ]


def _correlation_in_words(found: Sequence[Measured], quantity: Quantity, headline: Quantity) -> str:
    points = [
        (one.values[quantity].mean, one.values[headline].mean)
        for one in found
        if one.has(headline, quantity)
    ]
    name, count = f"{quantity.words} {quantity.title[-1]}", f"{len(points)} methods"
    if len(points) < FEWEST:
        return f"{name} not given ({len(points)} of at least {FEWEST} methods)"
    value = rank_correlation(points)
    if value is None:
        return f"{name} not defined (all equal, {count})"
    return f"{name} {round(value, 2) + 0.0:+.2f} ({count})".replace("-", "−")


def rank_correlation(points: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation, -1 to 1; None if either side has a single value."""
    first, second = np.transpose(points)
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    return float(spearmanr(first, second).statistic)


def _plot(
    quantity: Quantity, headline: Quantity, words: str, shown: Sequence[Measured], slug: str
) -> Plot:
    title = f"{words} against {quantity.words}"
    return Plot(slug=slug, caption=title, draw=lambda: draw(shown, quantity, headline, title, slug))


def draw(
    shown: Sequence[Measured], quantity: Quantity, headline: Quantity, title: str, name: str
) -> str:
    """Return a scatter of the headline against a figure, a marker a method, as an SVG.

    Args:
        shown: groups that have both; bars are one standard deviation over seeds.
        quantity: what the headline is drawn against.
        headline: what methods are compared by.
        title: of the SVG.
        name: prefix of the ids, unique on a page.
    """
    names = sum(LINE * len(wrapped(one.group.label)) + 3 for one in shown)
    height = max(_HEIGHT, _TOP + _BOTTOM + names)
    with drawing(name):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        width = WIDTH - _LEFT - NAMES_GAP - _NAMES
        axes = figure.add_axes(
            (_LEFT / WIDTH, _BOTTOM / height, width / WIDTH, 1 - (_TOP + _BOTTOM) / height)
        )
        frame(axes, headline.title, quantity.title)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        for one in shown:
            _point(axes, one, quantity, headline)
        axes.margins(0.08)
        axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
        points = [(o.group, o.values[quantity].mean, o.values[headline].mean) for o in shown]
        name_at_right(axes, points, alpha=0.45)
        return as_svg(figure, name, title)


def _point(axes: Axes, one: Measured, quantity: Quantity, headline: Quantity) -> None:
    colour, marker = style(one.group.method)
    x, y = one.values[quantity], one.values[headline]
    axes.errorbar(
        x.mean,
        y.mean,
        xerr=x.sd,
        yerr=y.sd,
        fmt=marker or "o",
        color=colour,
        markerfacecolor=colour if marker else "white",
        markersize=7,
        elinewidth=1,
        zorder=3,
    )
