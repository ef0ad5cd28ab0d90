import math

import pytest
import torch

from methods.and_ import AND, anchor_count, anchor_neighbours, neighbourhood_loss
from methods.npsoftmax import NPSoftmax, nonparametric_softmax_loss
from methods.testing.toy import Trial, toy_encoder


def naive(embeddings, bank, index, neighbour, temperature):
    """L_and, image by image."""
    total = torch.zeros((), dtype=torch.float64)
    for f, own, near in zip(embeddings, index, neighbour, strict=True):
        weights = [(f @ v / temperature).exp() for v in bank]
        p = [weight / sum(weights) for weight in weights]
        total = total - (p[own] if near < 0 else p[own] + p[near]).log()
    return total / len(embeddings)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("neighbour", [[2, -1, 8, 0], [-1, -1, -1, -1], [4, 5, 6, 7]])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, neighbour, temperature):
    bank, index, near = unit(9, 5), torch.tensor([3, 0, 3, 8]), torch.tensor(neighbour)
    assert_agree(
        lambda f: neighbourhood_loss(f, bank, index, near, temperature),
        lambda f: naive(f, bank, index, near, temperature),
        unit(4, 5, seed=1),
    )


def test_without_anchors_it_is_npsoftmax(unit, assert_agree):
    bank, index = unit(9, 5), torch.tensor([3, 0, 3, 8])
    nobody = torch.full((4,), -1)
    assert_agree(
        lambda f: neighbourhood_loss(f, bank, index, nobody, 0.1),
        lambda f: nonparametric_softmax_loss(f, bank, index, 0.1),
        unit(4, 5, seed=1),
    )


def test_equal_memories_give_the_logarithm_of_their_share(unit):
    bank = unit(1, 5).expand(50, 5)
    near = torch.tensor([7, 8, -1, -1])
    loss = neighbourhood_loss(unit(4, 5), bank, torch.arange(4), near, 0.1)
    assert loss.item() == pytest.approx((math.log(25) + math.log(50)) / 2)


def test_neither_the_own_nor_the_neighbours_memory_takes_a_gradient(unit):
    embeddings, bank = unit(4, 5, seed=1).requires_grad_(), unit(9, 5).requires_grad_()
    loss = neighbourhood_loss(embeddings, bank, torch.arange(4), torch.tensor([5, 6, 7, -1]), 0.1)
    slopes = torch.autograd.grad(loss, (embeddings, bank), allow_unused=True)
    assert slopes[0].abs().sum() > 0
    assert slopes[1] is None


def test_gradient_is_that_of_finite_differences(unit):
    bank, near = unit(6, 4, seed=1), torch.tensor([4, -1, 5])
    assert torch.autograd.gradcheck(
        lambda f: neighbourhood_loss(f, bank, torch.arange(3), near, 0.5),
        (unit(3, 4).requires_grad_(),),
    )


def test_certain_instances_have_a_finite_loss_and_slope():
    rows = torch.eye(4).requires_grad_()
    near = torch.tensor([1, -1, -1, 0])
    loss = neighbourhood_loss(rows, torch.eye(4), torch.arange(4), near, 0.005)
    (slope,) = torch.autograd.grad(loss, rows)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert slope.isfinite().all()


def test_a_quarter_more_instances_are_anchors_in_each_round():
    assert [anchor_count(50_000, r) for r in range(5)] == [0, 12_500, 25_000, 37_500, 50_000]
    assert [anchor_count(1797, r) for r in range(5)] == [int(1797 * 0.25 * r) for r in range(5)]
    assert [anchor_count(10, r, rounds=3) for r in range(3)] == [0, 5, 10]
    assert anchor_count(10, 0, rounds=1) == 0


@pytest.mark.parametrize("round_index", [-1, 5])
def test_a_round_that_is_none_is_refused(round_index):
    with pytest.raises(ValueError, match="round_index: expected 0 to 4"):
        anchor_count(100, round_index)


@pytest.mark.parametrize("anchors", [0, 3, 8])
def test_anchors_are_those_of_the_lowest_entropy(anchors):
    entropy = torch.tensor([0.4, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.6])
    nearest = torch.tensor([5, 3, 1, 0, 7, 2, 4, 6])
    found = anchor_neighbours(nearest, entropy, anchors)
    lowest = sorted(range(8), key=entropy.tolist().__getitem__)[:anchors]
    assert found.tolist() == [int(nearest[i]) if i in lowest else -1 for i in range(8)]


def test_of_equal_entropies_the_lower_index_is_the_anchor():
    found = anchor_neighbours(torch.tensor([1, 2, 3, 0]), torch.ones(4), 2)
    assert found.tolist() == [1, 2, -1, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": torch.zeros(9, 7)}, r"bank: expected shape \(n, 8\), got \(9, 7\)"),
        ({"index": torch.zeros(3, dtype=torch.long)}, r"index: expected shape \(4,\), got \(3,\)"),
        ({"neighbour": torch.zeros(4)}, "neighbour: expected integers"),
        ({"temperature": 0}, "temperature: expected"),
    ],
)
def test_wrong_arguments_are_named(unit, changes, message):
    arguments = {
        "embeddings": unit(4, 8),
        "bank": unit(9, 8),
        "index": torch.arange(4),
        "neighbour": torch.arange(4),
        "temperature": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        neighbourhood_loss(**arguments | changes)
    with pytest.raises(ValueError, match="anchors: expected 0 to 4, got 5"):
        anchor_neighbours(torch.arange(4), torch.ones(4), 5)


def test_the_first_round_is_npsoftmax_to_the_bit():
    for seed in range(3):
        losses = []
        for cls in (AND, NPSoftmax):
            torch.manual_seed(seed)
            trial = Trial(cls, {"temperature": 0.1})
            trial.start_epoch(0)
            trial.train(3)
            losses.append(trial.loss())
        assert torch.equal(*losses)


def test_a_round_takes_the_anchors_of_the_bank_as_it_then_is():
    torch.manual_seed(0)
    trial = Trial(AND, {"rounds": 3})
    for number in range(3):
        trial.start_epoch(0, number)
        method = trial.method
        share = float((method.neighbour >= 0).float().mean())
        assert share == pytest.approx(number / 2, abs=1e-3)
        assert method.metrics() == {"anchors": share}
        if number:
            bank = method.bank.double()
            alike = bank @ bank.T
            alike.fill_diagonal_(-9)
            anchors = method.neighbour >= 0
            torch.testing.assert_close(
                alike.gather(1, method.neighbour.clamp(min=0).unsqueeze(1))[anchors, 0],
                alike.max(1).values[anchors],
            )
        trial.train(2)
    assert int(method.neighbour.min()) >= 0  # in the last round every instance is an anchor


def test_a_single_image_has_no_neighbour():
    with pytest.raises(ValueError, match="at least 2"):
        AND(toy_encoder(), 1)
