import pytest

from benchmarks.report.data import paper_rows
from benchmarks.report.data.compare import planned
from benchmarks.runs import paper_tables

CROP = {"augmentation.crop_scale": None}


def rows_filled(number, comparison):
    found = paper_rows.filled(paper_tables.get(number), comparison)
    return [row.published for row, groups in found for _ in groups]


def further(number, comparison):
    return [group.label for group in paper_rows.further(paper_tables.get(number), comparison)]


@pytest.mark.parametrize(
    ("setting", "rows"),
    [
        ({}, {1: ["Ours"], 7: ["Full"], 8: ["Full"]}),
        ({"recipe_changed": CROP}, {1: [], 7: ["w/o R"], 8: []}),
        ({"recipe_changed": {"augmentation.grayscale": 0.0}}, {1: [], 7: ["w/o G"], 8: []}),
        (
            {"recipe_changed": {"augmentation.jitter_probability": 0.0}},
            {1: [], 7: ["w/o C"], 8: []},
        ),
        (
            {"recipe_changed": paper_tables.without(*paper_tables.TRANSFORMS)},
            {1: [], 7: [], 8: ["No DA"]},
        ),
        ({"changed": {"negatives": "hard"}}, {1: [], 7: [], 8: ["Hard"]}),
        ({"changed": {"negatives": "easy"}, "recipe_changed": CROP}, {1: [], 7: [], 8: []}),
    ],
)
def test_a_run_fills_the_rows_that_ask_for_it(results, setting, rows):
    results.add("invaspread", [30.0], **setting)
    comparison = results.comparison()
    assert {number: rows_filled(number, comparison) for number in rows} == rows


@pytest.mark.parametrize(
    ("setting", "table"),
    [
        ({"changed": {"temperature": 0.05}}, 1),
        ({"changed": {"negatives": "hard", "scaling": "authors"}}, 8),
        ({"recipe_changed": {"augmentation.hue": 0.1}}, 7),
        ({"changed": {"temperature": 0.05}, "recipe_changed": CROP}, 7),
        (
            {
                "changed": {"scaling": "authors"},
                "recipe_changed": paper_tables.without(*paper_tables.TRANSFORMS),
            },
            8,
        ),
    ],
)
def test_what_fills_no_row_is_listed_in_the_nearest_table_only(results, setting, table):
    results.add("invaspread", [30.0], **setting)
    comparison = results.comparison()
    listed = {number: len(further(number, comparison)) for number in (1, 7, 8)}
    assert listed == {1: 0, 7: 0, 8: 0, table: 1}


def test_another_method_is_listed_in_the_first_table(results):
    results.add("somebody-elses", [30.0])
    assert further(1, results.comparison()) == ["somebody-elses"]
    assert further(7, results.comparison()) == []


def test_rows_of_a_split_take_only_its_runs(results):
    results.add("invaspread", [30.0], dataset="stl10", split="train+unlabeled")
    comparison = results.comparison()
    assert rows_filled(2, comparison) == ["Ours (105K)"]
    assert further(2, comparison) == []


def test_a_recipe_that_leaves_a_transform_out_anyway_fills_the_row_with_its_full_run(results):
    results.add("invaspread", [30.0], recipe="digits")
    assert rows_filled(7, results.comparison()) == ["Full", "w/o G", "w/o F"]


def test_a_table_is_begun_by_more_than_the_row_it_shares(results):
    assert not any(
        paper_rows.begun(t, planned("cifar10", "quick")) for t in paper_tables.on("cifar10")
    )
    results.add("invaspread", [30.0])
    begun = [
        t.number for t in paper_tables.on("cifar10") if paper_rows.begun(t, results.comparison())
    ]
    assert begun == [1]
    results.add("invaspread", [30.0], recipe_changed=CROP)
    begun = [
        t.number for t in paper_tables.on("cifar10") if paper_rows.begun(t, results.comparison())
    ]
    assert begun == [1, 7]


@pytest.mark.parametrize(
    ("recipe", "filled"), [("unseen", 4), ("unseen-scratch", 6), ("unseen-quick", 6)]
)
def test_tables_of_one_data_set_are_told_apart_by_how_the_network_starts(results, recipe, filled):
    for method in ("invaspread", "somebody-elses"):
        results.add(method, [30.0], dataset="products", recipe=recipe)
    comparison = results.comparison()
    other = 10 - filled
    assert rows_filled(filled, comparison) == ["Ours"]
    assert rows_filled(other, comparison) == []
    assert further(filled, comparison) == ["somebody-elses"]
    assert further(other, comparison) == []
    assert paper_rows.begun(paper_tables.get(filled), comparison)
    assert not paper_rows.begun(paper_tables.get(other), comparison)


def test_a_table_alone_on_its_data_set_takes_runs_from_scratch(results):
    results.add("invaspread", [10.0], dataset="cub200", recipe="unseen-quick")
    assert rows_filled(3, results.comparison()) == ["Ours"]
