"""What all drawings of the report share: colours, type, size, and how they become SVG."""

import io
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from zlib import crc32

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from benchmarks.report.data.comparison import Group
from benchmarks.report.document import inert
from benchmarks.report.render.svg import spread_labels, tidy

# Told apart under the common colour-vision deficiencies and at 3:1 on white; the marker tells too.
STYLES = {
    "random-cnn": ("#777777", ""),
    "deepcluster": ("#A68A1E", "P"),
    "exemplar": ("#0E7A4A", "^"),
    "npsoftmax": ("#123F8C", "s"),
    "nce": ("#3596D4", "D"),
    "triplet": ("#C766C0", "v"),
    "triplet-hard": ("#6E1450", "X"),
    "invaspread": ("#C8371B", "o"),
}
_OTHER_COLOURS = ("#5B6B10", "#00707A", "#8C4B3A", "#5040A8", "#404040", "#B0306A")
_OTHER_MARKERS = ("h", "<", ">", "d", "p", "*")

WIDTH, HEIGHT = 400.0, 300.0  # points: the units of the view box, so 10 is 10 px at full width
FONT, INK, MUTED = 11.0, "#1c2430", "#5a6472"
LINE = 12.5
"""Points from one line of type to the next."""
NAMES_GAP = 20.0
"""Points between a plot and the names beside it."""
TITLE: Any = {"fontsize": FONT, "color": MUTED, "pad": 9}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.usetex": False,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": FONT,
    "text.color": INK,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.solid_capstyle": "round",
}


def style(method: str) -> tuple[str, str]:
    """Return a method's colour and marker: the same in every figure and every report."""
    if method in STYLES:
        return STYLES[method]
    marker, colour = divmod(crc32(method.encode()) % 36, 6)
    return _OTHER_COLOURS[colour], _OTHER_MARKERS[marker]


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Set the report's type and colours while a figure is built; the same input, the same SVG."""
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's font draws the names; that this one lacks a letter is no news.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def as_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as SVG that fills the width it is given; call it inside `drawing`.

    Args:
        figure: WIDTH points wide at 72 dpi.
        name: prefix of the ids, unique on a page.
        title: read out instead of the figure.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return tidy(file.getvalue(), name, title)


def wrapped(text: str, characters: int = 20) -> list[str]:
    """Return a name in lines of at most so many characters, not broken at hyphens."""
    text = inert(text)
    return textwrap.wrap(text, characters, break_on_hyphens=False) or [text]


def widest(lines: Iterable[str]) -> float:
    """Return the points that the longest of some lines takes."""
    return max(float(TextPath((0, 0), line, size=FONT).get_extents().width) for line in lines)


def frame(axes: Axes, title: str, xlabel: str, grid: Literal["both", "y"] = "both") -> None:
    """Give a plot its grid and its axes; the title says what is drawn upwards."""
    axes.set_title(title, loc="left", **TITLE)
    axes.set_xlabel(xlabel, labelpad=4)
    axes.grid(axis=grid, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, pad=3)
    axes.spines[["top", "right", "left"]].set_visible(False)


def name_at_right(axes: Axes, ends: Sequence[tuple[Group, float, float]], alpha: float) -> None:
    """Name groups beside a plot, each at its height or moved apart from its neighbours.

    Args:
        axes: with its final limits.
        ends: groups, and the x and y from which a line leads to the name.
        alpha: opacity of these lines.
    """
    extent, (low, high), (left, right) = axes.get_window_extent(), axes.get_ylim(), axes.get_xlim()
    scale = (high - low) / extent.height  # units a point
    names = [wrapped(group.label) for group, _, _ in ends]
    wanted = [extent.y0 + (y - low) / scale for _, _, y in ends]
    heights = [len(lines) * LINE + 1 for lines in names]
    places = spread_labels(wanted, heights, extent.y0 - 4, extent.y1 + 4)
    outer = right + (NAMES_GAP - 4) / extent.width * (right - left)
    for (group, x, y), lines, place in zip(ends, names, places, strict=True):
        level = low + (place - extent.y0) * scale
        colour, _ = style(group.method)
        axes.plot([x, right, outer], [y, y, level], color=colour, linewidth=0.8, alpha=alpha,
                  clip_on=False, zorder=1)  # fmt: skip
        axes.annotate("\n".join(lines), (outer, level), xytext=(3, 0), color=INK,
                      textcoords="offset points", va="center", linespacing=1.1,
                      annotation_clip=False)  # fmt: skip
