import math
from dataclasses import replace

import pytest
import torch

from methods.and_ import neighbourhood_loss
from methods.invaspread import instance_spread_loss
from methods.super_and import (
    SuperAND,
    bank_augmentation_loss,
    row_augmentation_loss,
    super_and_loss,
    unification_entropy,
    unification_weight,
)
from methods.testing.toy import Trial


def naive_entropy(similarities, index, own):
    """-sum_i sum_j p log p over rows whose own column is replaced, or left out at -inf."""
    total = torch.zeros((), dtype=torch.float64)
    for row, i in zip(similarities, index.tolist(), strict=True):
        constant = torch.tensor(own, dtype=torch.float64)
        kept = [constant if j == i else s for j, s in enumerate(row)]
        weights = [s.exp() for s in kept if s > -math.inf]
        for weight in weights:
            p = weight / sum(weights)
            total = total - p * p.log()
    return total / len(similarities)


@pytest.mark.parametrize("own", [-10.0, 0.0, -math.inf])
def test_entropy_and_its_gradient_are_those_of_a_double_loop(unit, assert_agree, own):
    index = torch.tensor([3, 0, 3, 6])
    assert_agree(
        lambda s: unification_entropy(s, index, own),
        lambda s: naive_entropy(s, index, own),
        5 * unit(4, 7),
    )


def test_equal_similarities_have_the_logarithm_of_the_others_as_entropy():
    rows = torch.full((3, 9), 4.0)
    loss = unification_entropy(rows, torch.arange(3), own=-math.inf)
    assert loss.item() == pytest.approx(math.log(8))


def test_a_single_near_neighbour_has_no_entropy():
    rows = torch.zeros(3, 9)
    rows[:, 5] = 200
    rows.requires_grad_()
    loss = unification_entropy(rows, torch.arange(3))
    (slope,) = torch.autograd.grad(loss, rows)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert slope.isfinite().all()


def test_the_own_similarity_has_neither_effect_nor_slope(unit):
    rows, index = 5 * unit(4, 7), torch.arange(4)
    changed = rows.clone()
    changed[torch.arange(4), index] = 99
    expected = unification_entropy(rows, index)
    torch.testing.assert_close(unification_entropy(changed, index), expected)
    (slope,) = torch.autograd.grad(unification_entropy(rows.requires_grad_(), index), rows)
    assert (slope[torch.arange(4), index] == 0).all()


def test_entropy_has_the_slope_of_finite_differences(unit):
    rows = (3 * unit(3, 6)).requires_grad_()
    for own in (-10.0, -math.inf):
        assert torch.autograd.gradcheck(
            lambda s, own=own: unification_entropy(s, torch.arange(3), own), (rows,)
        )


def test_rows_of_half_precision_are_summed_in_single():
    rows = torch.zeros(2, 5000, dtype=torch.bfloat16)
    loss = unification_entropy(rows, torch.arange(2), own=0.0)
    assert loss.item() == pytest.approx(math.log(5000), rel=1e-5)


def test_weight_is_the_released_schedule_of_200_epochs():
    found = [unification_weight(epoch / 200) for epoch in range(200)]
    assert found == pytest.approx([0.2 * (epoch // 80) for epoch in range(200)])
    assert {round(weight, 9) for weight in found} == {0.0, 0.2, 0.4}


def test_weight_rises_at_the_same_share_of_a_shorter_round():
    assert [unification_weight(epoch / 5) for epoch in range(5)] == pytest.approx(
        [0, 0, 0.2, 0.2, 0.4]
    )
    assert unification_weight(0.6, step=1, share=0.2) == 3
    with pytest.raises(ValueError, match="fraction: expected a number from 0 to 1"):
        unification_weight(1.5)


def naive_rows(first, second, temperature):
    """Scale each row to unit length, then the criterion of InvaSpread pair by pair."""
    rows = [row / row.square().sum().sqrt() for row in [*first, *second]]
    count, total = len(rows), torch.zeros((), dtype=torch.float64)
    for i in range(count):
        s = [(rows[i] @ other.detach() / temperature).exp() for other in rows]
        z = sum(s[j] for j in range(count) if j != i)
        partner = (i + count // 2) % count
        total = total - (s[partner] / z).log()
        for j in range(count):
            if j not in (i, partner):
                total = total - (1 - s[j] / z).log()
    return total / count


def test_row_loss_and_its_gradient_are_those_of_a_double_loop(unit, assert_agree):
    assert_agree(
        lambda a, b: row_augmentation_loss(a, b, 0.2),
        lambda a, b: naive_rows(a, b, 0.2),
        10 * unit(4, 7),
        10 * unit(4, 7, seed=1),
    )


def test_rows_differ_from_embeddings_and_their_factor_does_not_matter(unit):
    first, second, bank = unit(4, 5), unit(4, 5, seed=1), unit(9, 5, seed=2)
    rows = row_augmentation_loss(first @ bank.T, second @ bank.T)
    torch.testing.assert_close(rows, row_augmentation_loss(first @ bank.T * 10, second @ bank.T))
    assert abs(rows - instance_spread_loss(first, second)) > 0.01


@pytest.mark.parametrize("augmentation", ["rows", "embeddings"])
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_whole_is_the_sum_of_its_terms(unit, assert_agree, weight, augmentation):
    bank, index, near = unit(9, 5), torch.tensor([3, 0, 8, 5]), torch.tensor([2, -1, 7, -1])

    def terms(first, second):
        views = first, second
        rows = [view @ bank.T / 0.2 for view in views]
        discovered = sum(neighbourhood_loss(view, bank, index, near, 0.2) for view in views) / 2
        entropy = sum(unification_entropy(row, index) for row in rows) / 2
        compared = rows if augmentation == "rows" else views
        invariant = (row_augmentation_loss if augmentation == "rows" else instance_spread_loss)(
            *compared, 0.2
        )
        return discovered + invariant + weight * entropy

    assert_agree(
        lambda a, b: super_and_loss(
            a, b, bank, index, near, weight=weight, temperature=0.2, augmentation=augmentation
        ),
        terms,
        unit(4, 5, seed=1),
        unit(4, 5, seed=2),
    )


def test_wrong_arguments_are_named(unit):
    with pytest.raises(ValueError, match=r"index: expected shape \(4,\), got \(3,\)"):
        unification_entropy(unit(4, 7), torch.arange(3))
    with pytest.raises(ValueError, match=r"second: expected shape \(4, 7\), got \(4, 6\)"):
        row_augmentation_loss(unit(4, 7), unit(4, 6))


def test_the_augmentation_term_needs_no_row_as_long_as_the_bank(unit, assert_agree):
    bank, second = unit(11, 5), unit(4, 5, seed=2)
    assert_agree(
        lambda f: bank_augmentation_loss(f, second, bank, 0.2),
        lambda f: row_augmentation_loss(f @ bank.T / 0.1, second @ bank.T / 0.1, 0.2),
        unit(4, 5, seed=1),
    )


def test_the_entropy_joins_late_in_a_round():
    torch.manual_seed(0)
    trial = Trial(SuperAND, {})
    trial.start_epoch(0)
    early = trial.loss()
    late = SuperAND.loss(trial.method, replace(trial.batch(), clock=ended(trial.clock)))
    assert unification_weight(trial.clock.fraction) == 0
    assert unification_weight(ended(trial.clock).fraction) == pytest.approx(0.4)
    assert late.item() > early.item() + 0.1  # by the entropy of a thousand images


def ended(clock):
    return replace(clock, step=clock.steps - 1)
