import heapq
import itertools
import math

import numpy as np
import pytest
import torch

from evaluation.backends.neighbours import search
from methods.cyclic import Cyclic, contrastive_loss, cycle_pairs, geodesic_negatives
from methods.testing.toy import Trial


def naive_pairs(neighbours, length):
    """Follow every way of at most length - 1 edges from j, edge by edge."""
    table, found = neighbours.tolist(), set()
    for i, row in enumerate(table):
        for j in row:
            reached = {j}
            for _ in range(length - 1):
                reached = {to for image in reached for to in table[image]}
                if i in reached:
                    found.add((i, j))
                    break
    return found


@pytest.mark.parametrize("length", [2, 3, 4, 5])
@pytest.mark.parametrize("k", [1, 3])
def test_pairs_are_those_of_a_walk(unit, k, length):
    rows = unit(40, 6).float()
    neighbours = torch.from_numpy(search(rows, rows, k, exclude_self=True)[1])
    pairs = cycle_pairs(neighbours, length)
    assert {tuple(pair) for pair in pairs.tolist()} == naive_pairs(neighbours, length)
    assert len(set(map(tuple, pairs.tolist()))) == len(pairs)
    assert pairs[:, 0].diff().min() >= 0


def test_a_ring_closes_only_at_its_length():
    ring = torch.tensor([[1], [2], [3], [0]])
    assert len(cycle_pairs(ring, 3)) == 0
    assert cycle_pairs(ring, 4).tolist() == [[0, 1], [1, 2], [2, 3], [3, 0]]


def test_length_two_is_mutual_neighbours():
    table = torch.tensor([[1], [0], [0]])
    assert cycle_pairs(table, 2).tolist() == [[0, 1], [1, 0]]


def naive_negatives(rows, neighbours, candidates, stretch):
    """Dijkstra by hand over an undirected graph of Euclidean edges."""
    count = len(rows)
    found = search(rows, rows, max(neighbours, candidates), exclude_self=True)[1]
    length = torch.cdist(rows.double(), rows.double())
    edges = [set() for _ in range(count)]
    for i in range(count):
        for j in found[i, :neighbours].tolist():
            edges[i].add(j)
            edges[j].add(i)
    result = []
    for source in range(count):
        paths, heap = {source: 0.0}, [(0.0, source)]
        while heap:
            way, image = heapq.heappop(heap)
            if way > paths[image]:
                continue
            for to in edges[image]:
                longer = way + float(length[image, to])
                if longer < paths.get(to, math.inf):
                    paths[to] = longer
                    heapq.heappush(heap, (longer, to))
        far = [
            j
            for j in found[source, :candidates].tolist()
            if paths.get(j, math.inf) > stretch * float(length[source, j]) + 1e-5
        ]
        result.append(far + [-1] * (candidates - len(far)))
    return result


@pytest.mark.parametrize("stretch", [1.0, 1.3, 2.0])
def test_negatives_are_those_of_dijkstra_by_hand(unit, stretch):
    rows = unit(40, 3).float()
    found = geodesic_negatives(rows, neighbours=3, candidates=12, stretch=stretch)
    assert found.tolist() == naive_negatives(rows, 3, 12, stretch)
    assert (found >= 0).any()


def test_the_ends_of_a_horseshoe_are_each_others_hard_negatives():
    """Near in a straight line, far along the points in between."""
    angles = torch.linspace(0.2, 2 * math.pi - 0.2, 60)
    arc = torch.stack([angles.cos(), angles.sin()], 1)
    negatives = geodesic_negatives(arc, neighbours=2, candidates=10, stretch=2.0)
    assert 59 in negatives[0].tolist()
    assert 0 in negatives[59].tolist()
    assert (negatives[30] == -1).all()


def test_images_that_no_way_connects_are_negatives():
    one = torch.tensor([[1.0, 0.0], [0.999, 0.045], [0.998, 0.063]])
    rows = torch.cat([one, one.flip(1)])
    rows = rows / rows.norm(dim=1, keepdim=True)
    negatives = geodesic_negatives(rows, neighbours=2, candidates=5, stretch=50.0)
    assert [sorted(row) for row in negatives[:3].tolist()] == [[-1, -1, 3, 4, 5]] * 3


def test_copies_of_an_image_are_no_negatives_of_each_other(unit):
    rows = unit(10, 4).float()
    rows = torch.cat([rows, rows])
    negatives = geodesic_negatives(rows, neighbours=3, candidates=10, stretch=1.5)
    for image, copy in itertools.product(range(10), [10]):
        assert image + copy not in negatives[image].tolist()


def naive_contrastive(first, second, same, margin):
    total = torch.zeros((), dtype=torch.float64)
    for a, b, positive in zip(first, second, same.tolist(), strict=True):
        distance = ((a - b).square().sum() + 1e-12).sqrt()
        total = total + (distance**2 if positive else torch.clamp(margin - distance, min=0) ** 2)
    return total / len(first)


@pytest.mark.parametrize("margin", [0.5, 1.5])
def test_loss_and_gradient_are_those_of_a_loop(unit, assert_agree, margin):
    same = torch.tensor([True, False, False, True, False])
    assert_agree(
        lambda a, b: contrastive_loss(a, b, same, margin),
        lambda a, b: naive_contrastive(a, b, same, margin),
        unit(5, 4),
        unit(5, 4, seed=1),
    )


def test_loss_has_its_limits(unit):
    rows = unit(3, 4)
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    assert contrastive_loss(rows, rows, yes).item() == pytest.approx(0, abs=1e-9)
    assert contrastive_loss(rows, rows, no, 1.5).item() == pytest.approx(2.25, rel=1e-5)
    assert contrastive_loss(rows, -rows, no, 1.5).item() == 0
    assert contrastive_loss(rows, -rows, yes).item() == pytest.approx(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cycle_pairs(np.zeros((3, 1), int), 1), "length: expected at least 2 edges"),
        (lambda: cycle_pairs(torch.tensor([[1], [5]])), "neighbours: expected images 0 to 1"),
        (lambda: cycle_pairs(torch.zeros(3)), r"neighbours: expected \(n, k\) integers"),
        (lambda: geodesic_negatives(torch.eye(4), 2, 2, 0.5), "stretch: expected"),
        (lambda: geodesic_negatives(torch.eye(4), 9, 2), "k: expected at most 3"),
        (
            lambda: contrastive_loss(torch.eye(2), torch.eye(2), torch.ones(2)),
            r"same: expected \(2,\) bool",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_anchor_comes_with_one_of_its_own_pairs(share):
    torch.manual_seed(0)
    trial = Trial(Cyclic, {"positive_share": share, "candidates": 20, "stretch": 1.2})
    trial.start_epoch(0)
    method = trial.method
    pairs = method.sample(torch.Generator().manual_seed(0))
    assert sorted(pairs[:, 0].tolist()) == list(range(len(pairs)))
    kinds = {"positive": 0, "negative": 0, "itself": 0}
    for anchor, partner in pairs.tolist():
        near = partner in method.positives[anchor].tolist()
        far = partner in method.negatives[anchor].tolist()
        kinds["positive" if near else "negative" if far else "itself"] += 1
        none = all(int(pool[anchor].max()) < 0 for pool in (method.positives, method.negatives))
        assert near or far or (none and partner == anchor)
    mined = {kind: method.metrics()[f"{kind}s_none"] < 1 for kind in ("positive", "negative")}
    assert mined == {"positive": True, "negative": True}
    if share in (0.0, 1.0):  # the other kind stands in only where there is none of the one
        kind = "positive" if share else "negative"
        assert kinds[kind] == len(pairs) - round(method.metrics()[f"{kind}s_none"] * len(pairs))


def test_pairs_are_mined_anew_only_where_that_is_asked_for():
    for remine, anew in ((None, False), (1, True)):
        torch.manual_seed(0)
        trial = Trial(Cyclic, {"remine": remine})
        trial.start_epoch(0)
        before = trial.method.positives.clone()
        trial.train(5)
        trial.start_epoch(1)
        assert torch.equal(before, trial.method.positives) != anew
