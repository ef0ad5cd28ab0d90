"""Which methods are better over many data sets: average ranks and what may be told apart."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data import aggregate
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import METHOD, Cell, Chapter, Column, Picture, Table, TableRow
from benchmarks.report.render.plot_style import (
    INK,
    LINE,
    MUTED,
    WIDTH,
    as_svg,
    drawing,
    style,
    widest,
    wrapped,
)
from evaluation.significance import average_ranks, friedman, nemenyi_critical_difference
from evaluation.validation import Doubles

TITLE = "Ranks over data sets"
ENOUGH_DATASETS = 5
ENOUGH_METHODS = 3
LEVEL = 0.05
SLUG = "average-ranks"

_EDGE, _GAP = 6.0, 8.0
_RULER, _AXIS, _BARS, _BAR_STEP = 22.0, 58.0, 70.0, 8.0
_NAME_WIDTH = 16  # letters in a line


@dataclass(frozen=True)
class Ranking:
    """Methods over data sets, each by its accuracy in one comparison."""

    comparisons: tuple[Comparison, ...]
    """One per data set."""
    methods: tuple[str, ...]
    scores: Doubles
    """(data sets, methods) kNN accuracy (R@1 of unseen classes) in percent, mean over seeds."""
    left_out: tuple[str, ...]
    """Methods that some of the data sets lack."""

    @property
    def score(self) -> str:
        """What the methods are ranked by, in words."""
        found = dict.fromkeys(c.headline.words for c in self.comparisons)
        return " or ".join(sorted(found, reverse=True))

    @property
    def ranks(self) -> Doubles:
        """The methods' average ranks; 1 is the best."""
        return average_ranks(self.scores)

    @property
    def critical_difference(self) -> float:
        """By how much two average ranks must differ."""
        return nemenyi_critical_difference(len(self.methods), len(self.comparisons), LEVEL)


def chapter(comparisons: Sequence[Comparison]) -> Chapter:
    """Return the average ranks over data sets with a critical-difference diagram.

    There is nothing to show with fewer than ENOUGH_DATASETS data sets or ENOUGH_METHODS methods
    that all of them have.
    """
    found = ranking(comparisons)
    if found is None:
        return Chapter()
    slug = f"{SLUG}-diagram"
    return Chapter(
        title=TITLE,
        texts=tuple(_texts(found)),
        pictures=(
            Picture(
                slug,
                "Average ranks, 1 is the best; a bar joins methods that are not told apart",
                lambda: draw(found, slug),
            ),
        ),
        tables=(_table(found),),
    )


def ranking(comparisons: Sequence[Comparison]) -> Ranking | None:
    """Return what can be ranked, or None if there is too little.

    Of a data set's comparisons the one with most methods counts, of equal ones that with most
    finished runs, then the report's first. A method stands for its least changed variant.
    """
    chosen: dict[str, tuple[Comparison, dict[str, float]]] = {}
    for comparison in comparisons:
        accuracies = _accuracies(comparison)
        if len(accuracies) < ENOUGH_METHODS:
            continue
        held = chosen.get(comparison.dataset_name)
        if held is None or _size(comparison, accuracies) > _size(*held):
            chosen[comparison.dataset_name] = comparison, accuracies
    if len(chosen) < ENOUGH_DATASETS:
        return None
    rows = [accuracies for _, accuracies in chosen.values()]
    every = list(dict.fromkeys(method for row in rows for method in row))
    methods = [method for method in every if all(method in row for row in rows)]
    if len(methods) < ENOUGH_METHODS:
        return None
    return Ranking(
        comparisons=tuple(comparison for comparison, _ in chosen.values()),
        methods=tuple(methods),
        scores=np.array([[row[method] for method in methods] for row in rows]),
        left_out=tuple(method for method in every if method not in methods),
    )


def _accuracies(comparison: Comparison) -> dict[str, float]:
    """Return each method's headline figure by its least changed variant.

    No ablation counts, and no method that learns from labels or evaluates features of its own.
    """
    found: dict[str, float] = {}
    for group in comparison.unablated:
        figure = aggregate.final(group)
        if figure is not None and group.ranked:
            found.setdefault(group.method, figure.mean)
    return found


def _size(comparison: Comparison, accuracies: Mapping[str, float]) -> tuple[int, int]:
    return len(accuracies), len(comparison.runs)


def cliques(ranks: Sequence[float], critical_difference: float) -> list[tuple[float, float]]:
    """Return the lowest and highest rank of each largest group that is not told apart.

    Args:
        ranks: in any order.
        critical_difference: ranks of a group differ by less.
    """
    ordered = sorted(ranks)
    found: list[tuple[float, float]] = []
    reached = 0
    for place, low in enumerate(ordered):
        end = bisect_left(ordered, low + critical_difference) - 1
        if end > max(place, reached):
            found.append((low, ordered[end]))
            reached = end
    return found


def _texts(found: Ranking) -> list[str]:
    sets = "; ".join(f"{c.dataset_name} (recipe {c.label})" for c in found.comparisons)
    test = friedman(found.scores)
    p = "< 0.001" if test.p < 0.001 else f"= {test.p:.3f}"
    between, within = test.degrees
    differ = test.p < LEVEL
    outcome = "the methods differ" if differ else "no difference is shown, so read no order into it"
    texts = [
        f"Methods ranked by {found.score} (mean over seeds) on each of {len(found.comparisons)} "
        f"data sets, ranks averaged: {sets}. Of a data set's comparisons the one with most methods "
        "counts, of equal ones that with most runs; of a method's variants the least changed one.",
        f"Friedman's test in Iman and Davenport's form: F({between}, {within}) = "
        f"{'infinite' if math.isinf(test.f) else f'{test.f:.2f}'}, p {p}: {outcome}. Two methods "
        f"are told apart if their average ranks differ by {found.critical_difference:.2f} or more "
        f"(Nemenyi's test at {LEVEL:g}, corrected for all pairs; Demšar, JMLR 2006).",
    ]
    if found.left_out:
        names = ", ".join(f"`{method}`" for method in found.left_out)
        texts.append(f"Left out, since some of the data sets lack them: {names}.")
    own = dict.fromkeys(g.method for c in found.comparisons for g in c.unablated if g.own)
    if own:
        names = ", ".join(f"`{method}`" for method in own)
        texts.append(f"Not ranked, since features of their own are evaluated: {names}.")
    return texts


def _table(found: Ranking) -> Table:
    names = [comparison.dataset_name for comparison in found.comparisons]
    columns = [
        METHOD,
        Column("rank", "Average rank", "Rank", required=True),
        *(Column(f"on {name}", name) for name in names),
    ]
    ranks = found.ranks
    rows = []
    for place in np.argsort(ranks, kind="stable"):
        method, rank = found.methods[place], float(ranks[place])
        scores = dict(zip(names, map(float, found.scores[:, place]), strict=True))
        cells = {
            "method": Cell("", code=method),
            "rank": Cell(f"{rank:.2f}", rank),
            **{f"on {name}": Cell(f"{score:.1f}", score) for name, score in scores.items()},
        }
        data = {"method": method, "average_rank": rank, **scores}
        rows.append(TableRow(cells, data, best=rank == ranks.min()))
    return Table(
        slug=SLUG,
        caption=f"Average ranks and {found.score} (%) on {len(names)} data sets",
        columns=tuple(columns),
        rows=tuple(rows),
    )


def draw(found: Ranking, name: str) -> str:
    """Return the critical-difference diagram as an SVG that fills the width it is given.

    The axis of ranks runs from the worst on the left to 1 on the right; the worse half of the
    methods is named on the left. Source: Demšar, JMLR 2006, Figure 1.

    Args:
        found: what was ranked.
        name: prefix of the ids, unique on a page.
    """
    entries = sorted(map(_Entry, found.methods, map(float, found.ranks)), key=lambda e: -e.rank)
    half = (len(entries) + 1) // 2
    # the outermost stem turns first, so that no line crosses another
    left, right = entries[:half], entries[half:][::-1]
    bars = cliques([entry.rank for entry in entries], found.critical_difference)
    top = _BARS + _BAR_STEP * len(bars)
    height = top + max(sum(entry.height for entry in side) for side in (left, right))
    with drawing(name):
        ends = _EDGE + _widest(left), WIDTH - _EDGE - _widest(right)
        scale = _Scale(len(entries), ends[0] + _GAP, ends[1] - _GAP)
        figure, axes = _canvas(height)
        _axis(axes, scale, found.critical_difference)
        _stems(axes, scale, left, top, _EDGE, ends[0])
        _stems(axes, scale, right, top, WIDTH - _EDGE, ends[1])
        for level, (low, high) in enumerate(bars):
            y = _BARS + _BAR_STEP * level
            axes.plot([scale.x(high) - 3, scale.x(low) + 3], [y, y], color=INK, linewidth=3.5,
                      solid_capstyle="butt", zorder=3)  # fmt: skip
        return as_svg(figure, name, "Critical-difference diagram of average ranks")


@dataclass(frozen=True)
class _Entry:
    """A method as it is drawn."""

    method: str
    rank: float

    @property
    def lines(self) -> list[str]:
        """The name, wrapped, and the rank."""
        words = wrapped(self.method, _NAME_WIDTH)
        return [*words[:-1], f"{words[-1]} {self.rank:.2f}"]

    @property
    def height(self) -> float:
        """What the lines take, in points."""
        return LINE * len(self.lines) + 4


@dataclass(frozen=True)
class _Scale:
    """From ranks to points, the worst rank at the left end."""

    worst: int
    left: float
    right: float

    @property
    def step(self) -> float:
        """Points between two ranks."""
        return (self.right - self.left) / (self.worst - 1)

    def x(self, rank: float) -> float:
        """Return where a rank lies."""
        return self.right - (rank - 1) * self.step


def _widest(entries: Sequence[_Entry]) -> float:
    return widest(line for entry in entries for line in entry.lines)


def _canvas(height: float) -> tuple[Figure, Axes]:
    """Return axes in points, y from the top."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def _axis(axes: Axes, scale: _Scale, critical_difference: float) -> None:
    """Draw the axis with its ticks, and above it how long the critical difference is."""
    axes.plot([scale.left, scale.right], [_AXIS, _AXIS], color=MUTED, linewidth=1.2)
    for rank in range(1, scale.worst + 1, 1 + scale.worst // 14):
        x = scale.x(rank)
        axes.plot([x, x], [_AXIS - 4, _AXIS], color=MUTED, linewidth=1.2)
        axes.text(x, _AXIS - 7, str(rank), ha="center", va="bottom", color=MUTED)
    end = scale.left + critical_difference * scale.step
    axes.plot([scale.left, end], [_RULER, _RULER], color=INK, linewidth=1.4)
    for x in (scale.left, end):
        axes.plot([x, x], [_RULER - 3, _RULER + 3], color=INK, linewidth=1.4)
    axes.text((scale.left + end) / 2, _RULER - 5, f"critical difference {critical_difference:.2f}",
              ha="center", va="bottom", color=INK)  # fmt: skip


def _stems(
    axes: Axes, scale: _Scale, entries: Sequence[_Entry], top: float, edge: float, inner: float
) -> None:
    """Lead from each method's rank down and out to its name, which starts at the edge."""
    align = "left" if edge < inner else "right"
    for entry in entries:
        (colour, marker), x, y = style(entry.method), scale.x(entry.rank), top + entry.height / 2
        outer = inner + math.copysign(3, x - inner)
        axes.plot([x, x, outer], [_AXIS, y, y], color=colour, linewidth=1.2)
        axes.plot([x], [_AXIS], color=colour, marker=marker or "o", markersize=6, zorder=4)
        axes.text(edge, y, "\n".join(entry.lines), ha=align, va="center", color=INK,
                  linespacing=1.1)  # fmt: skip
        top += entry.height
