import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons

from evaluation.backends.neighbours import search
from helpers.arrays import gaussian, unit
from methods.base import normalise
from methods.blocks.manifold import Graph, diffuse, mine, mutual_neighbour_graph, normalised_graph

RING = 60


def rings(height=0.15):
    """Return two rings of 60 points on a sphere: each point has two of the other ring near by."""
    angle = torch.arange(RING) * 2 * torch.pi / RING
    flat = torch.stack([angle.cos(), angle.sin()], 1)
    halves = [torch.cat([flat, torch.full((RING, 1), h)], 1) for h in (-height, height)]
    return normalise(torch.cat(halves))


def moons(count=160):
    """Return two moons, noisy, on a cap of the sphere."""
    points, labels = make_moons(count, noise=0.06, random_state=0)
    lifted = np.c_[points - points.mean(0), np.full(count, 3.0)]
    return normalise(torch.from_numpy(lifted)), labels


def random(rows=50, width=6):
    return unit(rows, width).float()


def dense(graph):
    count = len(graph.neighbours)
    matrix = torch.zeros(count, count, dtype=torch.float64)
    return matrix.scatter_add(1, graph.neighbours, graph.weights.double())


def double(graph):
    return Graph(graph.neighbours, graph.weights.double())


def naive_graph(embeddings, k):
    rows = embeddings.double()
    similarities = rows @ rows.T
    nearest = []
    for i in range(len(rows)):
        others = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -similarities[i, j])
        nearest.append(set(others[:k]))
    matrix = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for i in range(len(rows)):
        for j in nearest[i]:
            if i in nearest[j]:
                matrix[i, j] = max(0, similarities[i, j]) ** 3
    return matrix


@pytest.mark.parametrize("k", [1, 5, 49])
def test_the_graph_is_that_of_a_loop(k):
    found = dense(mutual_neighbour_graph(random(), k))
    torch.testing.assert_close(found, naive_graph(random(), k), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, found.T, rtol=1e-5, atol=1e-6)
    assert not found.diagonal().any()


def test_opposite_images_have_no_edge():
    found = mutual_neighbour_graph(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 1)
    assert found.neighbours.tolist() == [[1], [0]]
    assert not found.weights.any()


def test_normalised_rows_and_columns_are_those_of_a_dense_product():
    graph = mutual_neighbour_graph(random(), 4)
    matrix = dense(graph)
    degrees = matrix.sum(1)
    scale = torch.where(degrees > 0, degrees**-0.5, 0)
    expected = scale[:, None] * matrix * scale
    torch.testing.assert_close(dense(normalised_graph(graph)), expected, rtol=1e-5, atol=1e-6)
    assert torch.linalg.eigvalsh(expected).max() <= 1 + 1e-6


def test_an_isolated_image_stays_isolated():
    points = torch.cat([random(20, 6) * torch.tensor([1.0] * 5 + [0]), torch.eye(6)[5:]])
    graph = normalised_graph(mutual_neighbour_graph(normalise(points), 3))
    assert not graph.weights[20].any()
    assert graph.weights.isfinite().all()
    similar = diffuse(graph, torch.tensor([20, 0]))
    assert similar[0].tolist() == [0.0] * 20 + [1.0]
    assert similar[1, 20] == 0


@pytest.mark.parametrize("alpha", [0.5, 0.99])
def test_conjugate_gradient_reaches_the_dense_solution(alpha):
    graph = double(normalised_graph(mutual_neighbour_graph(random(), 6)))
    rows = torch.tensor([3, 0, 49])
    system = torch.eye(50, dtype=torch.float64) - alpha * dense(graph)
    expected = torch.linalg.solve(system, torch.eye(50, dtype=torch.float64))[rows]
    found = diffuse(graph, rows, alpha=alpha, iterations=300)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def naive_conjugate_gradient(system, right, iterations):
    solution, residual = torch.zeros_like(right), right.clone()
    direction = residual.clone()
    for _ in range(iterations):
        product = system @ direction
        step = residual @ residual / (direction @ product)
        solution = solution + step * direction
        following = residual - step * product
        direction = following + following @ following / (residual @ residual) * direction
        residual = following
    return solution


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_few_iterations_are_those_of_one_image_alone(iterations):
    graph = double(normalised_graph(mutual_neighbour_graph(random(), 6)))
    system = torch.eye(50, dtype=torch.float64) - 0.99 * dense(graph)
    found = diffuse(graph, torch.arange(50), iterations=iterations)
    for row, right in enumerate(torch.eye(50, dtype=torch.float64)):
        expected = naive_conjugate_gradient(system, right, iterations)
        torch.testing.assert_close(found[row], expected, rtol=1e-8, atol=1e-9)


def test_the_tolerance_ends_each_image_alone():
    graph = double(normalised_graph(mutual_neighbour_graph(rings(), 4)))
    loose = diffuse(graph, torch.arange(5), tolerance=0.3, iterations=100)
    system = torch.eye(2 * RING, dtype=torch.float64) - 0.99 * dense(graph)
    residual = (torch.eye(2 * RING, dtype=torch.float64)[:5] - loose @ system).norm(dim=1)
    assert (residual <= 0.3).all()
    assert (residual > 1e-6).all()


def test_fp32_is_as_good_as_fp64_for_ranking():
    graph = normalised_graph(mutual_neighbour_graph(moons()[0], 8))
    rows = torch.arange(160)
    found, expected = diffuse(graph, rows), diffuse(double(graph), rows)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


def naive_pools(embeddings, k, near, wide, size, alpha):
    """Return the pools, from a dense solve in float64 and loops."""
    count = len(embeddings)
    graph = dense(normalised_graph(mutual_neighbour_graph(embeddings, k)))
    system = torch.eye(count, dtype=torch.float64) - alpha * graph
    similar = torch.linalg.inv(system)
    euclidean = torch.from_numpy(search(embeddings, embeddings, count - 1, exclude_self=True)[1])
    pools = []
    for i in range(count):
        reached = [j for j in range(count) if j != i and similar[i, j] > 1e-12]
        ranked = sorted(reached, key=lambda j: -similar[i, j])
        nearest = euclidean[i].tolist()
        positives = [j for j in ranked[:near] if j not in nearest[:near]][:size]
        negatives = [j for j in nearest[:wide] if j not in ranked[:wide]][:size]
        weights = [similar[i, j].item() for j in positives]
        pools.append((positives or [i], weights or [similar[i, i].item()], negatives))
    return pools


@pytest.mark.parametrize("size", [3, 40])
def test_pools_are_those_of_a_dense_solve_and_loops(size):
    points, _ = moons()
    found = mine(
        points, neighbours=6, positive_neighbours=10, negative_neighbours=20, size=size,
        alpha=0.9, iterations=500,
    )  # fmt: skip
    expected = naive_pools(points, 6, 10, 20, size, 0.9)
    assert any(not negatives for _, _, negatives in expected)
    for row, (positives, weights, negatives) in enumerate(expected):
        for pool, wanted in ((found.positives, positives), (found.negatives, negatives)):
            assert pool[row].tolist() == wanted + [-1] * (size - len(wanted))
        filled = weights + [0.0] * (size - len(weights))
        assert found.weights[row].tolist() == pytest.approx(filled, rel=1e-3, abs=1e-6)


def test_positives_follow_a_ring_and_negatives_sit_on_the_other():
    pools = mine(rings(), neighbours=4, positive_neighbours=14, negative_neighbours=14, size=14)
    nearest = search(rings(), rings(), 14, exclude_self=True)[1]
    ring = torch.arange(2 * RING) // RING
    for row in range(2 * RING):
        across = {j for j in nearest[row].tolist() if ring[j] != ring[row]}
        assert across
        steps = [row // RING * RING + (row + step) % RING for step in range(-7, 8) if step]
        positives = {j for j in pools.positives[row].tolist() if j >= 0}
        assert positives == set(steps) - set(nearest[row].tolist())
        assert {j for j in pools.negatives[row].tolist() if j >= 0} == across


def test_pools_of_moons_agree_with_the_classes_better_than_the_neighbours_do():
    points, labels = moons()
    pools = mine(points, neighbours=8, positive_neighbours=30, negative_neighbours=40)
    image = torch.arange(160).unsqueeze(1)
    mined = pools.positives != image
    same = torch.from_numpy(labels)[pools.positives.long()] == torch.from_numpy(labels)[image]
    right = same[mined & (pools.positives >= 0)].double().mean()
    wrong = torch.from_numpy(labels)[pools.negatives.long()] != torch.from_numpy(labels)[image]
    nearest = search(points, points, 40, exclude_self=True)[1]
    chance = (labels[nearest] != labels[:, None]).mean()
    assert right > 0.95
    assert wrong[pools.negatives >= 0].double().mean() > chance + 0.3


def test_pools_are_sorted_disjoint_and_never_the_image_itself():
    points = random(300, 8)
    pools = mine(points)
    assert pools.positives.shape == pools.weights.shape == pools.negatives.shape == (300, 50)
    assert (pools.positives.dtype, pools.weights.dtype) == (torch.int32, torch.float32)
    assert (pools.weights.diff(dim=1) <= 0).all()
    assert torch.equal(pools.weights > 0, pools.positives >= 0)
    assert (pools.negatives != torch.arange(300).unsqueeze(1)).all()
    for row in range(300):
        positives, negatives = pools.positives[row].tolist(), pools.negatives[row].tolist()
        assert not {j for j in positives if j >= 0} & {j for j in negatives if j >= 0}
        assert row not in positives[1:]


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_chunks_change_nothing(rows):
    whole, parts = mine(random(120)), mine(random(120), cells=120 * rows)
    assert torch.equal(whole.positives, parts.positives)
    assert torch.equal(whole.negatives, parts.negatives)
    torch.testing.assert_close(whole.weights, parts.weights)


def test_systems_are_solved_to_the_same_bits_in_blocks_of_columns_as_all_at_once():
    graph = normalised_graph(mutual_neighbour_graph(random(200), 6))
    together = diffuse(graph, torch.arange(200), columns=200)
    for columns in (32, 64, 96):
        assert torch.equal(diffuse(graph, torch.arange(200), columns=columns), together)


def test_torch_keeps_its_number_of_threads_and_they_change_nothing():
    graph = normalised_graph(mutual_neighbour_graph(random(200), 6))
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(diffuse(graph, torch.arange(200)))
        assert torch.get_num_threads() == threads
    assert torch.equal(*found)


def test_a_product_passes_over_links_that_are_not_mutual():
    graph = mutual_neighbour_graph(random(60), 5)
    assert (graph.weights == 0).any()
    columns = gaussian(60, 7).float()
    torch.testing.assert_close((graph @ columns).double(), dense(graph) @ columns.double())


def test_two_images_are_each_their_own_positive():
    pools = mine(torch.eye(2), size=3)
    assert pools.positives.tolist() == [[0, -1, -1], [1, -1, -1]]
    assert pools.weights.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert pools.negatives.tolist() == [[1, -1, -1], [0, -1, -1]]


def test_a_collapsed_embedding_gives_finite_pools():
    pools = mine(torch.ones(40, 4) / 2)
    assert pools.weights.isfinite().all()
    assert (pools.positives[:, 0] >= 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 0}, "neighbours: expected"),
        ({"positive_neighbours": 0}, "positive_neighbours: expected"),
        ({"negative_neighbours": 1.5}, "negative_neighbours: expected"),
        ({"size": 0}, "size: expected"),
        ({"alpha": 1}, "alpha: expected a number below 1, got 1"),
        ({"alpha": 0}, "alpha: expected a finite number above 0"),
        ({"iterations": 0}, "iterations: expected"),
        ({"embeddings": torch.ones(1, 3)}, "embeddings: expected at least 2 images"),
        ({"embeddings": torch.full((5, 3), torch.nan)}, "embeddings: expected finite values"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        mine(**{"embeddings": random(20), **options})
