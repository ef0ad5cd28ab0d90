from pathlib import Path

import pytest

from benchmarks.records import read_all
from benchmarks.report import retrieval
from benchmarks.report.commands import Commands
from benchmarks.report.select import compare

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


def chapter_of(results):
    (comparison,) = compare(read_all(results.path, warn=pytest.fail))
    return retrieval.chapter(comparison, Commands(Path("results")))


def test_every_figure_has_a_column_with_mean_and_deviation(results):
    for seed in range(2):
        figures = {key: value + 2 * seed for key, value in FIGURES.items()}
        results.add("invaspread", [50.0], seed=seed, figures=figures)
    (table,) = chapter_of(results).tables
    assert [c.title for c in table.shown] == [
        "Method", "R@1", "R@2", "R@4", "R@8", "mAP@R", "NMI", "NMI (geometric)", "ARI",
        "Clustering accuracy",
    ]  # fmt: skip
    (row,) = table.rows
    assert row.cells["recall_at_1"].text == "41.0 ± 1.4"
    assert row.data["ari"] == 26.0
    assert row.data["ari_sd"] == pytest.approx(2**0.5)
    assert row.data["seeds"] == 2
    assert table.remarks


def test_ablations_and_variants_have_rows_and_runs_without_figures_none(results):
    results.add("nce", [20.0])
    results.add("invaspread", [50.0], figures={"nmi": 35.0})
    results.add("invaspread", [50.0], figures=FIGURES, recipe_changed={"augmentation.flip": 0.0})
    (table,) = chapter_of(results).tables
    assert [row.cells["method"].code for row in table.rows] == [
        "invaspread",
        "invaspread, without flip",
    ]
    assert set(table.rows[0].cells) == {"method", "nmi"}


def test_without_any_figure_there_is_no_chapter(results):
    results.add("nce", [20.0], figures={"pooled_knn": 20.0})
    assert not chapter_of(results)
