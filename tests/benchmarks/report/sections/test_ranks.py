from pathlib import Path

import numpy as np

from benchmarks.report.sections import ranks
from evaluation.significance import friedman, nemenyi_critical_difference
from helpers.rankings import ACCURACIES, METHODS, SETS, comparison_on, comparisons_of


def test_the_chapter_shows_ranks_accuracies_and_the_test(results):
    section = ranks.section(comparisons_of(results))
    (table,), (plot,) = section.tables, section.plots
    shown = [(row.cells["method"].code, row.cells["rank"].text) for row in table.rows]
    assert shown == [
        ("invaspread", "1.20"), ("nce", "2.30"), ("exemplar", "2.50"), ("triplet", "4.00")
    ]  # fmt: skip
    assert [row.best for row in table.rows] == [True, False, False, False]
    assert table.rows[2].cells["on cars"].text == "50.0"
    assert table.rows[2].data["cars"] == 50.0
    test = friedman(ACCURACIES)
    said = " ".join(section.texts)
    assert f"F(3, 12) = {test.f:.2f}, p < 0.001: the methods differ" in said
    assert f"by {nemenyi_critical_difference(4, 5):.2f} or more" in said
    assert all(f"{name} (recipe quick)" in said for name in SETS)
    assert "the one with most methods" in said
    assert said.count("`") % 2 == 0
    assert plot.slug != table.slug


def test_without_a_difference_the_text_warns(results):
    accuracies = np.array([[3, 2, 1], [1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2.0]])
    section = ranks.section(comparisons_of(results, accuracies, METHODS[:3]))
    assert "no difference is shown, so read no order into it" in " ".join(section.texts)


def test_a_perfect_agreement_of_all_data_sets_is_defined(results):
    accuracies = np.tile([30.0, 20.0, 10.0], (5, 1))
    section = ranks.section(comparisons_of(results, accuracies, METHODS[:3]))
    assert "= infinite, p < 0.001" in " ".join(section.texts)


def test_fewer_than_five_data_sets_or_three_methods_are_nothing(results):
    assert not ranks.section([])
    assert not ranks.section(comparisons_of(results, ACCURACIES[:4], METHODS, SETS[:4]))
    assert not ranks.section(comparisons_of(results, ACCURACIES[:, :2], METHODS[:2]))


def test_two_recipes_of_a_data_set_are_one_data_set(results):
    four = comparisons_of(results, ACCURACIES[:4], METHODS, SETS[:4])
    paper = dict.fromkeys(METHODS, 50.0)
    assert not ranks.section([*four, comparison_on(results, "cars", paper, recipe="paper")])


def test_a_method_that_a_data_set_lacks_is_left_out_and_named(results):
    found = comparisons_of(results)
    found[2] = comparison_on(results, SETS[2], dict(zip(METHODS[:3], (3.0, 2.0, 1.0), strict=True)))
    section = ranks.section(found)
    assert any("lack them: `triplet`" in text for text in section.texts)
    assert len(section.tables[0].rows) == 3


def test_unseen_classes_are_ranked_by_recall_and_the_text_says_so(results):
    found = comparisons_of(results)
    own = type(results)(Path("results-unseen"))
    for method, recall in zip(METHODS, ACCURACIES[0].tolist(), strict=True):
        own.add(method, [10.0, recall], dataset="cub200", recipe="unseen-quick")
    section = ranks.section([*found[1:], own.comparison()])
    assert section.texts[0].startswith("Methods ranked by kNN accuracy or R@1 (mean over seeds)")
    assert section.tables[0].caption == "Average ranks and kNN accuracy or R@1 (%) on 5 data sets"
    assert ranks.section(found).texts[0].startswith("Methods ranked by kNN accuracy (mean")
