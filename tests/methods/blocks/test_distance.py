import pytest
import torch

from helpers.arrays import gaussian
from methods.blocks.distance import pair_distance

FIRST, SECOND = gaussian(4, 1, 5), gaussian(3, 5, seed=1)


def naive(one, other, distance):
    squared = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    if distance == "cosine":
        return 1 - one @ other / (one.norm() * other.norm())
    return squared if distance == "sqeuclidean" else squared.sqrt()


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "cosine"])
def test_distances_broadcast_and_are_those_of_a_loop(distance):
    found = pair_distance(FIRST, SECOND, distance)
    expected = [[naive(one[0], other, distance) for other in SECOND] for one in FIRST]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_equal_rows_have_a_finite_gradient_of_zero(distance):
    row = gaussian(2, 5).requires_grad_()
    pair_distance(row, row.detach().clone(), distance).sum().backward()
    assert not row.grad.any()


def test_near_pairs_keep_their_digits():
    row = torch.full((1, 4), 0.5)
    near = row + torch.tensor([[1e-4, 0.0, 0.0, 0.0]])
    expected = (near - row).abs().max().item()
    assert pair_distance(row, near, "euclidean").item() == pytest.approx(expected, rel=1e-3)


def test_an_unknown_distance_is_named():
    with pytest.raises(ValueError, match=r"distance: expected 'euclidean' or .*, got 'manhattan'"):
        pair_distance(FIRST, SECOND, "manhattan")
