import math

import pytest
import torch

from methods.simclr import nt_xent_loss


def naive(first, second, temperature):
    """Eq. 1, pair by pair."""
    images, n = [*first, *second], len(first)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        weights = {k: (images[i] @ images[k] / temperature).exp() for k in range(2 * n) if k != i}
        total = total - (weights[partner] / sum(weights.values())).log()
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("instances", [2, 5])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, instances, temperature):
    assert_agree(
        lambda a, b: nt_xent_loss(a, b, temperature),
        lambda a, b: naive(a, b, temperature),
        unit(instances, 4),
        unit(instances, 4, seed=1),
    )


def test_equal_embeddings_give_the_logarithm_of_the_candidates(unit):
    same = unit(1, 8).expand(16, 8)
    assert nt_xent_loss(same, same, 0.5).item() == pytest.approx(math.log(31))


def test_perfect_pairs_of_orthogonal_instances(unit):
    rows = torch.eye(8, dtype=torch.float64)
    expected = math.log(math.exp(2) + 14) - 2
    assert nt_xent_loss(rows, rows, 0.5).item() == pytest.approx(expected)


def test_the_views_and_the_order_of_instances_do_not_matter(unit):
    first, second, order = unit(6, 4), unit(6, 4, seed=1), torch.tensor([3, 1, 5, 0, 2, 4])
    expected = nt_xent_loss(first, second, 0.2)
    torch.testing.assert_close(nt_xent_loss(second, first, 0.2), expected)
    torch.testing.assert_close(nt_xent_loss(first[order], second[order], 0.2), expected)


def test_gradient_is_that_of_finite_differences(unit):
    inputs = unit(3, 4).requires_grad_(), unit(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent_loss(a, b, 0.5), inputs)


def test_autocast_changes_nothing(unit):
    first, second = unit(16, 32).float(), unit(16, 32, seed=1).float()
    expected = nt_xent_loss(first, second, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert nt_xent_loss(first, second, 0.05).item() == expected.item()


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_agrees_with_lightly(unit, assert_agree, lightly, temperature):
    assert_agree(
        lambda a, b: nt_xent_loss(a, b, temperature),
        lightly.NTXentLoss(temperature),
        unit(6, 4),
        unit(6, 4, seed=1),
        rtol=1e-6,
        sphere=True,
    )


def test_agrees_with_pytorch_metric_learning(unit, assert_agree):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    labels = torch.arange(6).repeat(2)
    assert_agree(
        lambda a, b: nt_xent_loss(a, b, 0.3),
        lambda a, b: losses.NTXentLoss(0.3)(torch.cat([a, b]), labels),
        unit(6, 4),
        unit(6, 4, seed=1),
        sphere=True,
    )


@pytest.mark.parametrize(
    ("instances", "second", "temperature", "message"),
    [
        (1, 1, 0.5, "first: expected at least 2 instances in a batch, got 1; raise the batch"),
        (4, 3, 0.5, r"second: expected shape \(4, 8\), got \(3, 8\)"),
        (4, 4, 0.0, "temperature: expected a finite number above 0"),
    ],
)
def test_wrong_arguments_are_named(unit, instances, second, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent_loss(unit(instances, 8), unit(second, 8), temperature)
