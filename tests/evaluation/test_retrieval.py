import numpy as np
import pytest
import torch

from evaluation.retrieval import recall_at_k


def naive_recall(embeddings, labels, k):
    hits = 0
    rows = [row / np.linalg.norm(row) for row in embeddings.astype(np.float64)]
    for i, query in enumerate(rows):
        others = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -(query @ rows[j]))
        hits += any(labels[j] == labels[i] for j in others[:k])
    return 100.0 * hits / len(rows)


def problem(rows=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-6, 6, rows) * 10
    points = 0.6 * rng.standard_normal((12, 6))[labels // 10] + rng.standard_normal((rows, 6))
    return points, labels


@pytest.mark.parametrize("ks", [(1, 2, 4, 8), (1, 10, 100), (3,)])
def test_recall_equals_a_naive_loop(ks):
    points, labels = problem()
    recall = recall_at_k(points, labels, ks)
    assert recall == {k: pytest.approx(naive_recall(points, labels, k)) for k in ks}


def test_defaults_and_order():
    points, labels = problem()
    assert list(recall_at_k(points, labels)) == [1, 2, 4, 8]
    assert list(recall_at_k(points, labels, iter((4, 1)))) == [4, 1]


def test_recall_grows_with_k_and_is_not_trivial():
    values = list(recall_at_k(*problem(), ks=(1, 2, 4, 8, 79)).values())
    assert values == sorted(values)
    assert 0.0 < values[0] < values[-2] < 100.0


@pytest.mark.parametrize("rows", [4, 500])
def test_an_image_does_not_find_itself(rows):
    # pairs of identical embeddings with different labels: every first neighbour is wrong
    points = np.repeat(np.random.default_rng(0).standard_normal((rows, 8)), 2, axis=0)
    assert recall_at_k(points, np.tile([0, 1], rows), ks=(1,)) == {1: 0.0}


def test_an_image_finds_its_copy():
    points = np.repeat(np.random.default_rng(0).standard_normal((50, 8)), 2, axis=0)
    assert recall_at_k(points, np.repeat(np.arange(50), 2), ks=(1,)) == {1: 100.0}


def test_classes_of_one_always_miss():
    points, _ = problem()
    assert recall_at_k(points, np.arange(len(points)), ks=(1, 79)) == {1: 0.0, 79: 0.0}


def test_k_beyond_the_others_counts_them_all():
    points, labels = problem()
    recall = recall_at_k(points, labels, ks=(79, 5000))
    assert recall[79] == recall[5000]


def test_a_single_class_and_a_collapsed_network_have_a_value():
    points, labels = problem()
    assert recall_at_k(points, np.zeros(len(points), int)) == dict.fromkeys((1, 2, 4, 8), 100.0)
    collapsed = np.ones_like(points)
    assert recall_at_k(collapsed, labels) == recall_at_k(collapsed, labels)


def test_cosine_ignores_norms():
    points, labels = problem()
    norms = np.random.default_rng(2).uniform(0.01, 50.0, (len(points), 1))
    assert recall_at_k(points * norms, labels) == recall_at_k(points, labels)


def test_bf16_tensors_with_gradient():
    points, labels = problem()
    tensor = torch.from_numpy(points).bfloat16().requires_grad_()
    assert recall_at_k(tensor, torch.from_numpy(labels)) == recall_at_k(
        tensor.detach().float().numpy(), labels
    )


@pytest.mark.parametrize(
    ("rows", "labels", "ks", "message"),
    [
        (5, 4, (1,), r"labels: expected shape \(5,\), one label per row of embeddings, .*\(4,\)"),
        (5, 5, (1, 0), "ks: expected an integer of at least 1, got 0"),
        (5, 5, (), "ks: expected at least one"),
        (1, 1, (1,), "embeddings: expected at least 2 rows, found 1"),
    ],
)
def test_bad_arguments(rows, labels, ks, message):
    with pytest.raises(ValueError, match=message):
        recall_at_k(np.ones((rows, 3)), np.zeros(labels, int), ks)
