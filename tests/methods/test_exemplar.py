import math

import pytest
import torch

from helpers.arrays import gaussian
from methods.base import normalise
from methods.exemplar import Exemplar, exemplar_loss
from methods.testing.toy import Trial, toy_encoder


def naive(embeddings, weights, index):
    """Eq. 1, sample by sample."""
    total = torch.zeros((), dtype=torch.float64)
    for embedding, own in zip(embeddings, index.tolist(), strict=True):
        scores = [(row @ embedding).exp() for row in weights]
        total = total - (scores[own] / sum(scores)).log()
    return total / len(embeddings)


def test_value_and_gradient_are_those_of_a_double_loop():
    index = torch.tensor([3, 0, 3, 8])
    results = []
    for function in (exemplar_loss, naive):
        embeddings, weights = (
            gaussian(4, 5).requires_grad_(),
            gaussian(9, 5, seed=1).requires_grad_(),
        )
        loss = function(embeddings, weights, index)
        results.append((loss, *torch.autograd.grad(loss, (embeddings, weights))))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_temperature_divides_the_logits():
    embeddings, weights, index = gaussian(4, 5), gaussian(9, 5, seed=1), torch.arange(4)
    found = exemplar_loss(embeddings, weights, index, temperature=0.1)
    torch.testing.assert_close(found, exemplar_loss(embeddings * 10, weights, index))


def test_zero_weights_give_the_logarithm_of_the_number_of_instances():
    loss = exemplar_loss(gaussian(4, 5), torch.zeros(70, 5), torch.arange(4))
    assert loss.item() == pytest.approx(math.log(70))


def test_autocast_changes_nothing():
    embeddings, weights = gaussian(16, 32).float(), gaussian(99, 32).float()
    expected = exemplar_loss(embeddings, weights, torch.arange(16))
    with torch.autocast("cpu", torch.bfloat16):
        assert exemplar_loss(embeddings, weights, torch.arange(16)).item() == expected.item()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"weights: expected shape \(n, 5\), got \(9, 4\)"):
        exemplar_loss(gaussian(4, 5), gaussian(9, 4), torch.arange(4))
    with pytest.raises(ValueError, match=r"index: expected shape \(4,\), got \(9,\)"):
        exemplar_loss(gaussian(4, 5), gaussian(9, 5), torch.arange(9))
    with pytest.raises(ValueError, match="temperature: expected"):
        Exemplar(toy_encoder(), 10, temperature=-1.0)


def test_weights_start_as_those_of_a_linear_layer():
    torch.manual_seed(0)
    weights = Exemplar(toy_encoder(), 4000).weights
    assert weights.shape == (4000, 32)
    assert weights.abs().max().item() == pytest.approx(32**-0.5, rel=1e-3)
    assert weights.norm(dim=1).mean().item() == pytest.approx(3**-0.5, rel=0.01)


@pytest.mark.parametrize("normalised", [False, True])
def test_options_reach_the_loss(normalised):
    torch.manual_seed(0)
    trial = Trial(Exemplar, {"normalise_weights": normalised, "temperature": 0.5})
    method, batch = trial.method, trial.batch()
    weights = normalise(method.weights) if normalised else method.weights
    expected = exemplar_loss(method.embed(batch.views[0]), 2 * weights, batch.index)
    torch.testing.assert_close(method.loss(batch), expected)


def test_the_weights_are_trained_with_the_encoder():
    torch.manual_seed(0)
    trial = Trial(Exemplar, {})
    trial.loss().backward()
    assert trial.method.weights.grad.abs().sum() > 0
    assert any(trial.method.weights is p for p in trial.method.parameter_groups()[0]["params"])
