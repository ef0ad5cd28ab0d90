import pytest
import torch

from methods.vicreg import covariance_term, variance_term, vicreg_loss


def naive_variance(z):
    n = len(z)
    total = 0
    for column in z.T:
        mean = sum(column) / n
        deviation = (sum((column - mean) ** 2) / (n - 1) + 1e-4).sqrt()
        total = total + torch.clamp(1 - deviation, min=0)
    return total / z.shape[1]


def naive_covariance(z):
    n, d = z.shape
    total = 0
    for i in range(d):
        for j in range(d):
            if i != j:
                products = [(row[i] - z[:, i].mean()) * (row[j] - z[:, j].mean()) for row in z]
                total = total + (sum(products) / (n - 1)) ** 2
    return total / d


def naive(first, second, invariance, variance, covariance):
    distance = sum((a - b) ** 2 for a, b in zip(first.flatten(), second.flatten(), strict=True))
    spread = (naive_variance(first) + naive_variance(second)) / 2
    redundancy = naive_covariance(first) + naive_covariance(second)
    return invariance * distance / first.numel() + variance * spread + covariance * redundancy


def features(rows, width, seed, scale=0.7):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, width, generator=generator, dtype=torch.float64) + 2


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 3.0)])
def test_value_and_gradient_are_those_of_loops(assert_agree, weights):
    assert_agree(
        lambda a, b: vicreg_loss(a, b, *weights),
        lambda a, b: naive(a, b, *weights),
        features(6, 3, 0),
        features(6, 3, 1),
    )


def test_there_is_no_variance_loss_beyond_the_target():
    assert variance_term(features(50, 3, 0, scale=9)).item() == 0
    assert variance_term(features(50, 3, 0, scale=9), target=100).item() > 80


def test_a_collapsed_batch_has_nearly_the_whole_variance_loss_and_a_finite_slope():
    collapsed = torch.full((5, 3), 7.0, dtype=torch.float64, requires_grad=True)
    loss = variance_term(collapsed)
    assert loss.item() == pytest.approx(0.99)  # 1 - sqrt(1e-4)
    (slope,) = torch.autograd.grad(loss, collapsed)
    assert slope.isfinite().all()
    assert covariance_term(collapsed).item() == 0


def test_uncorrelated_features_have_no_covariance():
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert covariance_term(signs).item() == 0


def test_gradient_is_that_of_finite_differences():
    inputs = features(4, 3, 0).requires_grad_(), features(4, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(vicreg_loss, inputs)


def test_agrees_with_lightly(assert_agree, lightly):
    assert_agree(vicreg_loss, lightly.VICRegLoss(), features(8, 5, 0), features(8, 5, 1), rtol=1e-6)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least 2 instances in a batch, got 1"):
        vicreg_loss(features(1, 3, 0), features(1, 3, 0))
