import math

import numpy as np
import pytest
import torch

from evaluation.metrics.representation import (
    REPRESENTATION_METRICS,
    alignment,
    effective_rank,
    representation_metrics,
    spread,
    uniformity,
    view_agreement,
)
from evaluation.undefined import Undefined


def views(rows=70, width=6, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((rows, width))
    return [images + noise * rng.standard_normal((rows, width)) for _ in range(2)]


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def naive_uniformity(points, temperature):
    rows = unit(points)
    kernel = [
        math.exp(-temperature * float(np.sum((rows[i] - rows[j]) ** 2)))
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    ]
    return math.log(sum(kernel) / len(kernel))


def naive_agreement(first, second, k):
    def neighbours(points, i):
        rows = unit(points)
        others = [j for j in range(len(rows)) if j != i]
        return set(sorted(others, key=lambda j: -(rows[i] @ rows[j]))[:k])

    shared = [len(neighbours(first, i) & neighbours(second, i)) for i in range(len(first))]
    return 100.0 * sum(shared) / (k * len(first))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3])
def test_alignment_equals_a_naive_loop(power):
    first, second = views()
    distances = [math.dist(a, b) for a, b in zip(unit(first), unit(second), strict=True)]
    expected = sum(distance**power for distance in distances) / len(distances)
    assert alignment(first, second, power) == pytest.approx(expected, rel=1e-5)


def test_limits_of_alignment():
    first, second = views()
    assert alignment(first, first) == 0.0
    assert alignment(first, -first) == pytest.approx(4.0)
    assert alignment(first, -first, power=1) == pytest.approx(2.0)
    assert alignment(first, second) > alignment(*views(noise=0.1)) > 0.0


@pytest.mark.parametrize("temperature", [0.1, 2.0, 30.0])
def test_uniformity_equals_a_naive_loop(temperature):
    points, _ = views()
    expected = naive_uniformity(points, temperature)
    assert uniformity(points, temperature) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cells", [1, 100, 1000])
def test_chunks_of_pairs_do_not_matter(cells):
    points, _ = views()
    expected = uniformity(points)
    assert uniformity(points, cells=cells) == pytest.approx(expected, rel=1e-6)


def test_limits_of_uniformity():
    assert uniformity([[1.0, 0.0], [-2.0, 0.0]]) == pytest.approx(-8.0)
    assert uniformity(np.eye(50)) == pytest.approx(-4.0)
    spread = np.random.default_rng(0).standard_normal((400, 256))
    assert uniformity(spread) == pytest.approx(-4.0, abs=0.05)
    assert uniformity(spread[:, :2]) > uniformity(spread[:, :8]) > uniformity(spread)


def test_uniformity_where_every_exponential_underflows():
    assert uniformity(np.eye(5), temperature=1e4) == pytest.approx(-2e4)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60), (30, 30)])
def test_effective_rank_equals_a_naive_entropy(shape):
    points = np.random.default_rng(0).standard_normal(shape)
    points[:, 3] *= 10.0
    # singular values by another way: the roots of the eigenvalues of the Gram matrix
    small = points.T @ points if shape[0] > shape[1] else points @ points.T
    values = [math.sqrt(max(x, 0.0)) for x in np.linalg.eigvalsh(small)]
    shares = [value / sum(values) + 1e-7 for value in values]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert effective_rank(points) == pytest.approx(expected, rel=1e-4)
    assert 1.0 < expected < min(shape)


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_effective_rank_of_equal_directions(rank):
    points = np.tile(np.eye(16)[:rank], (10, 1))
    assert effective_rank(points) == pytest.approx(rank, rel=1e-3)


def test_effective_rank_takes_embeddings_as_they_are():
    points, _ = views()
    assert effective_rank(7.0 * points) == pytest.approx(effective_rank(points))
    assert effective_rank(points + 5.0) < effective_rank(points)
    stretched = points * np.linspace(0.01, 100.0, len(points))[:, None]
    assert effective_rank(stretched) != pytest.approx(effective_rank(points), rel=1e-3)


@pytest.mark.parametrize("k", [1, 5, 10, 69])
def test_view_agreement_equals_a_naive_loop(k):
    first, second = views()
    found = view_agreement(first, second, k)
    assert found == pytest.approx(naive_agreement(first, second, k))
    assert found == view_agreement(second, first, k)
    assert 0.0 < found <= 100.0


def test_limits_of_view_agreement():
    first, second = views(rows=500)
    assert view_agreement(first, 3.0 * first) == 100.0
    unrelated = np.random.default_rng(9).standard_normal(first.shape)
    assert view_agreement(first, unrelated) == pytest.approx(100 * 10 / 499, abs=0.7)
    assert view_agreement(first, second) > 10.0


def test_neighbours_beyond_the_others_count_them_all():
    first, second = views(rows=6)
    assert view_agreement(first, second, k=5) == view_agreement(first, second, k=1000) == 100.0


def test_figures_are_those_of_the_functions():
    first, second = views()
    assert representation_metrics(first, second) == {
        "alignment": alignment(first, second),
        "uniformity": pytest.approx((uniformity(first) + uniformity(second)) / 2),
        "effective_rank": pytest.approx((effective_rank(first) + effective_rank(second)) / 2),
        "view_agreement": view_agreement(first, second),
    }


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
@pytest.mark.parametrize("noise", [0.0, 1e-7], ids=["exactly", "up to rounding"])
def test_a_collapsed_network_has_no_figures(value, noise):
    draws = np.random.default_rng(0).standard_normal((2, 300, 6))
    first, second = value * (1.0 + noise * draws)
    found = representation_metrics(first, second)
    assert found == {}
    assert found.undefined.keys() == set(REPRESENTATION_METRICS)
    assert all("collapsed" in reason for reason in found.undefined.values())


def test_limits_of_single_metrics_where_all_embeddings_are_equal():
    same = np.ones((300, 6))
    assert view_agreement(same, same) < 10.0  # which of those that tie is no agreement
    found = alignment(same, same), uniformity(same), effective_rank(same)
    assert found == pytest.approx((0.0, 0.0, 1.0), abs=1e-4)


def test_limits_of_single_metrics_where_rows_are_zero():
    zeros = np.zeros((300, 6))
    assert view_agreement(zeros, zeros) < 10.0
    assert (alignment(zeros, zeros), uniformity(zeros)) == pytest.approx((0.0, 0.0), abs=1e-9)
    with pytest.raises(Undefined, match="every row is zero"):
        effective_rank(zeros)
    # a zero row is at distance 1 from every unit row
    assert alignment([[0.0, 0.0]], [[3.0, 4.0]]) == pytest.approx(1.0)
    assert uniformity([[0.0, 0.0], [3.0, 4.0]]) == pytest.approx(-2.0)


def test_a_metric_without_a_value_leaves_the_others_theirs():
    first = np.random.default_rng(0).standard_normal((30, 4))
    found = representation_metrics(first, np.zeros_like(first))
    assert found.keys() == {"alignment", "uniformity", "view_agreement"}
    assert found.undefined.keys() == {"effective_rank"}


@pytest.mark.parametrize(("rows", "said"), [(2, True), (11, True), (12, False)])
def test_that_all_others_are_neighbours_is_said(rows, said):
    caveats = representation_metrics(*views(rows)).caveats
    assert (caveats.keys() == {"view_agreement"}) is said


def test_figures_of_two_images():
    figures = representation_metrics(np.eye(2), np.eye(2))
    expected = {
        "alignment": 0.0, "uniformity": -4.0, "effective_rank": 2.0, "view_agreement": 100.0
    }  # fmt: skip
    assert figures == pytest.approx(expected, abs=1e-5)


def test_bf16_tensors_with_gradient():
    first, second = (torch.from_numpy(view).bfloat16().requires_grad_() for view in views())
    rounded = [view.detach().float().numpy() for view in (first, second)]
    assert representation_metrics(first, second) == representation_metrics(*rounded)


@pytest.mark.parametrize("judge", [alignment, view_agreement, representation_metrics])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((4, 3), (5, 3), "second: expected 4 rows like first, found 5"),
        ((4, 3), (4, 2), "second: expected width 3 like first, found width 2"),
        ((0, 3), (0, 3), r"first: expected a non-empty array .* found shape \(0, 3\)"),
    ],
)
def test_views_that_do_not_match(judge, first, second, message):
    with pytest.raises(ValueError, match=message):
        judge(np.ones(first), np.ones(second))


@pytest.mark.parametrize("judge", [alignment, view_agreement, representation_metrics])
def test_views_with_nan(judge):
    with pytest.raises(ValueError, match="second: expected finite values, found 1 rows"):
        judge(np.ones((2, 2)), np.array([[1.0, math.nan], [0.0, 1.0]]))


@pytest.mark.parametrize("judge", [uniformity, effective_rank])
def test_embeddings_with_nan(judge):
    with pytest.raises(ValueError, match="embeddings: expected finite values, found 1 rows"):
        judge(np.array([[1.0, math.inf], [0.0, 1.0]]))


def test_one_image():
    one = np.array([[3.0, 4.0]])
    assert alignment(one, one) == 0.0
    assert effective_rank(one) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(Undefined, match="expected at least 2 rows, found 1"):
        view_agreement(one, one)
    with pytest.raises(Undefined, match="embeddings: expected at least 2 rows, found 1"):
        uniformity(one)
    found = representation_metrics(one, one)
    assert found == {}
    assert all("single image" in found.undefined[name] for name in REPRESENTATION_METRICS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: alignment(x, x, power=0.0), "power: expected a finite number above 0"),
        (lambda x: uniformity(x, -1.0), "temperature: expected a finite number above 0"),
        (lambda x: view_agreement(x, x, k=0), "k: expected an integer of at least 1, got 0"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(3))


def test_spread_of_a_sphere_of_a_point_and_of_a_loop():
    rows = np.random.default_rng(0).standard_normal((4000, 16))
    assert spread(rows) == pytest.approx(1, abs=0.02)
    assert spread(np.ones((7, 3))) == pytest.approx(0, abs=1e-7)
    unit = rows[:50] / np.linalg.norm(rows[:50], axis=1, keepdims=True)
    naive = [math.sqrt(sum((v - column.mean()) ** 2 for v in column) / 50) for column in unit.T]
    assert spread(rows[:50]) == pytest.approx(sum(naive) / 16 * 4, rel=1e-5)
