import pytest
import torch

from methods import Batch
from methods.base import normalise
from methods.blocks.memory_bank import remembered_similarities, update_bank
from methods.npsoftmax import NPSoftmax
from methods.testing.toy import INSTANCES, Trial, toy_encoder


def unit(*shape, seed=0):
    return normalise(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_update_moves_the_seen_rows_only(momentum):
    bank, embeddings, index = unit(10, 4), unit(3, 4, seed=1), torch.tensor([7, 2, 4])
    before = bank.clone()
    update_bank(bank, index, embeddings, momentum)
    for row in range(10):
        expected = before[row]
        if row in index:
            position = index.tolist().index(row)
            mixed = momentum * before[row] + (1 - momentum) * embeddings[position]
            expected = mixed / mixed.norm()
        torch.testing.assert_close(bank[row], expected)


def test_an_instance_seen_twice_gets_the_mean():
    bank, embeddings = unit(6, 4), unit(4, 4, seed=1)
    before = bank.clone()
    update_bank(bank, torch.tensor([5, 1, 5, 5]), embeddings, 0.5)
    expected = normalise(0.5 * before[5:] + 0.5 * embeddings[[0, 2, 3]].mean(0))
    torch.testing.assert_close(bank[5:], expected)
    torch.testing.assert_close(bank[1:2], normalise(before[1:2] + embeddings[1:2]))


def test_memory_starts_uniform_with_rows_of_about_unit_norm():
    torch.manual_seed(0)
    bank = NPSoftmax(toy_encoder(), 5000).memory()
    assert bank.shape == (5000, 32)
    assert bank.abs().max().item() == pytest.approx((3 / 32) ** 0.5, rel=1e-3)
    assert bank.square().sum(1).mean().item() == pytest.approx(1, rel=0.01)
    assert bank.norm(dim=1).std() > 0.05  # not normalised


def test_after_step_remembers_the_embeddings_of_the_loss():
    torch.manual_seed(0)
    trial = Trial(NPSoftmax, {"momentum": 0.25})
    method, batch = trial.method, trial.batch()
    before, embeddings = method.bank.clone(), method.embed(batch.views[0]).detach()
    method.loss(batch).backward()
    with torch.no_grad():  # the optimiser's step comes between
        for parameter in method.parameters():
            parameter.mul_(-3)
    method.after_step(batch)
    seen = batch.index
    expected = normalise(0.25 * before[seen] + 0.75 * embeddings)
    torch.testing.assert_close(method.bank[seen], expected)
    torch.testing.assert_close(method.bank[len(seen) :], before[len(seen) :])
    assert not method.bank.requires_grad


def test_after_step_needs_a_loss_before_it():
    method = NPSoftmax(toy_encoder(), 10)
    with pytest.raises(ValueError, match="expected a call of loss"):
        method.after_step(Batch(torch.arange(2), (torch.randn(2, 3, 8, 8),)))


def test_the_memory_is_saved_and_not_trained():
    method = NPSoftmax(toy_encoder(), 10)
    assert "bank" in method.state_dict()
    assert "bank" not in dict(method.named_parameters())


@pytest.mark.parametrize("rows", [64 * 5, 64 * 5 + 1], ids=["product", "fetch"])
@pytest.mark.parametrize("autocast", [False, True])
def test_both_ways_to_the_remembered_similarities_agree(rows, autocast):
    bank = unit(rows, 16)
    chosen = torch.randint(rows, (7, 5), generator=torch.Generator().manual_seed(2))
    chosen[:, 3] = chosen[:, 0]  # an instance drawn twice counts twice
    embeddings = unit(7, 16, seed=1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = remembered_similarities(embeddings, bank, chosen, 0.1)
    expected = torch.stack([10 * bank[chosen[i]] @ embeddings[i] for i in range(7)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.arange(35.0).view(7, 5)
    (slope,) = torch.autograd.grad((found * weights).sum(), embeddings)
    (reference,) = torch.autograd.grad((expected * weights).sum(), embeddings)
    torch.testing.assert_close(slope, reference, rtol=1e-5, atol=1e-3)


def test_toy_set_is_large_enough_to_leave_rows_unseen():
    assert len(Trial(NPSoftmax, {}).batch().index) < INSTANCES
