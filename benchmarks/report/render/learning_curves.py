"""Learning curves as SVG: one panel per question, legible from a phone's width up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.report.data import aggregate
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.learning import published_points, shown_groups
from benchmarks.report.render.plot_style import (
    HEIGHT,
    LINE,
    NAMES_GAP,
    TITLE,
    WIDTH,
    as_svg,
    drawing,
    frame,
    name_at_right,
    style,
    widest,
    wrapped,
)

_STEPS = [1, 2, 5, 10]  # between ticks
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))

_LEFT, _TOP, _BOTTOM = 28.0, 28.0, 40.0


@dataclass(frozen=True)
class Panel:
    """One plot: what methods are compared by, against a column of the curve."""

    name: str
    column: str
    title: str


PANELS = (
    Panel("epochs", "epoch", "epochs"),
    Panel("images", "images_seen", "images seen"),
    Panel("seconds", "train_seconds", "training time"),
)
_UNITS = {
    "images_seen": ((1e6, "millions of views"), (1e3, "thousands of views"), (1.0, "views")),
    "train_seconds": ((7200.0, "hours"), (300.0, "minutes"), (1.0, "seconds")),
}
_DIVISORS = {"hours": 3600.0, "minutes": 60.0}


@dataclass(frozen=True)
class _Series:
    """One group as it is drawn."""

    group: Group
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sd: NDArray[np.float64]
    published: list[tuple[float, float]]
    dashes: Any

    @property
    def extremes(self) -> list[float]:
        """The lowest and the highest value."""
        spread = np.nan_to_num(self.sd)
        values = [*(self.y - spread), *(self.y + spread), *(y for _, y in self.published)]
        return [min(values), max(values)]


def draw(comparison: Comparison, panel: Panel, name: str) -> str:
    """Return a panel as an SVG that fills the width it is given.

    Args:
        comparison: its groups with a learning curve are drawn: mean over seeds, a band of one
            standard deviation, a dashed level for a network that was never trained.
        panel: what kNN accuracy, or R@1 of unseen classes, is drawn against.
        name: prefix of the ids, unique on a page.
    """
    series, unit = _series(comparison, panel)
    with drawing(name):
        figure, axes = _canvas(series)
        _scale(axes, series, f"{panel.title}{unit}", f"{comparison.headline.published} (%)")
        for one in series:
            _curve(axes, one)
            _published(axes, one)
        if any(one.published for one in series):
            axes.set_title("open markers: paper's Figure 3", loc="right", **TITLE)
        right = axes.get_xlim()[1]
        ends = [(s.group, s.x[-1] if s.group.trained else right, s.y[-1]) for s in series]
        name_at_right(axes, ends, alpha=0.55)
        return as_svg(figure, name, title(comparison, panel))


def title(comparison: Comparison, panel: Panel) -> str:
    """Return what a panel shows, in words."""
    return f"{comparison.headline.words} against {panel.title}"


def _series(comparison: Comparison, panel: Panel) -> tuple[list[_Series], str]:
    groups = shown_groups(comparison)
    curves = [aggregate.curve(group, comparison.key) for group in groups]
    metric = comparison.headline.name
    end = max(float(curve[panel.column].max()) for curve in curves)
    divisor, unit = _unit(panel.column, end)
    series = []
    for group, curve in zip(groups, curves, strict=True):
        published = published_points(group, comparison) if panel.column == "epoch" else []
        siblings = [other for other in groups if other.method == group.method]
        series.append(
            _Series(
                group=group,
                x=curve[panel.column].to_numpy(float) / divisor,
                y=curve[metric].to_numpy(float),
                sd=curve[f"{metric}_sd"].to_numpy(float),
                published=[point for point in published if point[0] <= end],
                dashes=_DASHES[siblings.index(group) % len(_DASHES)],
            )
        )
    return series, unit


def _unit(column: str, end: float) -> tuple[float, str]:
    for threshold, unit in _UNITS.get(column, ()):
        if end >= threshold:
            return _DIVISORS.get(unit, threshold), f" ({unit})"
    return 1.0, ""


def _canvas(series: Sequence[_Series]) -> tuple[Figure, Axes]:
    lines = [line for one in series for line in wrapped(one.group.label)]
    width = (WIDTH - _LEFT - NAMES_GAP - widest(lines) - 8) / WIDTH
    height = max(HEIGHT, _TOP + _BOTTOM + LINE * len(lines) + 4 * len(series))
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    return figure, figure.add_axes(
        (_LEFT / WIDTH, _BOTTOM / height, width, 1 - (_TOP + _BOTTOM) / height)
    )


def _scale(axes: Axes, series: Sequence[_Series], xlabel: str, title: str) -> None:
    values = [value for one in series for value in one.extremes]
    low, high = (math.floor(min(values) / 10) * 10, math.ceil(max(values) / 10) * 10)
    # a perfect score, or none at all, is a level at the edge of ten points
    low = min(max(low, 0), 90)
    axes.set_ylim(low, min(max(high, low + 10), 100))
    axes.set_xlim(0, max(float(one.x[-1]) for one in series) or 1.0)
    frame(axes, title, xlabel, grid="y")
    whole = xlabel == PANELS[0].title
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole, steps=_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(9, integer=True, steps=_STEPS))


def _curve(axes: Axes, series: _Series) -> None:
    colour, marker = style(series.group.method)
    if not series.group.trained:
        axes.axhline(series.y[-1], color=colour, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1.5)
        return
    if np.isfinite(series.sd).any():
        low, high = series.y - series.sd, series.y + series.sd
        axes.fill_between(series.x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        series.x,
        series.y,
        color=colour,
        linestyle=series.dashes,
        linewidth=1.7,
        marker=marker,
        markersize=5,
        markeredgewidth=0,
        markevery=max(1, round(len(series.x) / 8)),
        clip_on=False,
    )


def _published(axes: Axes, series: _Series) -> None:
    """Draw the paper's points as open markers."""
    if series.published:
        colour, marker = style(series.group.method)
        x, y = zip(*series.published, strict=True)
        axes.scatter(x, y, s=34, marker=marker, facecolors="white", edgecolors=colour,
                     linewidths=1.4, zorder=4, clip_on=False)  # fmt: skip
