"""Figures that need no labels, and how well they tell which method is better with labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from benchmarks.report.data import aggregate, recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import (
    METHOD,
    Cell,
    Chapter,
    Column,
    Notes,
    Picture,
    Table,
    TableRow,
)
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
SEEDS = Column("seeds", "Seeds")

_HEIGHT, _LEFT, _TOP, _BOTTOM, _NAMES = 230.0, 30.0, 28.0, 38.0, 138.0


@dataclass(frozen=True)
class Quantity:
    """A figure of a run's record as tables and pictures show it."""

    key: str
    """Its name in `record.final.figures`."""
    title: str
    short: str = ""
    decimals: int = 3

    @property
    def column(self) -> Column:
        """The column that shows it."""
        return Column(self.key, self.title, self.short)

    @property
    def words(self) -> str:
        """The title inside a sentence, without unit and arrow."""
        return self.title.lower().split(" (")[0].rstrip(" ↓↑")

    def of(self, group: Group) -> Spread | None:
        """Return its mean and deviation over the seeds, or None if no run has it."""
        return aggregate.side_figure(group, self.key)

    def cell(self, figure: Spread) -> Cell:
        """Return its mean, with the deviation if there is one."""
        numbers = [figure.mean] if figure.sd is None else [figure.mean, figure.sd]
        text = " ± ".join(f"{number:.{self.decimals}f}" for number in numbers)
        return Cell(text.replace("-", "−"), figure.mean)


class _Headline(Quantity):
    """What methods are compared by, with labels."""

    def of(self, group: Group) -> Spread | None:
        return aggregate.final(group)


QUANTITIES = (
    Quantity("alignment", "Alignment ↓"),
    Quantity("uniformity", "Uniformity ↓"),
    Quantity("effective_rank", "Effective rank ↑", "Rank ↑", decimals=1),
    Quantity("view_agreement", "Agreement of views (%) ↑", "Agreement ↑", decimals=1),
)


def measured_row(
    group: Group,
    figures: Mapping[Quantity, Spread],
    comparison: Comparison,
    shown: Iterable[Quantity],
    notes: Notes,
) -> TableRow:
    """Return a row of a group's metrics, with means and deviations in its plain numbers.

    Args:
        group: whose row it is.
        figures: those metrics that have a value.
        comparison: that the group is part of.
        shown: all metrics of the table; those without a value are footnoted.
        notes: of the table.
    """
    seeds = max((figure.n for figure in figures.values()), default=len(group.runs))
    label = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group)))
    cells = {METHOD.key: label} | {q.key: q.cell(figure) for q, figure in figures.items()}
    names = {quantity.key: quantity.key for quantity in shown}
    numbers = {
        name: value
        for quantity, figure in figures.items()
        for name, value in ((quantity.key, figure.mean), (f"{quantity.key}_sd", figure.sd))
    }
    return TableRow(
        cells={
            **footnotes.marked(cells, group, names, notes),
            SEEDS.key: Cell(str(seeds), seeds),
        },
        data={
            "method": group.method,
            "label": group.label,
            **numbers,
            "seeds": seeds,
            "dataset": comparison.dataset_name,
            "recipe": comparison.label,
            "runs": " ".join(run.folder.name for run in group.runs),
            **footnotes.in_data(group, names),
        },
    )


@dataclass(frozen=True)
class Measured:
    """A group with those of its figures that are there."""

    group: Group
    figures: Mapping[Quantity, Spread]

    def has(self, *quantities: Quantity) -> bool:
        """Return whether all of these are there."""
        return set(quantities) <= self.figures.keys()


def measured(comparison: Comparison, headline: Quantity) -> list[Measured]:
    """Return the groups that have a metric that needs no labels, or the reason why it has none."""
    found = []
    for group in comparison.groups:
        quantities = headline, *QUANTITIES
        there = {q: figure for q in quantities if (figure := q.of(group)) is not None}
        if there.keys() - {headline} or footnotes.undefined(group, *(q.key for q in QUANTITIES)):
            found.append(Measured(group, there))
    return found


def chapter(comparison: Comparison, commands: Commands) -> Chapter:
    """Return the figures that need no labels beside the one that does."""
    metric = comparison.headline
    headline = _Headline(metric.figure, f"{metric.published} (%)", decimals=1)
    found = measured(comparison, headline)
    if not found:
        return Chapter()
    slug = recipe_facts.slug(f"label free {comparison.dataset_name} {comparison.slug}")
    return Chapter(
        title="Without labels",
        tables=(_table(comparison, found, headline, slug),),
        pictures=tuple(
            _picture(
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
    rows = [measured_row(one.group, one.figures, comparison, shown, notes) for one in found]
    return Table(
        slug=slug,
        caption=f"Figures that need no labels, on {comparison.dataset_name}: "
        f"recipe {comparison.label}",
        columns=(METHOD, *(q.column for q in shown), SEEDS),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=(
            "From two augmented views of each of some images. Alignment: mean squared distance "
            "between the two (Wang and Isola, 2020). Uniformity: log of the mean of "
            "exp(−2 · squared distance) over pairs of images (likewise). Effective rank: RankMe, "
            "how many dimensions are in use (Garrido et al., 2023). Agreement of views: share of "
            "the nearest images that the two views have in common. ↓: lower is better; ↑: higher.",
            *_prediction(found, headline, comparison.headline.words),
        ),
    )


def _prediction(found: Sequence[Measured], headline: Quantity, words: str) -> list[str]:
    """Say how well each figure orders the methods as the labelled one does."""
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
        (one.figures[quantity].mean, one.figures[headline].mean)
        for one in found
        if one.has(headline, quantity) and not one.group.own
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


def _picture(
    quantity: Quantity, headline: Quantity, words: str, shown: Sequence[Measured], slug: str
) -> Picture:
    title = f"{words} against {quantity.words}"
    return Picture(
        slug=slug, caption=title, draw=lambda: draw(shown, quantity, headline, title, slug)
    )


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
        points = [(o.group, o.figures[quantity].mean, o.figures[headline].mean) for o in shown]
        name_at_right(axes, points, alpha=0.45)
        return as_svg(figure, name, title)


def _point(axes: Axes, one: Measured, quantity: Quantity, headline: Quantity) -> None:
    colour, marker = style(one.group.method)
    x, y = one.figures[quantity], one.figures[headline]
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
