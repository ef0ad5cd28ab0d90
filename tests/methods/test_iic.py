import math
import sys

import pytest
import torch

from methods.iic import IIC, head_losses, joint_probabilities, mutual_information_loss
from methods.testing.toy import Trial


def probabilities(*shape, seed=0, sharpness=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(*shape, generator=generator, dtype=torch.float64)).softmax(-1)


def naive(first, second, weight=1.0):
    """Eq. 3 cell by cell."""
    n, c = first.shape
    p = [
        [sum(first[r, i] * second[r, j] for r in range(n)) / n for j in range(c)] for i in range(c)
    ]
    p = [[(p[i][j] + p[j][i]) / 2 for j in range(c)] for i in range(c)]
    mass = sum(map(sum, p))  # 1 for rows that sum to 1
    p = [[value / mass for value in row] for row in p]
    total = 0
    for i in range(c):
        for j in range(c):
            row, column = sum(p[i]), sum(p[k][j] for k in range(c))
            total = total - p[i][j] * (p[i][j].log() - weight * (row.log() + column.log()))
    return total


@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_value_and_gradient_are_those_of_a_double_loop(assert_agree, weight):
    assert_agree(
        lambda a, b: mutual_information_loss(a, b, weight),
        lambda a, b: naive(a, b, weight),
        probabilities(6, 3),
        probabilities(6, 3, seed=1),
    )


def test_several_heads_are_averaged():
    first, second = probabilities(4, 6, 3), probabilities(4, 6, 3, seed=1)
    each = torch.stack([naive(a, b) for a, b in zip(first, second, strict=True)])
    torch.testing.assert_close(head_losses(first, second), each)
    torch.testing.assert_close(mutual_information_loss(first, second), each.mean())


def test_joint_is_a_symmetric_distribution():
    joint = joint_probabilities(probabilities(2, 6, 3), probabilities(2, 6, 3, seed=1))
    torch.testing.assert_close(joint, joint.transpose(1, 2))
    torch.testing.assert_close(joint.sum((1, 2)), torch.ones(2, dtype=torch.float64))


def test_equal_clusters_that_agree_have_the_largest_information():
    hard = torch.eye(5, dtype=torch.float64).repeat(4, 1)
    assert mutual_information_loss(hard, hard).item() == pytest.approx(-math.log(5))


def test_one_cluster_for_all_has_no_information_and_a_finite_slope():
    hard = torch.zeros(8, 5)
    hard[:, 2] = 1
    hard.requires_grad_()
    loss = mutual_information_loss(hard, hard)
    (slope,) = torch.autograd.grad(loss, hard)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert slope.isfinite().all()


def test_independent_assignments_have_no_information():
    flat = torch.full((8, 5), 0.2, dtype=torch.float64)
    assert mutual_information_loss(probabilities(8, 5), flat).item() == pytest.approx(0, abs=0.05)
    assert mutual_information_loss(flat, flat).item() == pytest.approx(0, abs=1e-12)


def test_the_floor_is_the_one_of_the_code():
    hard = torch.eye(3, dtype=torch.float64)
    floor = sys.float_info.epsilon
    joint = torch.eye(3, dtype=torch.float64) / 3
    joint = joint.clamp(min=floor)
    rows = joint.sum(1, keepdim=True)
    expected = -(joint * (joint.log() - rows.log() - rows.T.log())).sum()
    torch.testing.assert_close(mutual_information_loss(hard, hard), expected, rtol=1e-14, atol=0)


def test_the_swap_of_views_does_not_matter():
    first, second = probabilities(6, 3), probabilities(6, 3, seed=1)
    torch.testing.assert_close(
        mutual_information_loss(first, second), mutual_information_loss(second, first)
    )


def test_gradient_is_that_of_finite_differences():
    inputs = probabilities(4, 3).requires_grad_(), probabilities(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(mutual_information_loss, inputs)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"second: expected shape \(1, 6, 3\), got \(1, 6, 4\)"):
        mutual_information_loss(probabilities(6, 3), probabilities(6, 4))
    with pytest.raises(ValueError, match="entropy_weight: expected a finite number above 0"):
        mutual_information_loss(probabilities(6, 3), probabilities(6, 3), 0.0)


@pytest.mark.parametrize(("training", "first"), [("alternate", False), ("sum", True)])
def test_the_many_clusters_train_first_and_the_few_in_their_turn(training, first):
    torch.manual_seed(0)
    trial = Trial(IIC, {"training": training})
    for epoch, few in enumerate((first, True)):
        trial.start_epoch(epoch)
        trial.method.zero_grad()
        trial.loss().backward()
        trained = {"main": trial.method.main.linear, "over": trial.method.over.linear}
        has = {name: layer.weight.grad is not None for name, layer in trained.items()}
        assert has == {"main": few, "over": training == "sum" or epoch == 0}
        trial.method.before_step(trial.clock)
        idle = [layer.weight.grad for name, layer in trained.items() if not has[name]]
        assert all(gradient is not None and not gradient.any() for gradient in idle)
