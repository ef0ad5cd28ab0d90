import math

import pytest
import torch

from methods.blocks.neighbourhoods import discover


def naive(bank, temperature):
    nearest, entropies = [], []
    for i, v in enumerate(bank):
        scores = [float(v @ other) / temperature for other in bank]
        others = [s if j != i else -math.inf for j, s in enumerate(scores)]
        nearest.append(others.index(max(others)))
        weights = [math.exp(s) for s in scores]  # the instance itself included
        p = [weight / sum(weights) for weight in weights]
        entropies.append(-sum(value * math.log(value) for value in p))
    return nearest, entropies


@pytest.mark.parametrize("cells", [None, 1, 30, 10**6])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_chunks_of_any_size_find_what_a_double_loop_finds(unit, temperature, cells):
    bank = unit(23, 5)
    nearest, entropy = naive(bank, temperature)
    found = discover(bank, temperature, cells)
    assert found.nearest.tolist() == nearest
    assert found.entropy.tolist() == pytest.approx(entropy)


def test_rows_that_are_not_of_unit_length_may_be_nearer_to_others_than_to_themselves(unit):
    bank = unit(23, 5) * torch.rand(23, 1, generator=torch.Generator().manual_seed(0)).double() * 2
    nearest, entropy = naive(bank, 0.1)
    found = discover(bank, 0.1)
    assert found.nearest.tolist() == nearest
    assert found.entropy.tolist() == pytest.approx(entropy)


def test_single_precision_is_close_to_double(unit):
    bank = unit(200, 16)
    single, double = discover(bank.float(), 0.1), discover(bank, 0.1)
    assert single.entropy.dtype == torch.float32
    torch.testing.assert_close(single.entropy.double(), double.entropy, rtol=1e-4, atol=1e-5)
    assert torch.equal(single.nearest, double.nearest)


def test_limits():
    same = discover(torch.eye(1, 4).expand(8, 4), 0.1)
    torch.testing.assert_close(same.entropy, torch.full((8,), math.log(8)))
    assert same.nearest.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]  # lowest index, never itself
    apart = discover(torch.eye(8), 0.001)
    torch.testing.assert_close(apart.entropy, torch.zeros(8))


def test_the_bank_is_left_as_it_was(unit):
    bank = unit(9, 4).float().requires_grad_()
    before = bank.detach().clone()
    found = discover(bank, 0.1)
    assert torch.equal(bank, before)
    assert not found.entropy.requires_grad


def test_wrong_arguments_are_named(unit):
    with pytest.raises(ValueError, match="bank: expected at least 2 instances"):
        discover(unit(1, 4), 0.1)
    with pytest.raises(ValueError, match="temperature: expected"):
        discover(unit(4, 4), 0)
