import pytest

from benchmarks.evaluator import metric_names
from benchmarks.evaluator.metric_names import KNN, LINEAR, NMI, RECALL_AT_1


@pytest.mark.parametrize(
    ("metric", "representation", "name"),
    [("knn", "embedding", "knn@embedding"), ("loss", "", "loss"), ("a_b", "layer3", "a_b@layer3")],
)
def test_a_name_is_a_metric_and_a_representation_and_can_be_split_again(
    metric, representation, name
):
    assert metric_names.of(metric, representation) == name
    assert metric_names.split(name) == (metric, representation)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("knn", "percent"),
        ("knn@features", "percent"),
        ("recall_at_1000@embedding", "percent"),
        ("uniformity@embedding", "nats"),
        ("alignment", "squared distance"),
        ("attribute_auc_can_fly@embedding", "fraction"),
        ("assignment_test_best", "percent"),
        ("images_seen", "count"),
        ("loss", ""),
        ("linear_c@embedding", ""),
        ("somebody's own", ""),
        ("", ""),
    ],
)
def test_units(name, unit):
    assert metric_names.unit(name) == unit


@pytest.mark.parametrize(
    "name", ["knn", "nmi", "recall_at_8", "attribute_overlap_animal", "assignment_train_mean"]
)
def test_metrics_of_embeddings_are_known_by_their_bare_names(name):
    assert metric_names.of_embeddings(name)
    assert not metric_names.of_embeddings(f"{name}@embedding")


@pytest.mark.parametrize(
    "name", ["loss", "lr", "recall_at_", "recall_at_x", "xrecall_at_1", "attribute_auc_", "own", ""]
)
def test_all_else_is_of_no_embedding(name):
    assert not metric_names.of_embeddings(name)


def test_unseen_classes_are_compared_by_recall_since_none_can_vote_on_them():
    assert metric_names.headline(unseen=True) == RECALL_AT_1
    assert metric_names.headline(unseen=False) == KNN


def test_recalls_start_with_the_first_neighbour_and_are_named_by_their_k():
    found = metric_names.recall_at(2, 100)
    assert [m.published for m in found] == ["R@1", "R@2", "R@100"]
    assert [m.of("embedding") for m in found][1:] == [
        "recall_at_2@embedding", "recall_at_100@embedding",
    ]  # fmt: skip
    assert metric_names.recall_at() == (RECALL_AT_1,)


def test_columns_of_metrics_that_are_not_compared_by_have_a_suffix_of_their_own():
    assert KNN.suffix == RECALL_AT_1.suffix == ""
    suffixes = [m.suffix for m in (LINEAR, NMI, *metric_names.recall_at(2, 4)[1:])]
    assert all(suffixes)
    assert len(set(suffixes)) == len(suffixes)
