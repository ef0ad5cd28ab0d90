"""The critical-difference diagram: methods along an axis of average ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.data.ranking import Ranking, cliques
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

_EDGE, _GAP = 6.0, 8.0
_RULER, _AXIS, _BARS, _BAR_STEP = 22.0, 58.0, 70.0, 8.0
_NAME_WIDTH = 16  # letters in a line


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
