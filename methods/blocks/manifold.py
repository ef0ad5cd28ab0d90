"""Mining on manifolds: a neighbour graph, diffusion on it, and pools of what it tells apart.

Source: Iscen et al., CVPR 2018. All functions are pure and work on the device of their input.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.backends.neighbours import search
from evaluation.validation import Array, as_embeddings, check_count, check_positive

CHUNK = 1 << 24
"""Manifold similarities held at once; conjugate gradient needs four arrays of that size."""
ITERATIONS = 20


@dataclass(frozen=True, eq=False)
class Graph:
    """A sparse symmetric (n, n) matrix with at most k entries in a row.

    Attributes:
        neighbours: (n, k) int64 column of each entry.
        weights: (n, k) floating; 0 where there is no entry.
    """

    neighbours: Tensor
    weights: Tensor

    def __matmul__(self, columns: Tensor) -> Tensor:
        """Return the (n, c) product with (n, c) columns."""
        return F.embedding_bag(
            self.neighbours, columns, mode="sum", per_sample_weights=self.weights
        )


@dataclass(frozen=True, eq=False)
class Pools:
    """Positives and negatives of each image, best first; -1 fills what is left of a row.

    Attributes:
        positives: (n, size) int32 close on the manifold but not in the embedding, by falling
            manifold similarity. An image that has none is its own and only positive.
        weights: (n, size) fp32 manifold similarity of each positive, above 0; 0 in the filling.
        negatives: (n, size) int32 close in the embedding but not on the manifold, by falling
            similarity; a row may be empty.
    """

    positives: Tensor
    weights: Tensor
    negatives: Tensor


def mutual_neighbour_graph(embeddings: Array, k: int) -> Graph:
    """Return the graph that links two images which are both among the other's k nearest.

    An edge weighs max(0, similarity)^3; no image is its own neighbour.

    Args:
        embeddings: (n, d) L2-normalised embeddings.
        k: neighbours of an image, itself not counted, at most n - 1.
    """
    rows = as_embeddings(embeddings, "embeddings")
    found = search(rows, rows, k, exclude_self=True)
    similarities, neighbours = (torch.from_numpy(part).to(rows.device) for part in found)
    count = len(rows)
    image = torch.arange(count, device=rows.device).unsqueeze(1)
    mutual = torch.isin(neighbours * count + image, image * count + neighbours)
    return Graph(neighbours, similarities.clamp(min=0).pow(3) * mutual)


def normalised_graph(graph: Graph) -> Graph:
    """Return S = D^-1/2 W D^-1/2 of a graph W with degrees D; rows without edges stay empty."""
    degrees = graph.weights.sum(1)
    scale = torch.where(degrees > 0, degrees.rsqrt(), 0)
    return Graph(graph.neighbours, graph.weights * scale.unsqueeze(1) * scale[graph.neighbours])


def diffuse(
    graph: Graph,
    rows: Tensor,
    *,
    alpha: float = 0.99,
    tolerance: float = 1e-10,
    iterations: int = ITERATIONS,
) -> Tensor:
    """Return the manifold similarities f of images to all, (I - alpha S) f = e_i.

    Conjugate gradient on all images together, in the precision of the graph. After the default
    20 iterations f is 0 beyond 20 edges, and always between images that no path connects.

    Args:
        graph: (n, n) normalised graph S.
        rows: (r,) int64 images i.
        alpha: above 0 and below 1; the nearer to 1, the farther similarity spreads.
        tolerance: norm of the residual at which an image's system counts as solved.
        iterations: at most this many.

    Returns:
        (r, n), row by row the f of an image.
    """
    check_alpha(alpha)
    size = len(graph.neighbours), len(rows)
    solution = torch.zeros(size, dtype=graph.weights.dtype, device=rows.device)
    residual = torch.zeros_like(solution)
    residual[rows, torch.arange(len(rows), device=rows.device)] = 1
    direction = residual.clone()
    squared = torch.ones_like(residual[0])
    for _ in range(check_count(iterations, "iterations")):
        unsolved = squared > tolerance**2
        if not bool(unsolved.any()):
            break
        product = direction - alpha * (graph @ direction)
        step = torch.where(unsolved, squared / (direction * product).sum(0), 0)
        solution.addcmul_(direction, step)
        residual.addcmul_(product, -step)
        before, squared = squared, residual.square().sum(0)
        direction.mul_(torch.where(unsolved, squared / before, 0)).add_(residual)
    return solution.T


def mine(
    embeddings: Array,
    *,
    neighbours: int = 30,
    positive_neighbours: int = 50,
    negative_neighbours: int = 100,
    alpha: float = 0.99,
    size: int = 50,
    iterations: int = ITERATIONS,
) -> Pools:
    """Return each image's pools, with all images as anchors.

    Positives are nearest on the manifold but not in the embedding, negatives the reverse. As in
    the released code no neighbourhood is more than half of the set; other than there, it does not
    count the image itself. Images that no path connects are never neighbours on the manifold.

    Args:
        embeddings: (n, d) L2-normalised embeddings, n at least 2.
        neighbours: k of the mutual neighbour graph.
        positive_neighbours: neighbours, in both senses, that positives are chosen by.
        negative_neighbours: the same of negatives.
        alpha: see `diffuse`.
        size: images that a pool holds at most.
        iterations: see `diffuse`.
    """
    points = as_embeddings(embeddings, "embeddings")
    if len(points) < 2:
        raise ValueError("embeddings: expected at least 2 images to find neighbours, got 1")
    half = (len(points) + 1) // 2
    near = min(half, check_count(positive_neighbours, "positive_neighbours"))
    wide = min(half, check_count(negative_neighbours, "negative_neighbours"))
    size = check_count(size, "size")
    graph = mutual_neighbour_graph(points, min(half, check_count(neighbours, "neighbours")))
    graph = normalised_graph(graph)
    found = search(points, points, max(near, wide), exclude_self=True)[1]
    nearest = torch.from_numpy(found).to(points.device)
    images = torch.arange(len(points), device=points.device)
    parts = []
    for rows in torch.split(images, max(1, CHUNK // len(points))):
        similar = diffuse(graph, rows, alpha=alpha, iterations=iterations)
        parts.append(_pools(rows, similar, nearest[rows], near, wide, size))
    return Pools(*(torch.cat(part) for part in zip(*parts, strict=True)))


def check_alpha(alpha: float) -> float:
    """Return `alpha`; raise ValueError unless it lies above 0 and below 1."""
    if check_positive(alpha, "alpha") >= 1:
        raise ValueError(f"alpha: expected a number below 1, got {alpha!r}")
    return float(alpha)


def _pools(
    rows: Tensor, similar: Tensor, nearest: Tensor, near: int, wide: int, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positives, their weights and the negatives of some (r,) images."""
    image = rows.unsqueeze(1)
    itself = similar.gather(1, image)
    similarity, manifold = similar.scatter(1, image, 0).topk(max(near, wide))
    manifold = manifold.masked_fill(similarity <= 0, -1)
    positive = ~_among(manifold[:, :near], nearest[:, :near]) & (similarity[:, :near] > 0)
    negative = ~_among(nearest[:, :wide], manifold[:, :wide])
    positives = _first(manifold[:, :near], positive, size, -1)
    weights = _first(similarity[:, :near], positive, size, 0)
    alone = positives[:, :1] < 0
    positives[:, :1] = torch.where(alone, image, positives[:, :1])
    weights[:, :1] = torch.where(alone, itself, weights[:, :1])
    negatives = _first(nearest[:, :wide], negative, size, -1)
    return positives.int(), weights.float(), negatives.int()


def _among(images: Tensor, others: Tensor) -> Tensor:
    """Return, row by row, which of (r, a) images are one of (r, b) others."""
    return (images.unsqueeze(2) == others.unsqueeze(1)).any(2)


def _first(values: Tensor, kept: Tensor, size: int, filling: int) -> Tensor:
    """Return (r, size): the first of each row's values that are kept, then the filling."""
    order = kept.logical_not().argsort(dim=1, stable=True)[:, :size]
    chosen = values.gather(1, order).masked_fill(~kept.gather(1, order), filling)
    return F.pad(chosen, (0, size - chosen.shape[1]), value=filling)
