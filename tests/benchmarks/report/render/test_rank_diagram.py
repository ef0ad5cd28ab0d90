import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np

from benchmarks.report.data import ranking
from benchmarks.report.render import plot_style, rank_diagram
from benchmarks.runs import paper_tables
from evaluation.significance import nemenyi_critical_difference
from helpers.rankings import ACCURACIES, comparisons_of


def drawn(results, name="plot", **options):
    return rank_diagram.draw(ranking.ranking(comparisons_of(results, **options)), name)


def test_the_diagram_names_methods_ranks_and_the_critical_difference(results, texts):
    shown = texts(drawn(results))
    assert {"invaspread 1.20", "nce 2.30", "exemplar 2.50", "triplet 4.00"} <= set(shown)
    assert {"1", "2", "3", "4"} <= set(shown)
    assert f"critical difference {nemenyi_critical_difference(4, 5):.2f}" in shown


def test_the_better_half_is_named_on_the_right(results):
    svg = drawn(results)
    sides = {}
    for e in ET.fromstring(svg).iter():
        if e.tag.endswith("text") and e.text and re.fullmatch(r"[a-z]+ \d\.\d\d", e.text):
            x = re.search(r"translate\(([\d.]+)", e.get("transform") or "")
            sides[e.text.split()[0]] = float(x[1] if x else e.get("x"))
    middle = plot_style.WIDTH / 2
    assert {method for method, x in sides.items() if x > middle} == {"invaspread", "nce"}


def test_names_do_not_overlap_and_stay_inside_with_many_methods(results):
    methods = [row.method for row in paper_tables.get(1).rows] + [
        f"a-long-plug-in-{n}" for n in range(9)
    ]
    methods = list(dict.fromkeys(methods))
    accuracies = np.random.default_rng(0).random((5, len(methods))) * 100
    svg = drawn(results, accuracies=accuracies, methods=methods)
    height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', svg)[1])
    places = {"left": [], "right": []}
    for e in ET.fromstring(svg).iter():
        if e.tag.endswith("text") and e.text and re.search(r"\d\.\d\d$", e.text):
            if e.text.startswith("critical"):
                continue
            x, y = re.search(r"translate\(([\d.]+) ([\d.]+)\)|$", e.get("transform") or "").groups()
            x, y = (float(x), float(y)) if x else (float(e.get("x")), float(e.get("y")))
            places["left" if x < plot_style.WIDTH / 2 else "right"].append(y)
    assert sum(map(len, places.values())) == len(methods)
    for ys in places.values():
        assert max(ys) < height
        assert np.diff(sorted(ys)).min() > plot_style.FONT


def test_the_file_depends_on_no_date_and_no_setting_of_the_reader(results, monkeypatch):
    found = ranking.ranking(comparisons_of(results))
    svg = rank_diagram.draw(found, "one")
    rank_diagram.draw(found, "two")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "svg.fonttype": "path"}):
        assert rank_diagram.draw(found, "one") == svg


def test_two_diagrams_on_a_page_share_no_ids(results):
    found = ranking.ranking(comparisons_of(results))
    first, second = (
        set(re.findall(r' id="([^"]+)"', rank_diagram.draw(found, name))) for name in ("one", "two")
    )
    assert first
    assert not first & second


def test_names_are_text_and_never_markup_or_formulas(results):
    svg = drawn(results, accuracies=ACCURACIES, methods=("<b>", "$x^2$", "a", "b"))
    assert "&lt;b&gt; 1.20" in svg
    assert "$x^2$ 2.30" in svg
    assert "<b>" not in svg


def test_two_methods_alike_on_every_data_set_are_both_named(results, texts):
    accuracies = np.tile([30.0, 30.0, 10.0], (5, 1))
    shown = texts(drawn(results, accuracies=accuracies, methods=("invaspread", "nce", "exemplar")))
    assert {"invaspread 1.50", "nce 1.50", "exemplar 3.00"} <= set(shown)
