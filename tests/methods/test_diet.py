import math

import pytest
import torch

from methods.diet import datum_index_loss
from methods.exemplar import exemplar_loss


def naive(features, weights, index, smoothing):
    total = 0
    for feature, own in zip(features, index, strict=True):
        raised = [(feature @ weight).exp() for weight in weights]
        for i, value in enumerate(raised):
            target = smoothing / len(weights) + (1 - smoothing) * (i == int(own))
            total = total - target * (value / sum(raised)).log()
    return total / len(features)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.8])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, smoothing):
    index = torch.tensor([3, 0, 3, 6])
    assert_agree(
        lambda f, w: datum_index_loss(f, w, index, smoothing),
        lambda f, w: naive(f, w, index, smoothing),
        2 * unit(4, 5),
        3 * unit(7, 5, seed=1),
    )


def test_without_smoothing_it_is_exemplar(unit):
    arguments = unit(4, 5), unit(7, 5, seed=1), torch.tensor([3, 0, 3, 6])
    torch.testing.assert_close(datum_index_loss(*arguments, 0.0), exemplar_loss(*arguments))


@pytest.mark.parametrize("smoothing", [0.0, 0.8])
def test_equal_weights_give_the_logarithm_of_the_images(unit, smoothing):
    weights = unit(1, 5).expand(50, 5)
    loss = datum_index_loss(unit(4, 5), weights, torch.arange(4), smoothing)
    assert loss.item() == pytest.approx(math.log(50))


def test_gradient_is_that_of_finite_differences(unit):
    inputs = unit(3, 4).requires_grad_(), unit(5, 4, seed=1).requires_grad_()
    index = torch.tensor([4, 1, 1])
    assert torch.autograd.gradcheck(lambda f, w: datum_index_loss(f, w, index), inputs)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_a_wrong_smoothing_is_named(unit, smoothing):
    with pytest.raises(ValueError, match="smoothing: expected a number from 0 to below 1"):
        datum_index_loss(unit(3, 4), unit(5, 4), torch.arange(3), smoothing)
