import pytest
import torch

from methods.simsiam import negative_cosine


def naive(predicted, target):
    """Eq. 1, row by row, with the target as a constant."""
    pairs = zip(predicted, target.detach(), strict=True)
    return -sum(p @ z / (p.norm() * z.norm()) for p, z in pairs) / len(predicted)


def test_value_and_gradient_are_those_of_a_loop(unit, assert_agree):
    target = 3 * unit(5, 4, seed=1)
    assert_agree(lambda p: negative_cosine(p, target), lambda p: naive(p, target), 0.5 * unit(5, 4))


@pytest.mark.parametrize(("factor", "expected"), [(2, -1), (-2, 1)])
def test_limits(unit, factor, expected):
    rows = unit(5, 4)
    assert negative_cosine(rows, factor * rows).item() == pytest.approx(expected)


def test_the_gradient_stops_at_the_target(unit):
    predicted, target = unit(5, 4).requires_grad_(), unit(5, 4, seed=1).requires_grad_()
    slopes = torch.autograd.grad(
        negative_cosine(predicted, target), (predicted, target), allow_unused=True
    )
    assert slopes[0].abs().sum() > 0
    assert slopes[1] is None


def test_gradient_is_that_of_finite_differences(unit):
    target = unit(3, 4, seed=1)
    assert torch.autograd.gradcheck(
        lambda p: negative_cosine(p, target), (unit(3, 4).requires_grad_(),)
    )


def test_agrees_with_lightly(unit, assert_agree, lightly):
    target = unit(6, 4, seed=1)
    theirs = lightly.NegativeCosineSimilarity()
    assert_agree(
        lambda p: negative_cosine(p, target), lambda p: theirs(p, target), unit(6, 4), rtol=1e-6
    )


def test_wrong_shapes_are_named(unit):
    with pytest.raises(ValueError, match=r"second: expected shape \(3, 4\), got \(3, 5\)"):
        negative_cosine(unit(3, 4), unit(3, 5))
