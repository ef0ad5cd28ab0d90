import json
from pathlib import Path
from statistics import stdev

import pytest

from benchmarks.evaluator.metric_names import KNN, NMI
from benchmarks.report.data.accuracy_rows import (
    Line,
    Page,
    group_row,
    missing_row,
    quoted_row,
    side_columns,
)
from benchmarks.report.data.compare import planned
from benchmarks.report.document import Cell
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

COMMANDS = Commands(Path("results"))


def page_of(comparison):
    return Page(comparison, COMMANDS)


def only_row(results, line):
    comparison = results.comparison()
    (group,) = comparison.groups
    return group_row(group, line, page_of(comparison))


def test_before_anything_is_run_a_line_has_what_the_paper_states():
    line = Line({KNN: 83.6, NMI: None}, change=-4.25)
    cells = line.cells(Cell("Ours"))
    assert {key: (cell.text, cell.value) for key, cell in cells.items()} == {
        "method": ("Ours", None),
        "published": ("83.6", 83.6),
        "published_change": ("−4.2", -4.25),
    }


def test_a_groups_row_has_published_measured_and_their_difference_in_full(results):
    for seed, knn in enumerate((50.0, 53.0)):
        results.add("nce", [60.0, knn], seed=seed, figures={"nmi": knn / 2})
    row = only_row(results, Line({KNN: 55.0, NMI: None}, name="NCE"))
    assert row.status == row.data["status"] == "measured"
    assert row.cells["difference"].text == "−3.5"
    assert row.cells["measured_nmi"].text == "25.8 ± 1.1"
    assert "difference_nmi" not in row.cells
    assert row.data["measured"] == 51.5
    assert row.data["measured_sd"] == pytest.approx(stdev([50.0, 53.0]))
    assert (row.data["difference"], row.data["difference_nmi"]) == (-3.5, None)
    assert (row.data["best"], row.data["best_sd"]) == (60.0, 0.0)
    assert (row.data["seeds"], row.data["epochs"]) == ("0 1", 2)
    assert (row.cells["best"].text, row.cells["best"].aside) == ("60.0 ± 0.0", "epoch 1")


def test_a_row_without_published_values_has_no_difference(results):
    results.add("nce", [60.0, 50.0])
    row = only_row(results, Line({KNN: None}))
    assert row.cells["measured"].text == "50.0"
    assert "difference" not in row.cells
    assert row.data["difference"] is None


def test_a_failed_group_says_each_reason_once(results):
    for seed in range(3):
        results.fail("nce", "loss is nan" if seed else "out of memory", seed=seed)
    row = only_row(results, Line({KNN: 55.0}))
    assert (row.status, row.remedy) == ("failed", "out of memory; loss is nan")
    assert row.data["status"] == "failed"
    assert row.data["failures"].startswith("seed 0: out of memory; seed 1: loss is nan")
    assert row.data["epochs"] is None
    assert row.cells["published"].text == "55.0"
    assert "measured" not in row.cells


def test_seeds_that_other_groups_have_are_missed_with_the_command(results):
    for seed in range(3):
        results.add("invaspread", [60.0], seed=seed)
    results.add("nce", [50.0], changed={"noise": 64})
    few = {"noise": 64}
    results.fail("nce", "loss is nan", seed=1, changed=few, hyper_parameters=few)
    comparison = results.comparison()
    (group,) = [group for group in comparison.groups if group.method == "nce"]
    page = page_of(comparison)
    row = group_row(group, Line({KNN: None}), page)
    said = [page.notes.texts[place] for place in row.cells["method"].notes]
    assert "Seed 1 failed: loss is nan" in said
    (short,) = [text for text in said if text.startswith("1 of 3 seeds")]
    assert "--methods nce --set nce.noise=64" in short
    assert "--seeds 3" in short


def test_what_learns_from_labels_is_footnoted_and_marked_in_the_data(results):
    results.add("lifted", [60.0], uses_labels=True)
    comparison = results.comparison()
    page = page_of(comparison)
    row = group_row(comparison.groups[0], Line({KNN: None}), page)
    assert row.data["uses_labels"] is True
    assert any("upper bound" in page.notes.texts[place] for place in row.cells["method"].notes)


def test_a_missing_row_has_the_command_that_runs_its_variant():
    row = paper_tables.Row("NCE, few", "nce", {"noise": 64})
    found = missing_row(row, Line({KNN: 70.0}, name="NCE, few"), page_of(planned("digits", "x")))
    assert found.status == found.data["status"] == "missing"
    assert found.remedy == found.data["command"]
    assert "--methods nce --set nce.noise=64 --dataset digits" in found.remedy
    label = found.cells["method"]
    assert (label.text, label.code) == ("NCE, few", "nce (noise = 64)")
    assert found.cells["published"].value == 70.0


def test_a_quoted_row_can_not_be_run_and_says_whose_it_is():
    table = paper_tables.get(2)
    row = next(row for row in table.rows if row.quoted)
    page = page_of(planned("stl10", "stl10"))
    found = quoted_row(table, row, Line({KNN: 61.0}), page)
    assert found.data["status"] == "quoted"
    assert found.remedy == found.data["command"] == ""
    assert row.quoted in found.cells["method"].text
    (place,) = found.cells["method"].notes
    assert "paper" in page.notes.texts[place]


def test_further_representations_have_columns_beside_the_headlines(results):
    measured = {"knn@mine": {"value": 40.0, "unit": "percent", "protocol": "p@mine"}}
    folder = results.add("nce", [50.0])
    record = json.loads((folder / "run.json").read_text())
    record["final"]["measurements"] |= measured
    (folder / "run.json").write_text(json.dumps(record))
    names = list(side_columns(results.comparison()).values())
    assert names == [
        "knn@memory", "knn@features", "knn@mine",
        "linear@embedding", "linear@memory", "linear@features", "linear@mine",
    ]  # fmt: skip
    assert only_row(results, Line({KNN: None})).cells["knn@mine"].value == 40.0


def test_unseen_classes_have_no_columns_of_a_classifier(results):
    results.add("nce", [20.0], dataset="cub200", recipe="unseen-quick")
    names = side_columns(results.comparison()).values()
    assert list(names) == ["recall_at_1@memory", "recall_at_1@features"]
