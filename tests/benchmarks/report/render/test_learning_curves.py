import itertools
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from benchmarks.report.render import learning_curves, plot_style
from benchmarks.report.sections import learning_speed
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

EPOCHS, IMAGES, SECONDS = learning_curves.PANELS


def drawn(results, panel=EPOCHS, name="plot"):
    return learning_curves.draw(results.comparison(), panel, name)


@pytest.mark.parametrize("panel", learning_curves.PANELS, ids=lambda panel: panel.name)
def test_each_panel_is_an_svg_that_names_every_curve(results, panel, texts):
    results.add("random-cnn", [30.0])
    for method in ("nce", "exemplar", "invaspread"):
        results.add(method, [20.0, None, 40.0])
    svg = drawn(results, panel)
    assert {"random-cnn", "nce", "exemplar", "invaspread", "kNN (%)"} <= set(texts(svg))
    assert any(text.startswith(panel.title) for text in texts(svg))


def test_labels_do_not_overlap_even_if_all_curves_end_alike(results):
    methods = [row.method for row in paper_tables.get(1).rows] + [f"method-{n}" for n in range(14)]
    for method in dict.fromkeys(methods):
        results.add(method, [20.0, 40.0])
    svg = drawn(results)
    places = []
    for e in ET.fromstring(svg).iter():
        if e.tag.endswith("text") and e.text in methods:
            x, y = re.search(r"translate\(([\d.]+) ([\d.]+)\)|$", e.get("transform") or "").groups()
            places.append(float(y if x else e.get("y")))
    assert len(places) == len(set(methods))
    assert min(b - a for a, b in itertools.pairwise(sorted(places))) > plot_style.FONT


def test_the_file_depends_on_no_date_and_no_setting_of_the_reader(results, monkeypatch):
    results.add("nce", [20.0, 40.0])
    results.add("nce", [21.0, 44.0], seed=1)
    svg = drawn(results)
    drawn(results, IMAGES)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "svg.fonttype": "path"}):
        assert drawn(results) == svg


def test_figures_on_one_page_share_no_ids(results):
    results.add("nce", [20.0, 40.0])
    first, second = (
        set(re.findall(r' id="([^"]+)"', drawn(results, panel, panel.name)))
        for panel in (EPOCHS, IMAGES)
    )
    assert first
    assert not first & second


def test_a_band_needs_two_seeds(results):
    results.add("nce", [20.0, 40.0])
    assert "opacity: 0.15" not in drawn(results)
    results.add("nce", [21.0, 44.0], seed=1)
    assert "opacity: 0.15" in drawn(results)


def test_an_untrained_network_is_a_dashed_level(results):
    results.add("nce", [20.0, 40.0])
    assert "stroke-dasharray" not in drawn(results)
    results.add("random-cnn", [30.0])
    colour = plot_style.style("random-cnn")[0].lower()
    assert re.search(rf"stroke-dasharray[^\"]*stroke: {colour}", drawn(results))


def test_only_an_untrained_network_can_be_drawn(results, texts):
    results.add("random-cnn", [30.0])
    for panel in learning_curves.PANELS:
        assert "random-cnn" in texts(drawn(results, panel))


@pytest.mark.parametrize(
    ("recipe", "panel", "noted"),
    [("paper", EPOCHS, True), ("paper", SECONDS, False), ("quick", EPOCHS, False)],
)
def test_the_papers_points_are_drawn_where_they_compare(results, recipe, panel, noted, texts):
    results.add("invaspread", [20.0, 40.0], recipe=recipe)
    assert ("open markers: paper's Figure 3" in texts(drawn(results, panel))) is noted


def test_names_are_text_and_never_markup_or_formulas(results):
    results.add("invaspread", [20.0, 40.0], changed={"form": "<b>$x^2$"})
    svg = drawn(results)
    assert "&lt;b&gt;$x^2$" in svg
    assert "<b>" not in svg


@pytest.mark.parametrize(
    ("column", "end", "unit"),
    [
        ("train_seconds", 90.0, (1.0, " (seconds)")),
        ("train_seconds", 600.0, (60.0, " (minutes)")),
        ("train_seconds", 90_000.0, (3600.0, " (hours)")),
        ("images_seen", 5e6, (1e6, " (millions of views)")),
        ("images_seen", 5e4, (1e3, " (thousands of views)")),
        ("epoch", 200.0, (1.0, "")),
        ("train_seconds", 0.0, (1.0, "")),
    ],
)
def test_axes_have_units_of_their_size(column, end, unit):
    assert learning_curves._unit(column, end) == unit


def test_unseen_classes_are_drawn_by_recall(results, texts):
    results.add("random-cnn", [8.0], dataset="cub200", recipe="unseen-quick")
    results.add("invaspread", [9.0, 14.0], dataset="cub200", recipe="unseen-quick")
    svg = drawn(results)
    assert "R@1 (%)" in texts(svg)
    assert not any("kNN" in text for text in texts(svg))
    section = learning_speed.section(results.comparison(), Commands(results.path))
    assert [plot.caption for plot in section.plots] == [
        "R@1 against epochs", "R@1 against images seen", "R@1 against training time",
    ]  # fmt: skip
