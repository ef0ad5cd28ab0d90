"""What is undefined is a dash that says why; features of a method's own are never ranked."""

import warnings

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.data import learning, ranking
from benchmarks.report.document import NOTHING
from benchmarks.report.render.html import html
from benchmarks.report.sections import (
    accuracy,
    class_separation,
    label_free,
    retrieval,
    significance,
)
from benchmarks.report.text.commands import Commands
from benchmarks.report.write import write_report
from benchmarks.runs import store

LONE = "every image is alone in its class"
CLIPPED = "8 neighbours vote instead of 50"
LABEL_FREE = ("alignment", "uniformity", "effective_rank", "view_agreement")


def table_of(section_of, results, place=0):
    (comparison,) = results.comparisons()
    return section_of(comparison, Commands(results.path)).tables[place]


def footnotes(table, cell):
    return [table.notes[place] for place in cell.notes]


def row_of(table, method):
    return next(row for row in table.rows if row.data["method"] == method)


def test_an_undefined_metric_is_a_dash_with_its_reason(results):
    results.add("nce", [40.0], undefined={"nmi": LONE, "recall_at_1": LONE}, figures={"ari": 3.0})
    table = table_of(retrieval.section, results)
    cells = row_of(table, "nce").cells
    for name in ("nmi", "recall_at_1"):
        assert (cells[name].text, cells[name].value) == (NOTHING, None)
        assert footnotes(table, cells[name]) == [f"Undefined: {LONE}."]
    assert (cells["ari"].text, cells["ari"].notes) == ("3.0", ())
    assert "map_at_r" not in cells
    assert len(table.notes) == 1
    assert LONE in row_of(table, "nce").data["undefined"]
    assert {"nmi", "recall_at_1"} <= {column.key for column in table.shown}


def test_reasons_reach_every_format(results):
    results.add("nce", [40.0], undefined={"nmi": LONE}, figures={"ari": 3.0})
    results.add("mom", [40.0], undefined=dict.fromkeys(LABEL_FREE, "collapsed"))
    files = {path.name: path.read_text() for path in write_report(results.path)}
    for suffix in (".html", ".md"):
        assert any(LONE in text for name, text in files.items() if name.endswith(suffix))
    tex = "".join(text for name, text in files.items() if name.startswith("retrieval"))
    assert LONE in tex
    assert "collapsed" in files["report.html"]


def test_some_seeds_without_a_value_are_named(results):
    results.add("nce", [40.0], seed=0, figures={"effective_rank": 7.0, "alignment": 1.0})
    results.add("nce", [41.0], seed=1, undefined={"effective_rank": "collapsed"})
    table = table_of(label_free.section, results)
    cell = row_of(table, "nce").cells["effective_rank"]
    assert cell.value == 7.0
    assert footnotes(table, cell) == ["Undefined: collapsed (seed 1)."]


def test_a_group_without_any_value_keeps_its_row(results):
    results.add("nce", [40.0], undefined=dict.fromkeys(LABEL_FREE, "collapsed"))
    table = table_of(label_free.section, results)
    assert {row_of(table, "nce").cells[name].text for name in LABEL_FREE} == {NOTHING}


def test_similarities_that_are_undefined_have_a_table(results):
    results.add(
        "nce", [40.0], undefined=dict.fromkeys(("similarity_overlap", "similarity_auc"), LONE)
    )
    table = table_of(class_separation.section, results)
    cell = row_of(table, "nce").cells["similarity_auc"]
    assert (cell.text, footnotes(table, cell)) == (NOTHING, [f"Undefined: {LONE}."])
    assert not any(row.best for row in table.rows)


def test_a_caveat_stands_at_its_value(results):
    results.add(
        "nce", [40.0], dataset="digits", protocols={"knn": "knn-8-0.1"}, caveats={"knn": CLIPPED}
    )
    table = table_of(accuracy.section, results)
    cell = row_of(table, "nce").cells["measured"]
    assert cell.text == "40.0"
    assert footnotes(table, cell) == [f"{CLIPPED}."]
    assert "knn-8-0.1" in table.caption


def test_an_undefined_headline_is_no_failure(results):
    results.add("nce", [None], dataset="digits", undefined={"knn": "one class"})
    table = table_of(accuracy.section, results)
    cell = row_of(table, "nce").cells["measured"]
    assert (cell.text, footnotes(table, cell)) == (NOTHING, ["Undefined: one class."])
    ((run,), _) = results.read()
    assert run.record.headline == "kNN undefined: one class"


def with_own(results, **fields):
    """Add two methods that evaluate the embedding and a better one that does not, on digits."""
    for seed in range(3):
        for method, height, judged in (
            ("nce", 40.0, "embedding"),
            ("invaspread", 50.0, None),
            ("pooled", 90.0, "own"),
        ):
            level = height + seed
            views = {"alignment": 1.0, "similarity_auc": level / 100}
            folder = results.add(
                method, [level / 2, level], seed=seed, judged=judged, figures=views, **fields
            )
            right = np.arange(100) < level
            frame = pd.DataFrame({"label": 1, "knn": right.astype(int)})
            store.write_frame(folder, store.PREDICTIONS, frame)


def test_another_representation_has_a_column_of_its_own_and_is_not_the_best(results):
    with_own(results)
    table = table_of(accuracy.section, results)
    other = row_of(table, "pooled")
    (said,) = footnotes(table, other.cells["method"])[-1:]
    assert "its own representation, own" in said
    assert "measured" not in other.cells
    assert "best" not in other.cells
    assert other.cells["knn@own"].value == 91.0
    assert [row.data["method"] for row in table.rows if row.best] == ["invaspread"]
    assert (other.data["representation"], other.data["measured"]) == ("own", None)
    rest = [row for row in table.rows if row != other]
    assert all(said not in footnotes(table, row.cells["method"]) for row in rest)
    assert not any("knn@own" in row.cells for row in rest)


def test_another_representation_is_not_tested(results):
    with_own(results)
    table = table_of(significance.section, results)
    assert {row.data["method"] for row in table.rows} == {"nce", "invaspread"}
    assert "best, invaspread" in table.caption
    (said,) = [text for text in table.general_notes if "embedding is not evaluated" in text]
    assert "pooled (own)" in said


def test_another_representation_is_not_ranked(results):
    with_own(results)
    (comparison,) = results.comparisons()
    assert ranking._accuracies(comparison, "embedding").keys() == {"nce", "invaspread"}
    assert learning.own_target(comparison) == 40.0
    table = table_of(label_free.section, results)
    assert {row.data["method"] for row in table.rows} == {"nce", "invaspread"}
    assert "(2 of at least" in " ".join(table.general_notes)


def test_what_all_methods_have_of_another_headline_is_compared_by_it(results):
    for seed in range(3):
        results.add("nce", [20.0, 40.0], seed=seed, figures={"pooled_knn": 60.0 + seed})
        results.add("mom", [20.0, 41.0], seed=seed, figures={"pooled_knn": 50.0 + 2 * seed})
        measured = {"knn@features": {"value": 70.0 + seed, "unit": "percent", "protocol": ""}}
        results.add("byol", [10.0, 70.0], seed=seed, measurements=measured,
                    representation="features")  # fmt: skip
    (comparison,) = results.comparisons()
    assert comparison.representation == "embedding"
    (aside,) = comparison.asides
    assert {group.method for group in aside.groups} == {"nce", "mom", "byol"}
    part = results.content().parts[0]
    captions = [table.caption for table in part.tables if "best, byol" in table.caption]
    assert len(captions) == 1
    assert "features of every method" in captions[0]
    slugs = [table.slug for table in part.tables] + [plot.slug for plot in part.plots]
    assert len(slugs) == len(set(slugs))
    titles = [section.title for section in part.sections]
    assert "Learning speed, by features" in titles
    main = next(table for table in part.tables if table.slug.startswith("significance"))
    assert {row.data["method"] for row in main.rows} == {"nce", "mom"}


def test_records_that_do_not_say_what_was_evaluated_are_ranked_as_ever(results):
    results.add("nce", [40.0])
    results.add("pooled", [70.0])
    table = table_of(accuracy.section, results)
    assert [row.data["method"] for row in table.rows if row.best] == ["pooled"]


@pytest.mark.parametrize("level", [0.0, 3.0, 95.0, 100.0])
def test_scores_at_the_edges_are_drawn_without_warnings(results, level):
    figures = dict.fromkeys((*LABEL_FREE, "similarity_auc"), 0.0)
    for method in ("nce", "mom", "random-cnn"):
        results.add(method, [level] * (1 if method == "random-cnn" else 3), figures=figures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = html(results.content())
    assert f"{level:.1f}" in page
