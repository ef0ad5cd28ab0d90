from pathlib import Path

import pytest

from benchmarks.report.data import learning
from benchmarks.report.data.compare import planned
from benchmarks.report.sections import learning_speed
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

COMMANDS = Commands(Path("results"))


def rows(comparison):
    table = learning_speed.efficiency_table(comparison, COMMANDS)
    return {row.cells["method"].code: row for row in table.rows}


def test_measured_epochs_stand_beside_the_papers(results):
    results.add("invaspread", [50.0, 70.0], recipe="paper", seconds_per_epoch=10.0)
    cells = rows(results.comparison())["invaspread"].cells
    assert (cells["text_stated"].text, cells["digitised"].text) == ("2", "5.7")
    assert (cells["epochs_60"].text, cells["epochs_60"].aside) == ("1.5", "epoch 2")
    assert cells["images_60"].text == "150,000"
    assert cells["seconds_60"].text == "15.0"


def test_seeds_are_averaged_and_those_that_fall_short_counted(results):
    results.add("nce", [50.0, 70.0])
    results.add("nce", [40.0, 65.0], seed=1)
    results.add("nce", [40.0, 50.0], seed=2)
    found = rows(results.comparison())["nce"]
    assert found.cells["epochs_60"].text == "1.6 ± 0.2"
    assert found.cells["epochs_60"].aside == "epoch 2; 2 of 3 seeds"
    assert found.data["seeds_60"] == 2


def test_not_reached_is_said_with_the_best(results):
    results.add("nce", [50.0, 53.1, 52.0])
    cell = rows(results.comparison())["nce"].cells["epochs_60"]
    assert (cell.text, cell.aside, cell.value) == ("not reached", "best 53.1, epoch 2", None)


def test_above_the_target_at_the_first_evaluation_is_an_upper_bound(results):
    results.add("nce", [61.0, 70.0])
    assert rows(results.comparison())["nce"].cells["epochs_60"].text == "≤ 1.0"


def test_untrained_networks_are_left_out_and_failed_ones_say_why(results):
    results.add("random-cnn", [61.0])
    results.fail("triplet", "loss is nan")
    found = rows(results.comparison())
    assert "random-cnn" not in found
    assert found["triplet"].remedy == "loss is nan"


def test_methods_of_figure_3_that_were_not_run_are_missing():
    found = rows(planned("cifar10", "paper"))
    assert set(found) == set(paper_tables.FIGURE_3)
    assert found["nce"].remedy == "bench run --methods nce --dataset cifar10 --recipe paper"
    assert found["nce"].cells["digitised"].text == "30.6"


def test_a_variant_is_not_compared_with_the_papers_figure(results):
    results.add("invaspread", [50.0, 70.0], changed={"temperature": 0.05})
    found = rows(results.comparison())["invaspread (temperature = 0.05)"]
    assert "digitised" not in found.cells


def test_other_data_sets_have_only_their_own_target(results):
    results.add("nce", [60.0, 80.0], recipe="digits", dataset="digits")
    comparison = results.comparison()
    assert learning_speed.efficiency_table(comparison, COMMANDS) is None
    results.add("invaspread", [70.0, 90.0], recipe="digits", dataset="digits")
    table = learning_speed.efficiency_table(results.comparison(), COMMANDS)
    assert [c.key for c in table.shown] == ["method", "epochs_80", "images_80", "seconds_80"]
    assert "80 % comes from these runs" in table.general_notes[-1]
    assert not any("Figure 3" in note for note in table.general_notes)


def test_the_papers_points_need_its_network_images_and_method(results):
    results.add("invaspread", [50.0], recipe="paper", recipe_changed={"epochs": 2})
    results.add("invaspread", [50.0], recipe="paper", recipe_changed={"epochs": 2},
                changed={"temperature": 0.05})  # fmt: skip
    comparison = results.comparison()
    usual, variant = comparison.groups
    points = learning.published_points(usual, comparison)
    assert points == [(1, 33), (10, 68), (119, 80.1), (125, 82.3), (200, 84.4)]
    assert learning.published_points(variant, comparison) == []


@pytest.mark.parametrize("setting", [{"recipe": "quick"}, {"recipe": "paper", "dataset": "digits"}])
def test_there_are_no_points_for_other_networks_or_images(results, setting):
    results.add("invaspread", [50.0], **setting)
    comparison = results.comparison()
    assert learning.published_points(comparison.groups[0], comparison) == []


def test_curves_name_each_group(results):
    results.add("random-cnn", [30.0])
    results.add("nce", [20.0, None, 25.0])
    frame = learning.curves(results.comparison())
    assert frame[["label", "epoch", "knn"]].values.tolist() == [
        ["random-cnn", 0.0, 30.0],
        ["nce", 1.0, 20.0],
        ["nce", 3.0, 25.0],
    ]
    assert frame["knn_sd"].isna().all()


def test_ablations_have_no_curve_and_set_no_target(results):
    flip = {"augmentation.flip": 0.0}
    results.add("nce", [20.0, 30.0])
    results.add("invaspread", [50.0, 70.0], recipe_changed=flip)
    results.add("triplet", [50.0, 70.0], recipe_changed=flip)
    comparison = results.comparison()
    assert [group.method for group in learning.shown_groups(comparison)] == ["nce"]
    assert learning.curves(comparison)["label"].unique().tolist() == ["nce"]
    assert learning.own_target(comparison) is None
    assert rows(comparison)["invaspread"].status == "missing"


def test_unseen_classes_have_a_target_of_recall(results):
    for method, recall in (("nce", 41.0), ("invaspread", 46.0)):
        results.add(method, [20.0, recall], dataset="cub200", recipe="unseen-quick")
    table = learning_speed.efficiency_table(results.comparison(), COMMANDS)
    assert table.caption.startswith("Epochs, images and seconds to 40 % R@1 on cub200")
    assert [row.cells["epochs_40"].text for row in table.rows] == ["2.0", "1.8"]
    curves = learning.curves(results.comparison())
    assert curves["recall_at_1"].tolist() == [20.0, 41.0, 20.0, 46.0]


def test_what_learns_from_labels_sets_no_target(results):
    results.add("nce", [20.0, 41.0], dataset="cub200", recipe="unseen-quick")
    results.add("lifted", [20.0, 61.0], dataset="cub200", recipe="unseen-quick", uses_labels=True)
    assert learning.own_target(results.comparison()) is None
    results.add("invaspread", [20.0, 56.0], dataset="cub200", recipe="unseen-quick")
    assert learning.own_target(results.comparison()) == 40.0
