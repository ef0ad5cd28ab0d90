from benchmarks.report.data import csv_row
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.compare import planned
from benchmarks.report.data.comparison import Group


def test_each_value_has_a_mean_and_a_deviation_in_order():
    found = csv_row.numbers({"b": Spread(50.0, 1.5, 3), "a": Spread(0.0, None, 1), "none": None})
    assert list(found.items()) == [
        ("b", 50.0), ("b_sd", 1.5), ("a", 0.0), ("a_sd", None), ("none", None), ("none_sd", None),
    ]  # fmt: skip
    assert csv_row.numbers({}) == {}


def test_a_row_names_its_group_and_the_runs_that_it_was_made_from(results):
    folders = [results.add("nce", [20.0], seed=seed, changed={"noise": 64}) for seed in (1, 0)]
    comparison = results.comparison()
    (group,) = comparison.groups
    assert csv_row.of_group(group) == {"method": "nce", "label": "nce (noise = 64)"}
    assert csv_row.origin(group, comparison) == {
        "dataset": "cifar10", "recipe": "quick", "runs": f"{folders[1].name} {folders[0].name}",
    }  # fmt: skip


def test_a_group_without_runs_has_an_empty_origin():
    assert csv_row.origin(Group("nce", {}, {}), planned("digits", "digits"))["runs"] == ""
