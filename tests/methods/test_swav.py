import math

import pytest
import torch

from methods.swav import sinkhorn, swapped_prediction_loss


def scores(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1


def naive_sinkhorn(values, epsilon, iterations):
    """Algorithm 1 with plain exponentials."""
    n, k = values.shape
    q = (values / epsilon).exp()
    for _ in range(iterations):
        q = torch.stack([column / sum(column) * n / k for column in q.T]).T
        q = torch.stack([row / sum(row) for row in q])
    return q


@pytest.mark.parametrize("iterations", [1, 3, 10])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_assignments_are_those_of_plain_exponentials(epsilon, iterations):
    values = scores(8, 5)
    found = sinkhorn(values, epsilon, iterations)
    torch.testing.assert_close(found, naive_sinkhorn(values, epsilon, iterations))


@pytest.mark.parametrize("shape", [(12, 4), (4, 12), (6, 6)])
def test_assignments_are_doubly_stochastic(shape):
    rows, prototypes = shape
    found = sinkhorn(scores(*shape), 0.1, 300)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(rows, dtype=torch.float64))
    expected = torch.full((prototypes,), rows / prototypes, dtype=torch.float64)
    torch.testing.assert_close(found.sum(0), expected, rtol=1e-6, atol=0)


def test_rows_sum_to_one_after_any_iterations():
    found = sinkhorn(scores(64, 10).float(), 0.05, 3)
    torch.testing.assert_close(found.sum(1), torch.ones(64))


def test_no_prototype_takes_all_even_where_all_images_prefer_one():
    values = scores(8, 4) * 0.01
    values[:, 2] += 1
    sums = sinkhorn(values, 0.05, 50).sum(0)
    torch.testing.assert_close(sums, torch.full((4,), 2.0, dtype=torch.float64), rtol=1e-3, atol=0)


def test_a_tiny_epsilon_neither_overflows_nor_underflows():
    found = sinkhorn(scores(8, 4).float(), 1e-4, 3)
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(1), torch.ones(8))


def test_a_large_epsilon_makes_all_assignments_equal():
    torch.testing.assert_close(
        sinkhorn(scores(8, 4), 1e6, 3),
        torch.full((8, 4), 0.25, dtype=torch.float64),
        rtol=1e-5,
        atol=0,
    )


def test_assignments_take_no_gradient():
    assert not sinkhorn(scores(8, 4).requires_grad_()).requires_grad


def naive(crops, codes, temperature):
    """Eq. 2 over all pairs of Eq. 6."""
    total, pairs = 0, 0
    for a, code in enumerate(codes):
        for v, crop in enumerate(crops):
            if v == a:
                continue
            for q, z in zip(code.detach(), crop, strict=True):
                p = (z / temperature).exp()
                total = total - (q * (p / sum(p)).log()).sum() / len(crop)
            pairs += 1
    return total / pairs


@pytest.mark.parametrize(("crops", "assigned"), [(2, 2), (5, 2), (3, 1), (3, 3)])
def test_value_and_gradient_are_those_of_loops(assert_agree, crops, assigned):
    codes = [sinkhorn(scores(6, 4, seed=10 + a)) for a in range(assigned)]
    assert_agree(
        lambda *views: swapped_prediction_loss(views, codes, 0.3),
        lambda *views: naive(views, codes, 0.3),
        *(scores(6, 4, seed=v) for v in range(crops)),
    )


def test_equal_scores_give_the_logarithm_of_the_prototypes():
    flat = torch.zeros(6, 8)
    loss = swapped_prediction_loss([flat, flat], [sinkhorn(scores(6, 8).float())] * 2)
    assert loss.item() == pytest.approx(math.log(8))


def test_gradient_is_that_of_finite_differences():
    codes = [sinkhorn(scores(3, 4, seed=9))]
    views = [scores(3, 4, seed=v).requires_grad_() for v in range(2)]
    assert torch.autograd.gradcheck(lambda *v: swapped_prediction_loss(v, codes, 0.5), views)


@pytest.mark.parametrize("queued", [False, True])
def test_agrees_with_lightly(assert_agree, lightly, queued):
    queue = [scores(10, 4, seed=20 + a) for a in range(2)] if queued else None

    def ours(*views):
        codes = []
        for a, view in enumerate(views[:2]):
            together = torch.cat([view, queue[a]]) if queued else view
            codes.append(sinkhorn(together, 0.05, 3)[: len(view)])
        return swapped_prediction_loss(views, codes, 0.1)

    theirs = lightly.SwaVLoss()
    assert_agree(
        ours,
        lambda *views: theirs(list(views[:2]), list(views[2:]), queue).squeeze(),
        *(scores(6, 4, seed=v) for v in range(5)),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinkhorn(scores(4, 3), 0), "epsilon: expected"),
        (lambda: sinkhorn(scores(4, 3), 0.1, 0), "iterations: expected"),
        (lambda: swapped_prediction_loss([scores(4, 3)], [scores(4, 3)]), "at least 2 crops"),
        (lambda: swapped_prediction_loss([scores(4, 3)] * 2, []), "0 assignments"),
        (
            lambda: swapped_prediction_loss([scores(4, 3), scores(4, 2)], [scores(4, 3)]),
            r"scores\[1\]: expected shape \(4, 3\), got \(4, 2\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
