"""What all drawings of the report share: colours, type, size, and how they become SVG."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.report.svg import tidy

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
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
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
