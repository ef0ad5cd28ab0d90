import math

import pytest
import torch
from torch import nn

from methods.moco import encode_in_groups, queue_loss


def naive(queries, keys, queue, temperature):
    """Eq. 1, query by query, without help of a softmax."""
    total = torch.zeros((), dtype=torch.float64)
    for query, key in zip(queries, keys, strict=True):
        own = (query @ key / temperature).exp()
        others = sum((query @ row / temperature).exp() for row in queue)
        total = total - (own / (own + others)).log()
    return total / len(queries)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("size", [1, 12])
def test_is_an_info_nce_over_the_queue_by_hand(unit, assert_agree, size, temperature):
    keys, queue = unit(4, 5, seed=1), unit(size, 5, seed=2)
    assert_agree(
        lambda q: queue_loss(q, keys, queue, temperature),
        lambda q: naive(q, keys, queue, temperature),
        unit(4, 5),
    )


def test_keys_and_queue_take_no_gradient(unit):
    inputs = [unit(4, 5, seed=seed).requires_grad_() for seed in range(3)]
    slopes = torch.autograd.grad(queue_loss(*inputs, 0.1), inputs, allow_unused=True)
    assert slopes[0].abs().sum() > 0
    assert slopes[1] is None
    assert slopes[2] is None


def test_equal_rows_give_the_logarithm_of_the_candidates(unit):
    same = unit(1, 5)
    loss = queue_loss(same.expand(4, 5), same.expand(4, 5), same.expand(30, 5), 0.1)
    assert loss.item() == pytest.approx(math.log(31))


def test_gradient_is_that_of_finite_differences(unit):
    keys, queue = unit(3, 4, seed=1), unit(6, 4, seed=2)
    queries = unit(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: queue_loss(q, keys, queue, 0.5), (queries,))


def test_agrees_with_lightly(unit, assert_agree, lightly):
    keys, queue = unit(6, 4, seed=1), unit(8, 4, seed=2)
    theirs = lightly.NTXentLoss(0.2, memory_bank_size=(8, 4))
    theirs.memory_bank.bank = queue.T if theirs.memory_bank.bank.shape == (4, 8) else queue
    assert_agree(
        lambda q: queue_loss(q, keys, queue, 0.2),
        lambda q: theirs(q, keys),
        unit(6, 4),
        rtol=1e-6,
        sphere=True,
    )


def images(count):
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def test_groups_have_their_own_statistics():
    norm, batch = nn.BatchNorm2d(3), images(8)
    found = encode_in_groups(norm, batch, 2)
    expected = torch.cat([nn.BatchNorm2d(3)(half) for half in batch.chunk(2)])
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, nn.BatchNorm2d(3)(batch))


def test_shuffled_groups_come_back_in_the_order_of_the_images():
    batch = images(8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    flat = encode_in_groups(lambda part: part.flatten(1), batch, 4, order)
    assert torch.equal(flat, batch.flatten(1))
    found = encode_in_groups(nn.BatchNorm2d(3), batch, 2, order)
    for members in order.chunk(2):
        torch.testing.assert_close(found[members], nn.BatchNorm2d(3)(batch[members]))


def test_groups_must_divide_the_batch():
    with pytest.raises(ValueError, match="groups: expected a number that divides the batch of 8"):
        encode_in_groups(nn.Identity(), images(8), 3)


def test_wrong_arguments_are_named(unit):
    with pytest.raises(ValueError, match=r"queue: expected shape \(m, 4\), got \(6, 5\)"):
        queue_loss(unit(3, 4), unit(3, 4), unit(6, 5), 0.1)
    with pytest.raises(ValueError, match="temperature: expected"):
        queue_loss(unit(3, 4), unit(3, 4), unit(6, 4), 0)
