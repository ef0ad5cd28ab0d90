from statistics import stdev

import pytest

from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.quantity import Quantity, quantity_row
from benchmarks.report.document import Notes

AUC = Quantity("similarity_auc", "AUC (0 to 1) ↑", "AUC")
UNIFORM = Quantity("uniformity", "Uniformity ↓", decimals=1)


@pytest.mark.parametrize(
    ("quantity", "spread", "text"),
    [
        (AUC, Spread(0.5, None, 1), "0.500"),
        (AUC, Spread(0.12345, 0.0004, 2), "0.123 ± 0.000"),
        (UNIFORM, Spread(-3.06, 0.25, 3), "−3.1 ± 0.2"),
        (Quantity("k", "K", decimals=0), Spread(7.0, None, 1), "7"),
    ],
)
def test_a_cell_has_mean_and_deviation_and_is_sorted_by_the_mean(quantity, spread, text):
    cell = quantity.cell(spread)
    assert (cell.text, cell.value) == (text, spread.mean)


def test_words_are_the_title_without_unit_and_arrow():
    assert (AUC.words, UNIFORM.words) == ("auc", "uniformity")
    assert (AUC.column.key, AUC.column.short) == ("similarity_auc", "AUC")


def test_a_value_is_of_one_representation_over_the_seeds(results):
    for seed, value in enumerate((0.7, 0.9)):
        results.add("nce", [20.0], seed=seed, figures={"similarity_auc": value})
    (group,) = results.comparison().groups
    found = AUC.of(group, "embedding")
    assert (found.mean, found.n) == (pytest.approx(0.8), 2)
    assert found.sd == pytest.approx(stdev([0.7, 0.9]))
    assert AUC.of(group, "features") is None


def test_a_row_has_cells_of_what_was_measured_and_the_seeds_that_have_it(results):
    results.add("nce", [20.0], figures={"similarity_auc": 0.7})
    results.add("nce", [20.0], seed=1)  # an older record
    comparison = results.comparison()
    (group,) = comparison.groups
    values = {AUC: AUC.of(group, "embedding")}
    row = quantity_row(group, values, comparison, [AUC, UNIFORM], Notes())
    assert row.cells["method"].code == "nce"
    assert (row.cells["similarity_auc"].text, row.cells["seeds"].text) == ("0.700", "1")
    assert (row.data["similarity_auc"], row.data["similarity_auc_sd"]) == (0.7, None)
    assert row.data["seeds"] == 1
    assert len(row.data["runs"].split()) == 2
    assert "uniformity" not in row.data
    bare = quantity_row(group, {}, comparison, [], Notes())
    assert bare.cells["seeds"].text == "2"


def test_why_a_metric_has_no_value_is_a_footnote(results):
    reason = "expected two classes, found one"
    results.add("nce", [20.0], undefined={"similarity_auc@embedding": reason})
    comparison = results.comparison()
    notes = Notes()
    quantity_row(comparison.groups[0], {}, comparison, [AUC], notes)
    assert any(reason in text for text in notes.texts)
