import re

import numpy as np
import pytest

from benchmarks.report.data import separation
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.render import separation_plot
from evaluation.metrics.separation import BINS
from helpers.similarities import add


def test_similarities_are_on_one_axis_that_holds_them_all(results):
    add(results, "nce", sides={"class": (np.array([-0.61, 0.4]), np.array([0.1, 0.2]))})
    add(results, "exemplar", sides={"class": (np.array([0.99]), np.array([0.3]))})
    found = separation.measured(results.comparison())
    panels = [separation.Panel("", one.densities("class"), None) for one in found]
    assert separation_plot._range(panels) == (-0.75, 1.0)


def panel(title="nce", auc=0.8, low=30, high=60):
    densities = np.zeros((2, BINS))
    densities[0, high], densities[1, low] = 40.0, 40.0
    spread = None if auc is None else Spread(auc, None, 1)
    return separation.Panel(title, densities, spread)


def draw(grid, headings=(), name="plot"):
    return separation_plot.draw(grid, headings, ("same class", "other class"), name)


def areas(svg, colour):
    """Return how many areas of a colour are drawn, the one of the legend left out."""
    return len(re.findall(rf"<path[^>]*fill: {colour}; fill-opacity: 0.35", svg)) - 1


def test_each_panel_has_both_areas_its_title_and_its_auc(texts):
    svg = draw([[panel("one", 0.8), panel("two", 0.654)], [panel("three", None), None]])
    assert [areas(svg, colour) for colour in separation_plot.COLOURS] == [3, 3]
    shown = texts(svg)
    assert {"one", "two", "three", "0.80", "0.65", "same class", "other class"} <= set(shown)
    assert shown.count("cosine similarity") == 2  # below the lowest panel of each column


def test_headings_stand_above_their_columns(texts):
    svg = draw([[panel(), panel()]], ["left", "right"])
    assert {"left", "right"} <= set(texts(svg))


def test_names_are_text_and_never_markup_or_formulas():
    svg = draw([[panel("<b>$x^2$")]], ["<i>"])
    assert "&lt;b&gt;$x^2$" in svg
    assert "<b>" not in svg
    assert "<i>" not in svg


def test_the_file_depends_on_no_date_and_shares_no_ids(monkeypatch):
    svg = draw([[panel()]])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert draw([[panel()]]) == svg
    first, second = (
        set(re.findall(r' id="([^"]+)"', draw([[panel()]], name=name))) for name in ("a", "b")
    )
    assert first
    assert not first & second


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 79, (-1.0, 1.0)), (40, 49, (0.0, 0.25)), (39, 50, (-0.25, 0.5))],
)
def test_the_axis_ends_at_quarters(low, high, expected):
    assert separation_plot._range([panel(low=low, high=high)]) == expected
