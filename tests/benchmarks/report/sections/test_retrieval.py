from pathlib import Path

import pytest

from benchmarks.report.sections import retrieval
from benchmarks.report.text.commands import Commands

FIGURES = {
    "recall_at_1": 40.0,
    "recall_at_2": 50.0,
    "recall_at_4": 60.0,
    "recall_at_8": 70.0,
    "map_at_r": 20.0,
    "nmi": 35.0,
    "nmi_geometric": 36.0,
    "ari": 25.0,
    "clustering_accuracy": 45.0,
}


def section_of(results):
    return retrieval.section(results.comparison(), Commands(Path("results")))


def test_every_figure_has_a_column_with_mean_and_deviation(results):
    for seed in range(2):
        figures = {key: value + 2 * seed for key, value in FIGURES.items()}
        results.add("invaspread", [50.0], seed=seed, figures=figures)
    (table,) = section_of(results).tables
    assert [c.title for c in table.shown] == [
        "Method", "R@1", "R@2", "R@4", "R@8", "mAP@R", "NMI", "NMI (geometric)", "ARI",
        "Clustering accuracy",
    ]  # fmt: skip
    (row,) = table.rows
    assert row.cells["recall_at_1"].text == "41.0 ± 1.4"
    assert row.data["ari"] == 26.0
    assert row.data["ari_sd"] == pytest.approx(2**0.5)
    assert row.data["seeds"] == 2
    assert table.general_notes


def test_ablations_and_variants_have_rows_and_runs_without_figures_none(results):
    results.add("nce", [20.0])
    results.add("invaspread", [50.0], figures={"nmi": 35.0})
    results.add("invaspread", [50.0], figures=FIGURES, recipe_changed={"augmentation.flip": 0.0})
    (table,) = section_of(results).tables
    assert [row.cells["method"].code for row in table.rows] == [
        "invaspread",
        "invaspread, without flip",
    ]
    assert set(table.rows[0].cells) == {"method", "nmi"}


def test_without_any_figure_there_is_no_section(results):
    results.add("nce", [20.0], figures={"pooled_knn": 20.0})
    assert not section_of(results)


def section_of_products(results, figures):
    results.add("mom", [43.0], dataset="products", recipe="unseen-scratch", figures=figures)
    return retrieval.section(results.comparison(), Commands(Path("results")))


def test_recall_is_shown_at_the_neighbours_that_the_data_set_is_judged_by(results):
    figures = {"recall_at_100": 73.0, "recall_at_10": 57.0, "nmi": 84.0, "nmi_geometric": 84.5}
    (table,) = section_of_products(results, figures).tables
    assert [c.title for c in table.shown] == [
        "Method", "R@1", "R@10", "R@100", "NMI", "NMI (geometric)",
    ]  # fmt: skip
    assert "recall_at_2" not in table.rows[0].data


def test_figures_of_the_pooled_features_have_a_table_of_their_own(results):
    figures = {"pooled_recall_at_1": 46.0, "pooled_recall_at_10": 58.0, "pooled_nmi": 85.0}
    embedded, pooled = section_of_products(results, {"recall_at_10": 57.0, **figures}).tables
    assert pooled.caption.startswith("Before the embedding layer")
    assert pooled.slug == f"{embedded.slug}-features"
    assert {key: cell.text for key, cell in pooled.rows[0].cells.items() if cell.text} == {
        "recall_at_1": "46.0", "recall_at_10": "58.0", "nmi": "85.0",
    }  # fmt: skip
    assert embedded.rows[0].cells["recall_at_1"].text == "43.0"
