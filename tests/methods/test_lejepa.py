import cmath
import math

import pytest
import torch

from methods.lejepa import epps_pulley, prediction_loss, random_directions, sigreg


def naive_statistic(sample, points, limit):
    """Complex arithmetic, point by point, and the trapezoidal rule by hand."""
    ts = [-limit + 2 * limit * p / (points - 1) for p in range(points)]
    values = []
    for t in ts:
        phi = sum(cmath.exp(1j * t * float(x)) for x in sample) / len(sample)
        normal = math.exp(-(t**2) / 2)
        values.append(abs(phi - normal) ** 2 * normal)
    width = 2 * limit / (points - 1)
    return len(sample) * width * (sum(values) - (values[0] + values[-1]) / 2)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("points", "limit"), [(17, 5.0), (10, 3.0), (2, 1.0), (3, 1.0)])
def test_the_statistic_is_that_of_complex_arithmetic(points, limit):
    samples = 1.5 * normal(20, 4) + 0.3
    expected = [naive_statistic(column, points, limit) for column in samples.T]
    found = epps_pulley(samples, points, limit)
    assert found.tolist() == pytest.approx(expected)


def test_many_points_give_the_closed_form_of_epps_and_pulley():
    """The integral over the whole line of a Gaussian window is a sum of exponentials."""
    sample = normal(12, 1, seed=3)
    x = sample[:, 0]
    n, gap = len(x), x.unsqueeze(1) - x
    root = math.sqrt(2 * math.pi)
    pairs = (root * torch.exp(-gap.square() / 2)).sum() / n**2
    crossed = (root / math.sqrt(2) * torch.exp(-x.square() / 4)).sum() / n
    expected = n * (pairs - 2 * crossed + root / math.sqrt(3))
    found = epps_pulley(sample, points=2001, limit=12.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_standard_normal_is_near_zero_and_a_collapsed_batch_is_not():
    directions = random_directions(64, 8, torch.Generator().manual_seed(1))
    gaussian, collapsed = normal(2000, 8), torch.zeros(2000, 8)
    assert sigreg(gaussian, directions).item() < 4
    assert sigreg(collapsed, directions).item() > 100
    assert sigreg(gaussian + 1, directions).item() > 100
    assert sigreg(3 * gaussian, directions).item() > 100


@pytest.mark.parametrize("count", [10, 1000])
def test_normal_samples_have_the_expected_statistic_whatever_their_number(count):
    """E |phi(t) - exp(-t^2 / 2)|^2 is (1 - exp(-t^2)) / n: the integral is known."""
    expected = math.sqrt(2 * math.pi) - math.sqrt(2 * math.pi / 3)
    found = epps_pulley(normal(count, 4000)).mean()
    assert found.item() == pytest.approx(expected, rel=0.05)


def test_sigreg_is_the_mean_over_the_slices():
    embeddings, directions = normal(10, 3), random_directions(5, 3).double()
    expected = [naive_statistic([e @ a for e in embeddings], 17, 5.0) for a in directions]
    assert sigreg(embeddings, directions).item() == pytest.approx(sum(expected) / 5)


def test_directions_are_unit_rows_that_the_generator_decides():
    one, again = (random_directions(7, 4, torch.Generator().manual_seed(2)) for _ in range(2))
    torch.testing.assert_close(one.norm(dim=1), torch.ones(7))
    assert torch.equal(one, again)
    assert not torch.equal(one, random_directions(7, 4, torch.Generator().manual_seed(3)))


def test_gradients_are_those_of_finite_differences():
    directions = random_directions(5, 3).double()
    embeddings = normal(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: sigreg(e, directions), (embeddings,))
    views = [normal(3, 2, seed=s).requires_grad_() for s in range(3)]
    assert torch.autograd.gradcheck(lambda *v: prediction_loss(v, 2), views)


@pytest.mark.parametrize("global_views", [1, 2, None])
def test_the_prediction_is_that_of_a_loop(assert_agree, global_views):
    def naive(*views):
        centre = sum(views[: global_views or len(views)]) / (global_views or len(views))
        return sum((view - centre).square().sum() for view in views) / (len(views) * 4 * 3)

    assert_agree(
        lambda *views: prediction_loss(views, global_views),
        naive,
        *(normal(4, 3, seed=seed) for seed in range(4)),
    )


def test_equal_views_predict_each_other():
    assert prediction_loss([normal(4, 3)] * 3).item() == pytest.approx(0, abs=1e-20)


def test_agrees_with_lightly(assert_agree, lightly):
    module = pytest.importorskip("lightly.loss.lejepa_loss")
    theirs = module.SIGReg(knots=17, t_max=3.0, num_vectors=6)
    torch.manual_seed(0)  # what theirs draws
    drawn = torch.randn(4, 6, dtype=torch.float64)
    directions = (drawn / drawn.norm(dim=0)).T

    def seeded(embeddings):
        torch.manual_seed(0)
        return theirs(embeddings)

    # their 17 points lie from 0 to 3, ours from -3 to 3
    assert_agree(
        lambda e: sigreg(e, directions, 33, 3.0), seeded, normal(8, 4), rtol=1e-5, atol=1e-6
    )
    views = torch.stack([normal(8, 4, seed=seed) for seed in range(5)])
    expected = module.lejepa_invariance_loss(all_proj=views, global_proj=views[:2])
    torch.testing.assert_close(prediction_loss(list(views), 2), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: epps_pulley(normal(4, 2), points=1), "points: expected at least 2"),
        (lambda: epps_pulley(normal(4, 2), limit=0), "limit: expected"),
        (lambda: sigreg(normal(4, 2), normal(5, 3)), r"directions: expected shape \(s, 2\)"),
        (lambda: prediction_loss([normal(4, 2)]), "views: expected at least 2, got 1"),
        (lambda: prediction_loss([normal(4, 2)] * 2, 3), "global_views: expected at most 2"),
        (lambda: prediction_loss([normal(4, 2), normal(4, 3)]), r"views\[1\]: expected shape"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
