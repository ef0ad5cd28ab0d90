import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.data.compare import planned
from benchmarks.report.render import separation_plot
from benchmarks.report.sections import class_separation
from benchmarks.report.text.commands import Commands
from benchmarks.runs import store
from helpers.similarities import add, frame_of, made_up

COMMANDS = Commands(Path("results"))


def section_of(results):
    return class_separation.section(results.comparison(), COMMANDS)


def areas(svg, colour):
    """Return how many areas of a colour are drawn, the one of the legend left out."""
    return len(re.findall(rf"<path[^>]*fill: {colour}; fill-opacity: 0.35", svg)) - 1


def test_figure_5_has_a_panel_a_method_in_one_plot(results, texts):
    for method in ("random-cnn", "nce", "invaspread"):
        add(results, method)
    results.add("exemplar", [20.0, 30.0])  # an older record
    (plot,) = section_of(results).plots
    assert [areas(plot.svg, colour) for colour in separation_plot.COLOURS] == [3, 3]
    assert {"random-cnn", "nce", "invaspread"} <= set(texts(plot.svg))
    assert "exemplar" not in texts(plot.svg)
    assert texts(plot.svg).count("0.80") == 3


def test_figure_6_shows_the_untrained_network_the_papers_method_and_the_best_other(results, texts):
    sides = {"class": made_up(), "animal": made_up(0.2), "can_fly": made_up(0.1)}
    add(results, "random-cnn", sides=sides, attribute_auc=0.6, knn=[30.0])
    add(results, "invaspread", sides=sides, attribute_auc=0.8)
    add(results, "nce", sides=sides, attribute_auc=0.7)
    add(results, "exemplar", sides=sides, attribute_auc=0.9)
    _, plot = section_of(results).plots
    assert plot.caption.endswith("the untrained network against invaspread and exemplar")
    assert areas(plot.svg, separation_plot.COLOURS[0]) == 3 * 2
    assert texts(plot.svg).count("can fly") == 3
    assert [t for t in texts(plot.svg) if t in ("random-cnn", "invaspread", "exemplar", "nce")] == [
        "random-cnn",
        "invaspread",
        "exemplar",
    ]


def test_an_attribute_that_one_method_lacks_leaves_a_gap(results):
    add(results, "random-cnn", sides={"animal": made_up(), "can_fly": made_up()}, knn=[30.0])
    add(results, "invaspread", sides={"animal": made_up()})
    (plot,) = section_of(results).plots
    assert areas(plot.svg, separation_plot.COLOURS[0]) == 3


def test_tables_have_the_highest_auc_first_with_its_spread(results):
    add(results, "exemplar", auc=0.7)
    add(results, "invaspread", auc=0.9)
    add(results, "invaspread", auc=0.8, seed=1)
    add(results, "random-cnn", auc=0.75, knn=[30.0])
    (table,) = section_of(results).tables
    names = [row.cells["method"].code for row in table.rows]
    assert names == ["invaspread", "random-cnn", "exemplar"]
    assert [row.best for row in table.rows] == [True, False, False]
    top = table.rows[0]
    assert top.cells["similarity_auc"].text == "0.850 ± 0.071"
    assert top.data["similarity_auc_sd"] == pytest.approx(np.std([0.9, 0.8], ddof=1))
    assert (top.cells["similarity_overlap"].text, top.cells["seeds"].text) == ("0.400 ± 0.000", "2")


def test_the_attribute_table_has_the_auc_of_each_attribute(results):
    sides = {"class": made_up(), "animal": made_up(0.0), "has_fur": made_up(0.6)}
    add(results, "nce", sides=sides, attribute_auc=0.75)
    _, table = section_of(results).tables
    assert [c.title for c in table.columns if c.key.startswith("attribute_auc_")] == [
        "AUC, animal",
        "AUC, has fur",
    ]
    (row,) = table.rows
    assert row.cells["attribute_auc"].text == "0.750"
    assert row.cells["attribute_auc_animal"].value == pytest.approx(0.5, abs=0.05)
    assert row.cells["attribute_auc_has_fur"].value > 0.99
    assert "taken from the histogram" in table.general_notes[-1]


def test_an_auc_that_was_recorded_is_not_taken_from_the_histogram(results, texts):
    folder = results.add(
        "nce", [20.0], figures={"attribute_auc": 0.6, "attribute_auc_animal": 0.61}
    )
    store.write_frame(folder, store.SIMILARITIES, frame_of({"animal": made_up(0.6)}))
    (table,), (plot,) = section_of(results).tables, section_of(results).plots
    assert table.rows[0].cells["attribute_auc_animal"].text == "0.61"
    assert "0.61" in texts(plot.svg)
    assert not any("taken from the histogram" in note for note in table.general_notes)


def test_remarks_say_where_neighbours_and_attributes_come_from(results):
    add(results, "nce", sides={"class": made_up(), "animal": made_up()}, attribute_auc=0.7)
    of_class, of_attributes = (" ".join(t.general_notes) for t in section_of(results).tables)
    for text in (of_class, of_attributes):
        assert "test set, the query itself left out" in text
        assert "5 nearest" in text
    assert "suite's own" in of_attributes


def test_without_similarities_there_is_no_section(results, put_damaged):
    put_damaged(store.SIMILARITIES)
    assert not section_of(results)


def test_nothing_was_run_yet():
    assert not class_separation.section(planned("cifar10", "paper"), COMMANDS)


def test_other_columns_are_no_similarities(results):
    folder = results.add("nce", [20.0])
    store.write_frame(folder, store.SIMILARITIES, pd.DataFrame({"attribute": ["class"]}))
    assert not section_of(results)


def test_one_kind_alone_is_left_out(results):
    add(results, "nce", sides={"class": (made_up()[0], np.array([]))})
    assert not section_of(results)


def test_names_are_text_and_files_differ(results):
    add(results, "nce", changed={"form": "<b>$x^2$"}, sides={"class": made_up(), "a<i>": made_up()})
    plots = section_of(results).plots
    assert len({plot.slug for plot in plots}) == 2
    for plot in plots:
        assert "<b>" not in plot.svg
        assert "<i>" not in plot.svg
        assert plot.svg == plot.draw()
    ids = [set(re.findall(r' id="([^"]+)"', plot.svg)) for plot in plots]
    assert not ids[0] & ids[1]
