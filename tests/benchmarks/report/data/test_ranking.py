from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.report.data import ranking
from evaluation.significance import nemenyi_critical_difference
from helpers.rankings import ACCURACIES, METHODS, RANKS, SETS, comparison_on, comparisons_of


def test_average_ranks_over_data_sets(results):
    found = ranking.ranking(comparisons_of(results))
    by_method = dict(zip(found.methods, found.ranks, strict=True))
    assert by_method == pytest.approx(dict(zip(METHODS, RANKS, strict=True)))
    assert found.critical_difference == nemenyi_critical_difference(4, 5)
    assert found.left_out == ()


def test_the_comparison_with_most_methods_stands_for_a_data_set(results):
    found = comparisons_of(results, ACCURACIES[:, :3], METHODS[:3])
    larger = dict(zip(METHODS, (1.0, 2.0, 3.0, 4.0), strict=True))
    chosen = ranking.ranking([*found, comparison_on(results, "cars", larger, recipe="paper")])
    assert [c.recipe["name"] for c in chosen.comparisons if c.dataset_name == "cars"] == ["paper"]
    assert set(chosen.methods) == set(METHODS[:3])
    assert chosen.left_out == ("triplet",)


def test_of_equal_comparisons_the_one_with_more_runs_counts_then_the_first(results):
    found = comparisons_of(results)
    again = dict.fromkeys(METHODS, 50.0)
    second = comparison_on(results, "cars", again, recipe="paper")
    assert ranking.ranking([*found, second]).comparisons == tuple(found)
    more = replace(
        second,
        groups=tuple(replace(group, runs=group.runs * 2) for group in second.groups),
    )
    assert any(c is more for c in ranking.ranking([*found, more]).comparisons)


def test_a_data_set_with_too_few_methods_does_not_spoil_the_rest(results):
    found = comparisons_of(results)
    assert len(ranking.ranking([*found, comparison_on(results, "tiny", {"nce": 9.0})]).methods) == 4


def test_a_method_stands_for_its_least_changed_variant(results):
    found = comparisons_of(results)
    own = type(results)(Path("variants"))
    own.add("nce", [10.0, 90.0], dataset="digits", changed={"noise": 64})
    for method, knn in zip(METHODS, ACCURACIES[0].tolist(), strict=True):
        own.add(method, [10.0, knn], dataset="digits", hyper_parameters={"noise": 4096})
    found[0] = replace(own.comparison(), dataset_name=SETS[0])
    by_method = dict(zip(METHODS, RANKS, strict=True))
    chosen = ranking.ranking(found)
    assert dict(zip(chosen.methods, chosen.ranks, strict=True)) == pytest.approx(by_method)


def test_an_ablation_does_not_stand_for_its_method(results):
    found = comparisons_of(results)
    own = type(results)(Path("ablated"))
    for method, knn in zip(METHODS, ACCURACIES[0].tolist(), strict=True):
        crop = {"augmentation.crop_scale": None} if method == "triplet" else None
        own.add(method, [10.0, knn], dataset="digits", recipe_changed=crop)
    found[0] = replace(own.comparison(), dataset_name=SETS[0])
    assert ranking.ranking(found).left_out == ("triplet",)


def test_what_learns_from_labels_is_not_ranked(results):
    found = comparisons_of(results)
    own = type(results)(Path("results-labelled"))
    for method, knn in zip(METHODS, ACCURACIES[0].tolist(), strict=True):
        own.add(method, [10.0, knn], dataset="digits", recipe="digits")
    own.add("lifted", [10.0, 99.0], dataset="digits", recipe="digits", uses_labels=True)
    mixed = [*found[1:], replace(own.comparison(), dataset_name="birds")]
    assert "lifted" not in ranking.ranking(mixed).methods + ranking.ranking(mixed).left_out


@pytest.mark.parametrize(
    ("values", "difference", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], 0.5, []),
        ([4.0, 1.0, 3.0, 2.0], 1.5, [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]),
        ([1.0, 2.0, 3.0, 4.0], 10.0, [(1.0, 4.0)]),
        ([1.0, 1.5, 1.8, 4.0], 1.0, [(1.0, 1.8)]),
        ([2.0, 2.0, 2.0], 0.1, [(2.0, 2.0)]),
        ([1.0, 2.0], 1.0, []),
        # Demšar, JMLR 2006, ranks of Table 6 with the critical difference 1.25 of four methods
        ([3.143, 2.0, 2.893, 1.964], 1.25, [(1.964, 3.143)]),
    ],
)
def test_bars_join_the_largest_groups_within_the_critical_difference(values, difference, expected):
    assert ranking.cliques(values, difference) == expected


def naive_bars(ranks, difference):
    """Return the largest groups of two ranks or more that span less than the difference."""
    ordered = sorted(ranks)
    count = len(ordered)
    spans = [(i, j) for i in range(count) for j in range(i + 1, count)
             if ordered[j] < ordered[i] + difference]  # fmt: skip
    largest = [
        (i, j) for i, j in spans
        if not any((a, b) != (i, j) and a <= i and j <= b for a, b in spans)
    ]  # fmt: skip
    return [(ordered[i], ordered[j]) for i, j in largest]


@pytest.mark.parametrize("seed", range(20))
def test_bars_are_those_of_a_search_through_all_groups(seed):
    random = np.random.default_rng(seed)
    values = np.round(random.uniform(1, 8, random.integers(1, 12)) * 4) / 4
    difference = float(random.uniform(0.1, 3))
    assert ranking.cliques(values.tolist(), difference) == naive_bars(values.tolist(), difference)


def test_too_little_is_no_ranking(results):
    assert ranking.ranking([]) is None
    assert ranking.ranking(comparisons_of(results)[:4]) is None
    assert ranking.ranking(comparisons_of(results, ACCURACIES[:, :2], METHODS[:2])) is None


def test_methods_that_share_too_few_data_sets_are_not_ranked(results):
    names = (METHODS[:3], (*METHODS[:2], "byol"))
    found = [
        comparison_on(results, name, dict(zip(names[place % 2], (1.0, 2.0, 3.0), strict=True)))
        for place, name in enumerate(SETS)
    ]
    assert ranking.ranking(found) is None
