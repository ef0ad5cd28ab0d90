import copy

import pytest
import torch
from torch import nn

from methods.blocks.momentum import ema_, frozen_copy
from methods.byol import annealed_momentum, regression_loss


def naive(predicted, target):
    """Eq. 2: squared distance of the normalised rows."""
    pairs = zip(predicted, target.detach(), strict=True)
    return sum((q / q.norm() - z / z.norm()).square().sum() for q, z in pairs) / len(predicted)


def test_value_and_gradient_are_those_of_a_loop(unit, assert_agree):
    target = 3 * unit(5, 4, seed=1)
    assert_agree(lambda q: regression_loss(q, target), lambda q: naive(q, target), 0.5 * unit(5, 4))


@pytest.mark.parametrize(("factor", "expected"), [(2, 0), (-2, 4)])
def test_limits(unit, factor, expected):
    rows = unit(5, 4)
    assert regression_loss(rows, factor * rows).item() == pytest.approx(expected, abs=1e-12)


def test_the_target_takes_no_gradient(unit):
    predicted, target = unit(5, 4).requires_grad_(), unit(5, 4, seed=1).requires_grad_()
    loss = regression_loss(predicted, target)
    slopes = torch.autograd.grad(loss, (predicted, target), allow_unused=True)
    assert slopes[0].abs().sum() > 0
    assert slopes[1] is None


def test_gradient_is_that_of_finite_differences(unit):
    target = unit(3, 4, seed=1)
    assert torch.autograd.gradcheck(
        lambda q: regression_loss(q, target), (unit(3, 4).requires_grad_(),)
    )


def test_agrees_with_lightly(unit, lightly):
    predicted, target = unit(6, 4), unit(6, 4, seed=1)
    theirs = 2 + 2 * lightly.NegativeCosineSimilarity()(predicted, target)
    torch.testing.assert_close(regression_loss(predicted, target), theirs)


def test_the_target_is_exactly_the_moving_average_after_k_steps():
    torch.manual_seed(0)
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    target, momentum, steps = frozen_copy(source), 0.9, 7
    history = [copy.deepcopy(list(source.parameters()))]
    for _ in range(steps):
        with torch.no_grad():  # the optimiser's step
            for parameter in source.parameters():
                parameter.add_(torch.randn_like(parameter))
        history.append(copy.deepcopy(list(source.parameters())))
        ema_(target, source, momentum)
    for place, found in enumerate(target.parameters()):
        expected = momentum**steps * history[0][place]
        for step in range(1, steps + 1):
            weight = (1 - momentum) * momentum ** (steps - step)
            expected = expected + weight * history[step][place]
        torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-12)


def test_momentum_is_annealed_from_its_base_to_one():
    assert annealed_momentum(0.996, 0) == pytest.approx(0.996)
    assert annealed_momentum(0.996, 0.5) == pytest.approx(0.998)
    assert annealed_momentum(0.996, 1) == 1
    with pytest.raises(ValueError, match="from 0 to 1"):
        annealed_momentum(0.9, 1.1)
