import math

import pytest
import torch

from helpers.arrays import unit
from methods import Batch
from methods.npsoftmax import NPSoftmax, nonparametric_softmax_loss
from methods.testing.toy import INSTANCES, Trial, toy_encoder


def naive(embeddings, bank, index, temperature):
    """Eq. 2, sample by sample."""
    total = torch.zeros((), dtype=torch.float64)
    for embedding, own in zip(embeddings, index, strict=True):
        weights = [(row @ embedding / temperature).exp() for row in bank]
        total = total - (weights[own] / sum(weights)).log()
    return total / len(embeddings)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_value_and_gradient_are_those_of_a_double_loop(temperature):
    bank, index = unit(9, 5), [3, 0, 3, 8]
    results = []
    for function in (nonparametric_softmax_loss, naive):
        embeddings = unit(4, 5, seed=1).requires_grad_()
        labels = torch.tensor(index) if function is nonparametric_softmax_loss else index
        loss = function(embeddings, bank, labels, temperature)
        results.append((loss, *torch.autograd.grad(loss, embeddings)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_equal_memories_give_the_logarithm_of_their_number():
    embeddings, index = unit(4, 8), torch.arange(4)
    loss = nonparametric_softmax_loss(embeddings, unit(1, 8).expand(50, 8), index, 0.1)
    assert loss.item() == pytest.approx(math.log(50))


def test_one_instance_has_no_loss():
    loss = nonparametric_softmax_loss(unit(1, 8), unit(1, 8), torch.tensor([0]), 0.1)
    assert loss.item() == 0


def test_autocast_changes_nothing():
    embeddings, bank, index = unit(16, 32).float(), unit(99, 32).float(), torch.arange(16)
    expected = nonparametric_softmax_loss(embeddings, bank, index, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert nonparametric_softmax_loss(embeddings, bank, index, 0.05).item() == expected.item()


def test_arrays_are_accepted():
    arguments = unit(4, 8), unit(9, 8), torch.arange(4)
    found = nonparametric_softmax_loss(*(argument.numpy() for argument in arguments), 0.1)
    torch.testing.assert_close(found, nonparametric_softmax_loss(*arguments, 0.1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": torch.zeros(9, 7)}, r"bank: expected shape \(n, 8\), got \(9, 7\)"),
        ({"index": torch.zeros(3, dtype=torch.long)}, r"index: expected shape \(4,\), got \(3,\)"),
        ({"index": torch.zeros(4)}, "index: expected integers"),
        ({"temperature": 0}, "temperature: expected"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = {
        "embeddings": unit(4, 8),
        "bank": unit(9, 8),
        "index": torch.arange(4),
        "temperature": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        nonparametric_softmax_loss(**arguments | changes)


@pytest.mark.parametrize("option", [{"temperature": 0.0}, {"momentum": 1.0}])
def test_the_constructor_refuses_wrong_options(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        NPSoftmax(toy_encoder(), 10, **option)


def test_the_loss_compares_with_the_memory_before_the_step():
    torch.manual_seed(0)
    trial = Trial(NPSoftmax, {"temperature": 0.3})
    method, batch = trial.method, trial.batch()
    before = method.bank.clone()
    loss = method.loss(batch)
    embeddings = method.embed(batch.views[0])
    torch.testing.assert_close(method.bank, before)
    expected = nonparametric_softmax_loss(embeddings, before, batch.index, 0.3)
    torch.testing.assert_close(loss, expected)
    (slope,) = torch.autograd.grad(loss, method.encoder.head.bias)
    (reference,) = torch.autograd.grad(expected, method.encoder.head.bias)
    torch.testing.assert_close(slope, reference)


def test_needs_one_view_and_every_image():
    assert NPSoftmax.views == 1
    assert not NPSoftmax.drop_last
    method = NPSoftmax(toy_encoder(), INSTANCES)
    assert method.loss(Batch(torch.tensor([5]), (torch.randn(1, 3, 8, 8),))).isfinite()
