import math

import pytest
import torch

from methods.barlow_twins import cross_correlation, cross_correlation_loss


def naive_correlation(first, second):
    """Eq. 2, feature by feature, with no epsilon."""
    n, width = first.shape
    rows = []
    for i in range(width):
        a = first[:, i] - sum(first[:, i]) / n
        row = []
        for j in range(width):
            b = second[:, j] - sum(second[:, j]) / n
            row.append(sum(a * b) / (sum(a**2).sqrt() * sum(b**2).sqrt()))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def naive(first, second, weight):
    """Eq. 1."""
    c = naive_correlation(first, second)
    pairs = [(i, j) for i in range(len(c)) for j in range(len(c)) if i != j]
    return sum((1 - c[i, i]) ** 2 for i in range(len(c))) + weight * sum(c[p] ** 2 for p in pairs)


def features(rows, width, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, width, generator=generator, dtype=torch.float64) + 2


@pytest.mark.parametrize("weight", [0.0, 5e-3, 1.0])
def test_is_the_formula_in_float64(assert_agree, weight):
    inputs = features(6, 3, 0), features(6, 3, 1, scale=5)
    assert_agree(
        lambda a, b: cross_correlation_loss(a, b, weight, epsilon=0),
        lambda a, b: naive(a, b, weight),
        *inputs,
    )
    found = cross_correlation_loss(*inputs, weight)  # the epsilon of batch normalisation
    torch.testing.assert_close(found, naive(*inputs, weight), rtol=1e-3, atol=1e-4)


def test_the_diagonal_of_a_view_with_itself_is_one():
    first = features(9, 4, 0)
    torch.testing.assert_close(
        cross_correlation(first, 3 * first - 1, epsilon=0).diagonal(),
        torch.ones(4, dtype=torch.float64),
    )


def test_uncorrelated_equal_views_have_no_loss():
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert cross_correlation_loss(signs, signs, epsilon=0).item() == pytest.approx(0, abs=1e-12)


def test_a_constant_feature_is_finite_and_correlates_with_nothing():
    first = features(6, 3, 0).requires_grad_()
    collapsed = first * torch.tensor([1.0, 0.0, 1.0])
    loss = cross_correlation_loss(collapsed, collapsed, 0.0)
    assert loss.item() == pytest.approx(1, abs=1e-6)  # the collapsed feature's (1 - 0)^2
    (slope,) = torch.autograd.grad(loss, first)
    assert slope.isfinite().all()


def test_gradient_is_that_of_finite_differences():
    inputs = features(4, 3, 0).requires_grad_(), features(4, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: cross_correlation_loss(a, b, 0.1), inputs)


def test_agrees_with_lightly(assert_agree, lightly):
    assert_agree(
        lambda a, b: cross_correlation_loss(a, b, 5e-3),
        lightly.BarlowTwinsLoss(5e-3),
        features(8, 5, 0),
        features(8, 5, 1),
        rtol=1e-6,
    )


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least 2 instances in a batch, got 1"):
        cross_correlation_loss(features(1, 3, 0), features(1, 3, 0))
    with pytest.raises(ValueError, match="weight: expected a number of at least 0, got nan"):
        cross_correlation_loss(features(4, 3, 0), features(4, 3, 0), math.nan)
