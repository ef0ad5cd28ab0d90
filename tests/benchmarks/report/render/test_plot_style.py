import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from benchmarks.report.data.comparison import Group
from benchmarks.report.render import plot_style
from benchmarks.runs import paper_tables

PLUGIN = ("#5040A8", "p")


def luminance(colour):
    """Return the relative luminance of a colour by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_colour_is_3_to_1_on_white():
    names = [*plot_style.STYLES, *(f"plug-in-{n}" for n in range(200))]
    for name in names:
        assert 1.05 / (luminance(plot_style.style(name)[0]) + 0.05) >= 3


def test_a_method_looks_the_same_everywhere_and_unlike_the_others():
    names = [row.method for row in paper_tables.get(1).rows]
    assert set(names) == set(plot_style.STYLES)
    styles = [plot_style.style(name) for name in plot_style.STYLES]
    assert len({colour for colour, _ in styles}) == len({marker for _, marker in styles}) == 8
    assert plot_style.style("a-plug-in") == PLUGIN  # in every process and every report
    assert plot_style.style("a-plug-in") not in styles


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("", [""]),
        ("two words that are long", ["two words that are", "long"]),
        ("not-broken at-its-hyphens-ever", ["not-broken", "at-its-hyphens-ever"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ],
)
def test_names_are_wrapped_between_words(text, lines):
    assert plot_style.wrapped(text) == lines


def test_the_widest_line_counts():
    assert plot_style.widest(["i", "WWWW", "ii"]) == plot_style.widest(["WWWW"])
    assert plot_style.widest(["WWWW"]) > plot_style.widest(["iiii"]) > 0


def test_settings_of_a_drawing_end_with_it_even_after_an_error():
    before = dict(mpl.rcParams)
    with plot_style.drawing("x"):
        assert mpl.rcParams["font.size"] == plot_style.FONT
    with pytest.raises(ZeroDivisionError), plot_style.drawing("x"):
        raise ZeroDivisionError
    assert dict(mpl.rcParams) == before


def test_names_beside_a_plot_stand_in_the_order_of_their_ends_without_overlap(texts):
    ends = [(Group(name, {}, {}, label=name), 1.0, y) for name, y in
            (("low", 0.1), ("high", 0.11), ("top", 0.9))]  # fmt: skip
    with plot_style.drawing("x"):
        figure = Figure(figsize=(plot_style.WIDTH / 72, plot_style.HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.1, 0.1, 0.6, 0.8), xlim=(0, 1), ylim=(0, 1))
        plot_style.name_at_right(axes, ends, 0.5)
        plot_style.frame(axes, "title", "x axis")
        svg = plot_style.as_svg(figure, "x", "read out")
        places = {a.get_text(): a.get_window_extent().y0 for a in axes.texts}
    assert {"low", "high", "top", "title", "x axis"} <= set(texts(svg))
    assert places["low"] + plot_style.FONT < places["high"]
    assert places["high"] + plot_style.FONT < places["top"]
    assert ET.fromstring(svg).tag.endswith("svg")
