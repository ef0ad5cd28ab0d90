import numpy as np
import pytest
import torch
from torch import nn

from helpers.arrays import gaussian
from methods import Batch
from methods.testing.toy import Trial, toy_encoder
from methods.triplet import Triplet, pair_distance, triplet_loss


def distance_of(kind, first, second):
    if kind == "cosine":
        return 1 - first @ second / (first.norm() * second.norm())
    squared = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    return squared if kind == "sqeuclidean" else squared.sqrt()


def naive(anchors, positives, negatives, margin, distance):
    losses = []
    for anchor, positive, rows in zip(anchors, positives, negatives, strict=True):
        near = distance_of(distance, anchor, positive)
        for negative in rows if rows.ndim == 2 else [rows]:
            gap = margin + near - distance_of(distance, anchor, negative)
            losses.append(torch.relu(gap))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("negatives", [(5, 4), (5, 3, 4)], ids=["one", "several"])
def test_value_and_gradient_are_those_of_a_loop(distance, negatives):
    results = []
    for function in (triplet_loss, naive):
        leaves = [gaussian(5, 4), gaussian(5, 4, seed=1), gaussian(*negatives, seed=2)]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        if function is triplet_loss:
            loss = triplet_loss(*leaves, 0.5, distance=distance)
        else:
            loss = naive(*leaves, 0.5, distance)
        results.append((loss, *torch.autograd.grad(loss, leaves)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_default_distance_is_not_squared():
    rows = [torch.tensor([values]) for values in ([0.0, 0.0], [0.0, 0.3], [0.4, 0.0])]
    assert triplet_loss(*rows, 0.5).item() == pytest.approx(0.5 + 0.3 - 0.4)


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "cosine"])
def test_a_collapsed_embedding_loses_the_margin_with_a_finite_gradient(distance):
    rows = torch.ones(3, 4, requires_grad=True)
    loss = triplet_loss(rows, rows, rows, 0.5, distance=distance)
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert rows.grad.isfinite().all()


def test_separated_triplets_lose_nothing():
    anchors = torch.eye(3)
    assert triplet_loss(anchors, anchors, anchors.roll(1, 0), 0.5).item() == 0


def test_near_pairs_keep_their_distance_in_fp32():
    first = torch.zeros(1, 4)
    first[0, 0] = 1
    second = first.clone()
    second[0, 1] = 1e-4
    assert pair_distance(first, second, "euclidean").item() == pytest.approx(1e-4, rel=1e-3)


def test_arrays_are_accepted():
    rows = [gaussian(5, 4, seed=seed) for seed in range(3)]
    found = triplet_loss(*(row.numpy() for row in rows), 0.5)
    torch.testing.assert_close(found, triplet_loss(*rows, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positives": np.zeros((5, 3))}, r"positives: expected shape \(5, 4\), got \(5, 3\)"),
        ({"negatives": np.zeros((2, 3, 4))}, r"negatives: expected shape \(5, k, 4\), got"),
        ({"margin": 0}, "margin: expected"),
        ({"distance": "manhattan"}, "distance: expected 'euclidean' or 'sqeuclidean' or 'cosine'"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    rows = {name: np.ones((5, 4)) for name in ("anchors", "positives", "negatives")}
    with pytest.raises(ValueError, match=message):
        triplet_loss(**rows | {"margin": 0.5} | changes)


@pytest.mark.parametrize("option", [{"margin": -1.0}, {"distance": "x"}, {"negatives": "hard"}])
def test_the_constructor_refuses_wrong_options(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        Triplet(toy_encoder(), 10, **option)


def test_random_negatives_are_uniform_over_the_other_instances():
    torch.manual_seed(0)
    method, embeddings = Triplet(toy_encoder(), 10), torch.randn(8, 4)
    draws = torch.cat([method.pick_negatives(embeddings) for _ in range(6000)], 1)
    for row in range(8):
        shares = draws[row].bincount(minlength=8) / 6000
        for other, share in enumerate(shares.tolist()):
            expected = 0 if other % 4 == row % 4 else 1 / 6
            assert share == pytest.approx(expected, abs=0.02)


def test_all_negatives_are_the_other_instances():
    chosen = Triplet(toy_encoder(), 10, negatives="all").pick_negatives(torch.randn(6, 4))
    assert [set(row) for row in chosen.tolist()] == [
        {r for r in range(6) if r % 3 != row % 3} for row in range(6)
    ]


def test_both_views_are_anchors_and_each_others_positive():
    torch.manual_seed(0)
    trial = Trial(Triplet, {"negatives": "all", "distance": "cosine", "margin": 0.7})
    batch = trial.batch(5)
    rows = torch.cat(trial.method.embed_views(batch)).detach().double()
    others = [[rows[r] for r in range(10) if r % 5 != row % 5] for row in range(10)]
    negatives = torch.stack([torch.stack(row) for row in others])
    expected = naive(rows, rows.roll(5, 0), negatives, 0.7, "cosine")
    assert trial.method.loss(batch).item() == pytest.approx(expected.item(), abs=1e-6)


def test_metrics_show_a_collapse():
    class Constant(nn.Module):
        embedding_size = 4

        def forward(self, images):
            return torch.ones(len(images), 4)

    method = Triplet(Constant(), 10)
    assert method.metrics() == {}
    batch = Batch(torch.arange(3), (torch.randn(3, 3, 8, 8),) * 2)
    assert method.loss(batch).item() == pytest.approx(0.5)
    assert method.metrics() == pytest.approx(
        {"positive_distance": 0.0, "negative_distance": 0.0}, abs=1e-5
    )


def test_a_batch_of_one_has_no_negative():
    with pytest.raises(ValueError, match="at least 2 images"):
        Triplet(toy_encoder(), 10).loss(Batch(torch.arange(1), (torch.randn(1, 3, 8, 8),) * 2))
