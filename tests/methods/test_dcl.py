import math

import pytest
import torch

from methods.dcl import decoupled_loss, von_mises_fisher_weights
from methods.simclr import nt_xent_loss


def naive(first, second, temperature, weights=None):
    """L_DC and L_DCW, image by image."""
    images, n = [*first, *second], len(first)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        scores = [images[i] @ image / temperature for image in images]
        others = sum(scores[k].exp() for k in range(2 * n) if k not in (i, partner))
        w = 1 if weights is None else weights[i % n]
        total = total - w * scores[partner] + others.log()
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 0.0, 1.5])])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, weights, temperature):
    assert_agree(
        lambda a, b: decoupled_loss(a, b, temperature, weights),
        lambda a, b: naive(a, b, temperature, weights),
        unit(5, 4),
        unit(5, 4, seed=1),
    )


def test_is_nt_xent_without_the_positive_in_the_denominator(unit):
    """Of an anchor's NT-Xent l = log(1 + others / own), DCL is log(exp(l) - 1)."""
    first, second, temperature = unit(6, 4), unit(6, 4, seed=1), 0.3
    images = torch.cat([first, second])
    logits = (images @ images.T / temperature).fill_diagonal_(-math.inf)
    partner = torch.arange(12).roll(6)
    each = torch.nn.functional.cross_entropy(logits, partner, reduction="none")
    torch.testing.assert_close(each.mean(), nt_xent_loss(first, second, temperature))
    without = each.expm1().log()
    torch.testing.assert_close(without.mean(), decoupled_loss(first, second, temperature))


def test_weights_are_those_of_the_paper_and_have_mean_one(unit):
    first, second = unit(7, 4), unit(7, 4, seed=1)
    found = von_mises_fisher_weights(first, second, 0.5)
    raised = [math.exp(float(a @ b) / 0.5) for a, b in zip(first, second, strict=True)]
    expected = [2 - value / (sum(raised) / 7) for value in raised]
    assert found.tolist() == pytest.approx(expected)
    assert found.mean().item() == pytest.approx(1)


def test_equally_far_positives_all_weigh_one(unit):
    first = unit(5, 4)
    torch.testing.assert_close(
        von_mises_fisher_weights(first, -first), torch.ones_like(first[:, 0])
    )


def test_weights_take_no_gradient(unit):
    first = unit(5, 4).requires_grad_()
    assert not von_mises_fisher_weights(first, unit(5, 4, seed=1)).requires_grad


def test_gradient_is_that_of_finite_differences(unit):
    inputs = unit(3, 4).requires_grad_(), unit(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: decoupled_loss(a, b, 0.5), inputs)


def test_a_perfect_pair_is_pulled_on_as_hard_as_any_other(unit):
    """The coupling that DCL takes away: NT-Xent's pull fades as its positive wins."""
    rows = torch.eye(4, dtype=torch.float64)
    slopes = []
    for loss in (nt_xent_loss, decoupled_loss):
        first = rows.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(first, rows, 0.1), first)
        slopes.append(-slope.diagonal())
    assert slopes[0].max() < 1e-2
    torch.testing.assert_close(slopes[1], torch.full_like(slopes[1], 10 / 4))


@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_lightly(unit, assert_agree, lightly, weighted):
    theirs = lightly.DCLWLoss(0.1, 0.5) if weighted else lightly.DCLLoss(0.1)

    def ours(first, second):
        weights = von_mises_fisher_weights(first, second, 0.5) if weighted else None
        return decoupled_loss(first, second, 0.1, weights)

    assert_agree(ours, theirs, unit(6, 4), unit(6, 4, seed=1), rtol=1e-6, sphere=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": torch.ones(1, 4), "second": torch.ones(1, 4)}, "at least 2 instances"),
        ({"temperature": -1.0}, "temperature: expected"),
        ({"weights": torch.ones(2)}, r"weights: expected shape \(3,\), got \(2,\)"),
    ],
)
def test_wrong_arguments_are_named(unit, changes, message):
    arguments = {"first": unit(3, 4), "second": unit(3, 4), "temperature": 0.1}
    with pytest.raises(ValueError, match=message):
        decoupled_loss(**arguments | changes)
