"""Distributions of similarities as a grid of small plots."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmarks.report.data.separation import EDGES, Panel
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

COLOURS = ("#0b6fb8", "#d9730d")
"""Blue and orange: told apart under the common colour-vision deficiencies."""

_SIDE, _GAP, _PLOT, _LEGEND, _TICKS = 12.0, 16.0, 58.0, 24.0, 36.0
_CHARACTER = 6.2  # mean width


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
