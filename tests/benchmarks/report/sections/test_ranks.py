import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.report.data import ranking
from benchmarks.report.render import plot_style, rank_diagram
from benchmarks.report.sections import ranks
from benchmarks.runs import paper_tables
from evaluation.significance import friedman, nemenyi_critical_difference

METHODS = ("invaspread", "nce", "exemplar", "triplet")
SETS = ("birds", "cars", "digits", "products", "stl10")
ACCURACIES = np.array(
    [
        [60.0, 50.0, 55.0, 20.0],
        [61.0, 52.0, 50.0, 25.0],
        [70.0, 71.0, 50.0, 45.0],
        [55.0, 50.0, 50.0, 35.0],
        [48.0, 41.0, 42.0, 30.0],
    ]
)
RANKS = [6 / 5, 11.5 / 5, 12.5 / 5, 20 / 5]


def comparison_on(results, dataset, accuracies, **options):
    """Return a comparison with the last kNN accuracy of each method, in a folder of its own."""
    count = len(list(Path().iterdir()))
    own = type(results)(Path(f"results-{count}"))
    for method, knn in accuracies.items():
        own.add(method, [10.0, knn], dataset="digits", **options)
    return replace(own.comparison(), dataset_name=dataset)


def comparisons_of(results, accuracies=ACCURACIES, methods=METHODS, names=SETS):
    return [
        comparison_on(results, name, dict(zip(methods, row, strict=True)))
        for name, row in zip(names, accuracies.tolist(), strict=True)
    ]


def test_average_ranks_over_data_sets(results):
    found = ranking.ranking(comparisons_of(results))
    by_method = dict(zip(found.methods, found.ranks, strict=True))
    assert by_method == pytest.approx(dict(zip(METHODS, RANKS, strict=True)))
    assert found.critical_difference == nemenyi_critical_difference(4, 5)
    assert found.left_out == ()


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


def test_a_method_that_a_data_set_lacks_is_left_out_and_named(results):
    found = comparisons_of(results)
    found[2] = comparison_on(results, SETS[2], dict(zip(METHODS[:3], (3.0, 2.0, 1.0), strict=True)))
    section = ranks.section(found)
    assert any("lack them: `triplet`" in text for text in section.texts)
    assert len(section.tables[0].rows) == 3


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


def test_drawing_twice_gives_the_same_file_with_ids_of_its_own(results):
    found = ranking.ranking(comparisons_of(results))
    assert rank_diagram.draw(found, "one") == rank_diagram.draw(found, "one")
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


def test_unseen_classes_are_ranked_by_recall_and_the_text_says_so(results):
    found = comparisons_of(results)
    own = type(results)(Path("results-unseen"))
    for method, recall in zip(METHODS, ACCURACIES[0].tolist(), strict=True):
        own.add(method, [10.0, recall], dataset="cub200", recipe="unseen-quick")
    section = ranks.section([*found[1:], own.comparison()])
    assert section.texts[0].startswith("Methods ranked by kNN accuracy or R@1 (mean over seeds)")
    assert section.tables[0].caption == "Average ranks and kNN accuracy or R@1 (%) on 5 data sets"
    assert ranks.section(found).texts[0].startswith("Methods ranked by kNN accuracy (mean")
