import numpy as np
import pytest
import torch

from evaluation.metrics.retrieval import (
    lone_images,
    map_at_r,
    recall_at_k,
    retrieval_metrics,
)
from evaluation.undefined import Undefined


def naive_recall(embeddings, labels, k):
    hits = 0
    rows = [row / np.linalg.norm(row) for row in embeddings.astype(np.float64)]
    for i, query in enumerate(rows):
        others = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -(query @ rows[j]))
        hits += any(labels[j] == labels[i] for j in others[:k])
    return 100.0 * hits / len(rows)


def naive_map_at_r(embeddings, labels):
    rows = [row / np.linalg.norm(row) for row in embeddings.astype(np.float64)]
    scores = []
    for i, query in enumerate(rows):
        others = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -(query @ rows[j]))
        relevant = sum(labels[j] == labels[i] for j in others)
        found, score = 0, 0.0
        for rank, j in enumerate(others[:relevant], start=1):
            if labels[j] == labels[i]:
                found += 1
                score += found / rank
        if relevant:
            scores.append(score / relevant)
    return 100.0 * sum(scores) / len(scores)


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


@pytest.mark.parametrize("metric", [recall_at_k, map_at_r])
def test_nothing_is_retrieved_where_every_image_is_alone(metric):
    points, _ = problem()
    with pytest.raises(Undefined, match="every image is alone in its class"):
        metric(points, np.arange(len(points)))
    found = retrieval_metrics(points, np.arange(len(points)), (1, 79))
    assert found == {}
    assert found.undefined.keys() == {"recall_at_1", "recall_at_79", "map_at_r"}


@pytest.mark.parametrize("lone", [1, 5, 40])
def test_images_alone_in_their_class_are_found_but_do_not_ask(lone):
    points, labels = problem()
    labels[:lone] = 1000 + np.arange(lone)
    asking = (labels[:, None] == labels).sum(axis=1) > 1
    # the naive loop counts a lone image as a miss
    expected = naive_recall(points, labels, 2) * len(labels) / asking.sum()
    assert recall_at_k(points, labels, (2,)) == {2: pytest.approx(expected)}
    found = retrieval_metrics(points, labels, (2,))
    assert found["recall_at_2"] == pytest.approx(expected)
    assert lone_images(labels) == (~asking).sum()
    for caveat in (found.caveats["recall_at_2"], found.caveats["map_at_r"]):
        assert f"{lone_images(labels)} of 80 images are alone" in caveat


def test_a_k_that_takes_in_every_other_image_is_said():
    points, labels = problem(rows=9)
    labels[:] = np.arange(9) % 3
    caveats = retrieval_metrics(points, labels, (1, 8, 9)).caveats
    assert caveats.keys() == {"recall_at_8", "recall_at_9"}
    assert not retrieval_metrics(*problem()).undefined


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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_map_at_r_equals_a_naive_loop(seed):
    points, labels = problem(seed=seed)
    labels[:3] = 1000, 1001, 1002  # alone in their classes
    score = map_at_r(points, labels)
    assert score == pytest.approx(naive_map_at_r(points, labels), abs=1e-9)
    assert 0.0 < score < 100.0


def test_map_at_r_of_a_ranking_by_hand():
    angles = np.radians([0.0, 4.0, 10.0, 20.0, 80.0])
    points, labels = np.stack([np.cos(angles), np.sin(angles)], axis=1), [1, 1, 0, 1, 1]
    # R = 3; from 0, 4 and 80 degrees right, wrong, right; from 20 wrong, right, right
    expected = [(1 / 1 + 2 / 3) / 3] * 3 + [(1 / 2 + 2 / 3) / 3]
    assert map_at_r(points, labels) == pytest.approx(100 * np.mean(expected))


def test_limits_of_map_at_r():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    apart = 10.0 * np.eye(10)[labels] + rng.standard_normal((1000, 10))
    assert map_at_r(apart, labels) == 100.0
    assert map_at_r(apart, np.zeros(1000, int)) == 100.0
    # the other image of each pair is in another blob
    assert map_at_r(apart, np.arange(1000) % 500) == 0.0
    # chance: p^2 + p (1 - p) (1 + 1/2 + .. + 1/R) / R with p = 0.1 and R = 99
    assert map_at_r(apart, rng.permutation(labels)) == pytest.approx(1.47, abs=0.3)


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_collapsed_network_retrieves_by_chance(value, shuffled):
    labels = np.repeat(np.arange(10), 30)
    if shuffled:
        labels = np.random.default_rng(0).permutation(labels)
    assert map_at_r(np.full((300, 8), value), labels) <= 12.0


def test_alone_in_a_class_is_left_out():
    points = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    assert map_at_r(points, [4, 4, 7]) == 100.0
    assert recall_at_k(points, [4, 4, 7], ks=(1,)) == {1: 100.0}


def test_an_image_is_not_its_own_class():
    points = np.repeat(np.random.default_rng(0).standard_normal((60, 8)), 2, axis=0)
    # each image's copy is of another class, so that rank 1 is always wrong
    labels = np.tile([0, 1], 60)
    assert map_at_r(points, labels) <= 100 * (1 - 1 / 59)
    assert map_at_r(points, np.repeat(np.arange(60), 2)) == 100.0


@pytest.mark.parametrize("ks", [(1, 2, 4, 8), (79,), (5, 1, 5000)])
def test_one_search_gives_the_same_figures(ks):
    points, labels = problem()
    figures = retrieval_metrics(points, labels, ks)
    assert list(figures) == [*(f"recall_at_{k}" for k in ks), "map_at_r"]
    assert figures.pop("map_at_r") == map_at_r(points, labels)
    assert list(figures.values()) == list(recall_at_k(points, labels, ks).values())


@pytest.mark.parametrize("cells", [1, 100, 1000])
def test_chunks_of_queries_do_not_matter(cells):
    points, labels = problem()
    expected = retrieval_metrics(points, labels)
    assert retrieval_metrics(points, labels, cells=cells) == expected


def test_two_images():
    points = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert retrieval_metrics(points, [3, 3], ks=(1,)) == {"recall_at_1": 100.0, "map_at_r": 100.0}


@pytest.mark.parametrize("judge", [map_at_r, retrieval_metrics])
@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (np.full((3, 2), np.nan), [0, 0, 1], "embeddings: expected finite values, found 3 rows"),
        (np.ones((1, 2)), [0], "embeddings: expected at least 2 rows, found 1"),
        (np.ones((3, 2)), [0, 1], r"labels: expected shape \(3,\)"),
    ],
)
def test_what_cannot_be_searched(judge, points, labels, message):
    with pytest.raises(ValueError, match=message):
        judge(points, labels)
