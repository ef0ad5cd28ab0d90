"""The accuracy tables on data sets whose test classes are not trained on."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.report.data.compare import planned
from benchmarks.report.render.markdown import markdown_table
from benchmarks.report.sections.accuracy import paper_table, plain_table, section
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

COMMANDS = Commands(Path("results"))
BIRDS = {"dataset": "cub200", "recipe": "unseen-quick"}
FIGURES = {"recall_at_2": 50.0, "recall_at_4": 60.0, "recall_at_8": 70.0, "nmi": 45.0}


def table_of(results):
    (table,) = section(results.comparison(), COMMANDS).tables
    return table


def row(table, name):
    (found,) = [r for r in table.rows if name in (r.cells["method"].text, r.cells["method"].code)]
    return found


def notes_of(table, row):
    return [table.notes[place] for place in row.cells["method"].notes]


def test_every_figure_stands_beside_the_published_one(results):
    for seed, recall in enumerate((40.0, 42.0)):
        figures = {**FIGURES, "pooled_recall_at_1": 43.0, "nmi_geometric": 46.0}
        results.add("invaspread", [recall + 3, recall], seed=seed, figures=figures, **BIRDS)
    table = table_of(results)
    found = row(table, "Ours")
    assert {key: cell.text for key, cell in found.cells.items()} == {
        "method": "Ours",
        "published": "46.2",
        "published_recall_at_2": "59.0",
        "published_recall_at_4": "70.1",
        "published_recall_at_8": "80.2",
        "published_nmi": "55.4",
        "measured": "41.0 ± 1.4",
        "measured_recall_at_2": "50.0 ± 0.0",
        "measured_recall_at_4": "60.0 ± 0.0",
        "measured_recall_at_8": "70.0 ± 0.0",
        "measured_nmi": "45.0 ± 0.0",
        "difference": "−5.2",
        "difference_recall_at_2": "−9.0",
        "difference_recall_at_4": "−10.1",
        "difference_recall_at_8": "−10.2",
        "difference_nmi": "−10.4",
        "best": "44.0 ± 1.4",
        "recall_at_1@features": "43.0 ± 0.0",
        "epochs": "2",
        "seeds": "2",
        "seconds": "20.0",
    }
    assert found.cells["best"].aside == "epoch 1"
    assert found.best
    assert "protocol test-against-test-self-excluded@embedding; seeds 0, 1" in table.caption


def test_the_difference_of_the_first_figure_alone_is_shown(results):
    results.add("invaspread", [40.0], figures=FIGURES, **BIRDS)
    table = table_of(results)
    assert [column.title for column in table.shown] == [
        "Method", "Paper R@1", "Paper R@2", "Paper R@4", "Paper R@8", "Paper NMI",
        "Measured R@1", "Measured R@2", "Measured R@4", "Measured R@8", "Measured NMI",
        "Diff. R@1", "Best epoch (chosen on the test set)", "Epochs", "Seeds", "Train seconds",
    ]  # fmt: skip
    assert table.wide
    assert row(table, "Ours").data["difference_nmi"] == pytest.approx(45.0 - 55.4)


def test_supervised_rows_and_cyclic_are_quoted_and_said_to_be():
    table = paper_table(paper_tables.get(3), planned("cub200", "cub200"), COMMANDS)
    quoted = [r for r in table.rows if r.data["status"] == "quoted"]
    assert [r.cells["method"].text for r in quoted] == [
        "Lifted (quoted, supervised)",
        "Clustering (quoted, supervised)",
        "Triplet+ (quoted, supervised)",
        "Smart+ (quoted, supervised)",
        "Cyclic (quoted, not run here)",
    ]
    assert all("Quoted from the paper" in notes_of(table, r)[-1] for r in quoted)
    assert quoted[0].cells["published_nmi"].text == "56.5"
    assert "46.2" in markdown_table(table)


def test_what_the_initial_network_means_and_where_rows_are_quoted_from_is_told(results):
    results.add("random-cnn", [30.0], **BIRDS)
    table = table_of(results)
    (initial,) = notes_of(table, row(table, "Initial (FC)"))
    assert "untrained embedding layer" in initial
    assert "pooled R@1" in initial
    assert not any("batch normalisation" in note for note in table.notes)
    for name in ("MOM", "Cyclic (quoted, not run here)"):
        assert any("probably quoted" in note for note in notes_of(table, row(table, name)))
    general_notes = " ".join(table.general_notes)
    for words in ("R@K:", "NMI:", "arithmetic mean", "geometric mean", "best R@1 on the test set"):
        assert words in general_notes


def test_what_learns_from_labels_is_marked_and_never_the_best(results):
    results.add("invaspread", [40.0, 41.0], **BIRDS)
    results.add("lifted", [60.0, 62.0], uses_labels=True, **BIRDS)
    table = table_of(results)
    bound = row(table, "lifted, learns from labels")
    assert [r.cells["method"].text for r in table.rows if r.best] == ["Ours"]
    assert "published" not in bound.cells
    assert bound.data["uses_labels"]
    assert any("upper bound" in note for note in notes_of(table, bound))
    assert "uses_labels" not in row(table, "Ours").data


def test_an_upper_bound_on_seen_classes_is_marked_alike(results):
    results.add("invaspread", [40.0, 41.0])
    results.add("triplet-semihard", [60.0, 62.0], uses_labels=True)
    table = paper_table(paper_tables.get(1), results.comparison(), COMMANDS)
    assert [r.cells["method"].text for r in table.rows if r.best] == ["Ours"]
    assert row(table, "triplet-semihard, learns from labels").cells["measured"].text == "62.0"


def test_figures_of_a_part_of_the_data_set_are_marked(results):
    results.add("invaspread", [40.0], partial=True, **BIRDS)
    table = table_of(results)
    assert "recipe unseen-quick, part of the data set;" in table.caption
    assert "Part of the data set only" in table.caveat
    found = row(table, "Ours")
    assert found.data["partial"] is True
    assert row(table, "NCE").remedy.endswith("--recipe unseen-quick --partial")
    assert table.slug == "table-3-unseen-quick-partial"


@pytest.mark.parametrize(
    ("recipe", "number", "random"),
    [("unseen", 4, "Initial (FC)"), ("unseen-scratch", 6, "Random")],
)
def test_tables_4_and_6_take_the_runs_of_their_network(results, recipe, number, random):
    results.add("random-cnn", [20.0], recipe=recipe, dataset="products")
    results.add("somebody-elses", [21.0], recipe=recipe, dataset="products")
    table = table_of(results)
    assert table.slug == f"table-{number}-{recipe}"
    assert row(table, random).status == row(table, "somebody-elses").status == "measured"
    assert table.caveat == ""
    assert not any("has not been run" in text for text in table.general_notes)


def test_a_data_set_without_published_figures_has_a_plain_table(results):
    results.add("invaspread", [39.0, 38.0], figures={"pooled_recall_at_1": 41.0}, **BIRDS)
    comparison = replace(results.comparison(), dataset_name="other-birds")
    table = plain_table(comparison, COMMANDS)
    assert table.caption.startswith("R@1 (%) on other-birds")
    assert [c.key for c in table.shown] == [
        "method", "measured", "best", "recall_at_1@features", "epochs", "seeds", "seconds",
    ]  # fmt: skip
