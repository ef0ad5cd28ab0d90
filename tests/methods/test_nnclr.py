import math

import pytest
import torch

from methods.nnclr import nearest_in_support, nearest_neighbour_loss
from methods.simclr import nt_xent_loss


def naive(neighbours, predicted, temperature):
    """Eq. 3, image by image."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(neighbours)):
        weights = [(neighbours[i] @ p / temperature).exp() for p in predicted]
        total = total - (weights[i] / sum(weights)).log()
    return total / len(neighbours)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, temperature):
    neighbours = unit(5, 4)
    assert_agree(
        lambda p: nearest_neighbour_loss(neighbours, p, temperature),
        lambda p: naive(neighbours, p, temperature),
        unit(5, 4, seed=1),
    )


def test_the_support_row_is_the_nearest_in_euclidean_distance(unit):
    embeddings, support = unit(9, 4), unit(30, 4, seed=1)
    found = nearest_in_support(embeddings, support)
    for row, chosen in zip(embeddings, found, strict=True):
        distances = [float((row - other).norm()) for other in support]
        assert torch.equal(chosen, support[distances.index(min(distances))])


def test_a_support_of_the_embeddings_themselves_returns_them(unit):
    embeddings = unit(9, 4)
    assert torch.equal(nearest_in_support(embeddings, embeddings.flip(0)), embeddings)


def test_neighbours_take_no_gradient(unit):
    embeddings, predicted = (unit(5, 4, seed=seed).requires_grad_() for seed in (0, 1))
    loss = nearest_neighbour_loss(embeddings, predicted, 0.1)
    slopes = torch.autograd.grad(loss, (embeddings, predicted), allow_unused=True)
    assert slopes[0] is None
    assert slopes[1].abs().sum() > 0
    assert not nearest_in_support(embeddings, predicted).requires_grad


def test_equal_predictions_give_the_logarithm_of_the_batch(unit):
    loss = nearest_neighbour_loss(unit(7, 4), unit(1, 4).expand(7, 4), 0.1)
    assert loss.item() == pytest.approx(math.log(7))


def test_gradient_is_that_of_finite_differences(unit):
    neighbours, predicted = unit(3, 4), unit(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: nearest_neighbour_loss(neighbours, p, 0.5), (predicted,)
    )


def test_the_support_set_agrees_with_lightly(unit, lightly):
    module = pytest.importorskip("lightly.models.modules").NNMemoryBankModule(size=(30, 4))
    support, embeddings = unit(30, 4, seed=1).float(), unit(6, 4).float()
    module.bank = support.T.contiguous() if module.bank.shape == (4, 30) else support
    theirs = module(embeddings, update=False)
    found = nearest_in_support(embeddings, support)
    torch.testing.assert_close(found, theirs)
    # and so does the loss that lightly puts on it, named in the docstring
    predicted = unit(6, 4, seed=2).float()
    torch.testing.assert_close(
        nt_xent_loss(found, predicted, 0.5), lightly.NTXentLoss(0.5)(theirs, predicted)
    )


@pytest.mark.parametrize(
    ("neighbours", "predicted", "message"),
    [((1, 4), (1, 4), "at least 2 instances"), ((3, 4), (3, 5), r"second: expected shape")],
)
def test_wrong_arguments_are_named(unit, neighbours, predicted, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbour_loss(unit(*neighbours), unit(*predicted), 0.1)
    with pytest.raises(ValueError, match=r"support: expected shape \(m, 4\), got \(3, 5\)"):
        nearest_in_support(unit(2, 4), unit(3, 5))
