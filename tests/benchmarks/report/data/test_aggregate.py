import statistics

import numpy as np
import pytest

from benchmarks.report.data import aggregate
from benchmarks.report.data.compare import compare
from benchmarks.runs import paper_tables
from benchmarks.runs.store import read_all

KNN, RECALL = "knn@embedding", "recall_at_1@embedding"


def group_of(results):
    (comparison,) = compare(read_all(results.path, warn=pytest.fail))
    (group,) = comparison.groups
    return group


def test_spread_is_mean_and_sample_deviation_of_what_is_there():
    values = [53.0, 54.5, 52.1]
    found = aggregate.spread([*values, None, float("nan")])
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert found.n == 3
    assert str(found) == "53.2 ± 1.2"


def test_one_value_has_no_deviation_and_none_no_spread():
    assert str(aggregate.spread([53.04])) == "53.0"
    assert aggregate.spread([None]) is None


def test_figures_are_taken_over_seeds(results):
    results.add("nce", [40.0, 30.0], figures={"memory_knn": 20.0})
    results.add("nce", [41.0, 34.0], seed=1, figures={"memory_knn": 22.0})
    group = group_of(results)
    assert aggregate.final(group, KNN).mean == 32.0
    assert aggregate.best(group, KNN).mean == 40.5
    assert aggregate.final(group, "knn@memory").mean == 21.0
    assert aggregate.final(group, "knn@features") is None
    assert aggregate.highest(group, KNN) == (41.0, 1)


def test_a_curve_holds_the_epochs_that_every_seed_evaluated(results):
    results.add("nce", [10.0, None, 30.0, 40.0])
    results.add("nce", [12.0, 20.0, None, 44.0], seed=1, seconds_per_epoch=20.0)
    curve = aggregate.curve(group_of(results), KNN)
    assert curve["epoch"].tolist() == [1, 4]
    assert curve["knn"].tolist() == [11.0, 42.0]
    assert curve["knn_sd"].tolist() == pytest.approx([np.sqrt(2), np.sqrt(8)])
    assert curve["train_seconds"].tolist() == [15.0, 60.0]


def test_without_evaluation_there_is_no_curve(results):
    results.add("nce", [None, None], dataset="folder")
    group = group_of(results)
    assert aggregate.curve(group, KNN).empty
    assert aggregate.final(group, KNN) is None
    assert aggregate.highest(group, KNN) is None


@pytest.mark.parametrize("target", [25.0, 31.0, 47.0, 58.0, 60.0])
def test_crossing_is_interpolated_between_evaluated_epochs(results, target):
    knn = [20.0, None, 32.0, 47.0, None, None, 60.0]
    results.add("nce", knn, seconds_per_epoch=7.0)
    found = aggregate.crossing(group_of(results).runs[0], KNN, target)
    epochs, values = zip(*[(e, v) for e, v in enumerate(knn, 1) if v is not None], strict=True)
    expected = np.interp(target, values, epochs)
    assert found.epoch == pytest.approx(expected)
    assert found.train_seconds == pytest.approx(7.0 * expected)
    assert found.images_seen == pytest.approx(100_000 * expected)
    assert found.first_evaluated == min(
        e for e, v in zip(epochs, values, strict=True) if v >= target
    )


def test_the_first_crossing_counts_when_a_curve_falls_again(results):
    results.add("nce", [20.0, 40.0, 20.0, 40.0])
    assert aggregate.crossing(group_of(results).runs[0], KNN, 30.0).epoch == 1.5


def test_crossing_at_the_first_evaluation_and_never(results):
    results.add("nce", [50.0, 55.0])
    (run,) = group_of(results).runs
    assert aggregate.crossing(run, KNN, 40.0).epoch == 1.0
    assert aggregate.crossing(run, KNN, 56.0) is None


def test_several_values_have_an_interval_and_one_has_none():
    values = [53.0, 54.5, 52.1]
    reach = 4.302653 * statistics.stdev(values) / np.sqrt(3)  # t with 2 degrees of freedom, 97.5 %
    found = aggregate.spread(values)
    assert found.interval == pytest.approx((found.mean - reach, found.mean + reach), abs=1e-5)
    assert aggregate.spread([53.0, None]).interval is None


def unseen_group(results):
    results.add("nce", [30.0, None, 44.0, 42.0], dataset="cub200", recipe="unseen-quick")
    results.add("nce", [32.0, None, 40.0, 46.0], dataset="cub200", recipe="unseen-quick", seed=1)
    (group,) = results.comparison().groups
    return group


def test_unseen_classes_are_compared_by_recall(results):
    group = unseen_group(results)
    record = group.runs[0].record
    assert record.headline_metric == paper_tables.RECALL_AT_1
    assert record.value("recall_at_1") == 42.0
    assert record.value("knn") is None
    assert aggregate.final(group, RECALL).mean == 44.0
    assert aggregate.final(group, KNN) is None
    assert aggregate.best(group, RECALL).mean == 45.0
    assert aggregate.highest(group, RECALL) == (46.0, 4)


def test_a_curve_of_unseen_classes_holds_recall(results):
    group = unseen_group(results)
    curve = aggregate.curve(group, RECALL)
    assert list(curve)[:3] == ["epoch", "recall_at_1", "recall_at_1_sd"]
    assert curve["epoch"].tolist() == [1, 3, 4]
    assert curve["recall_at_1"].tolist() == [31.0, 42.0, 44.0]
    assert aggregate.crossing(group.runs[0], RECALL, 37.0).epoch == pytest.approx(2.0)


def test_a_figure_of_seen_classes_is_the_knn_accuracy_unless_another_is_asked_for(results):
    results.add("nce", [40.0], figures={"linear": 50.0, "recall_at_1": 10.0})
    (group,) = results.comparison().groups
    assert results.comparison().key == KNN
    assert aggregate.final(group, "knn").mean == 40.0  # of the headline representation
    assert aggregate.final(group, "linear@embedding").mean == 50.0
    assert aggregate.final(group, "nmi@embedding") is None
