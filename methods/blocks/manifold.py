"""Mining on manifolds: a neighbour graph, diffusion on it, and pools of what it tells apart.

Source: Iscen et al., CVPR 2018. All functions are pure and work on the device of their input.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.backends.neighbours import search
from evaluation.validation import Array, as_embeddings, check_count, check_positive

CELLS = 1 << 24
"""Manifold similarities held at once: 64 MiB in fp32."""
COLUMNS = 32
"""Systems that are solved together on the host: their arrays then stay in the processor's cache.

Of 50,000 images five arrays of (n, 32) are 32 MB. A multiple of 32, since torch sums columns in
blocks of 128 bytes, each alike: wider or narrower arrays then give the same bits.
"""
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

    @cached_property
    def edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """What is left of the rows without their zeros, as `embedding_bag` takes it.

        Returns:
            Columns (e,) int32 and weights (e,) of the entries, row by row, and where each row
            starts, (n,) int32.
        """
        kept = self.weights != 0  # (n, k)
        counts = kept.sum(1)  # (n,)
        starts = counts.cumsum(0) - counts  # (n,)
        return self.neighbours[kept].int(), self.weights[kept], starts.int()

    def __matmul__(self, columns: Tensor) -> Tensor:
        """Return the (n, c) product with (n, c) columns."""
        # row i sums the rows of `columns` that its entries name: a product with a sparse matrix
        neighbours, weights, starts = self.edges
        return F.embedding_bag(neighbours, columns, starts, mode="sum", per_sample_weights=weights)


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
    similarities, neighbours = (torch.from_numpy(part).to(rows.device) for part in found)  # (n, k)
    count = len(rows)
    image = torch.arange(count, device=rows.device).unsqueeze(1)  # (n, 1)
    # a link i -> j is the number i n + j: it is mutual if the number of j -> i is there too
    mutual = torch.isin(neighbours * count + image, image * count + neighbours)  # (n, k)
    return Graph(neighbours, similarities.clamp(min=0).pow(3) * mutual)


def normalised_graph(graph: Graph) -> Graph:
    """Return S = D^-1/2 W D^-1/2 of a graph W with degrees D; rows without edges stay empty."""
    degrees = graph.weights.sum(1)  # (n,)
    scale = torch.where(degrees > 0, degrees.rsqrt(), 0)
    return Graph(graph.neighbours, graph.weights * scale.unsqueeze(1) * scale[graph.neighbours])


def diffuse(
    graph: Graph,
    rows: Tensor,
    *,
    alpha: float = 0.99,
    tolerance: float = 1e-10,
    iterations: int = ITERATIONS,
    columns: int | None = None,
) -> Tensor:
    """Return the manifold similarities f of images to all, (I - alpha S) f = e_i.

    Conjugate gradient on many images together, in the precision of the graph. After the default
    20 iterations f is 0 beyond 20 edges, and always between images that no path connects.

    Args:
        graph: (n, n) normalised graph S.
        rows: (r,) int64 images i.
        alpha: above 0 and below 1; the nearer to 1, the farther similarity spreads.
        tolerance: norm of the residual at which an image's system counts as solved.
        iterations: at most this many.
        columns: systems solved together; None for COLUMNS on the host, and all on an accelerator.

    Returns:
        (r, n), row by row the f of an image.

    Raises:
        ValueError: if an option does not fit.
    """
    check_alpha(alpha)
    check_count(iterations, "iterations")
    on_host = rows.device.type == "cpu"
    if columns is None:
        columns = COLUMNS if on_host else max(1, len(rows))
    solutions = graph.weights.new_empty(len(rows), len(graph.neighbours))  # (r, n)
    blocks = list(zip(torch.split(rows, columns), torch.split(solutions, columns), strict=True))

    def solve(block: tuple[Tensor, Tensor]) -> None:
        part, solution = block  # (c,), (c, n)
        solution.copy_(_conjugate_gradient(graph, part, alpha, tolerance, iterations).T)

    if on_host:
        with _a_thread_per_block() as pool:
            list(pool.map(solve, blocks))  # the list raises what a thread raised
    else:
        for block in blocks:
            solve(block)
    return solutions


@contextmanager
def _a_thread_per_block() -> Iterator[ThreadPoolExecutor]:
    """Give as many Python threads as torch has, in each of which torch uses one.

    Operations on 32 columns are too short to be shared out: on a busy machine two threads that
    wait for each other at the end of every operation took 30 times as long as one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what a new thread starts with
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _conjugate_gradient(
    graph: Graph, rows: Tensor, alpha: float, tolerance: float, iterations: int
) -> Tensor:
    """Return (n, c), column by column the f of some (c,) images; see `diffuse`.

    The textbook's method (Hestenes and Stiefel, 1952) with c systems side by side. A system below
    the tolerance stands still: its step and its direction are 0 from then on.
    """
    size = len(graph.neighbours), len(rows)
    solution = graph.weights.new_zeros(size)  # (n, c) x
    residual = torch.zeros_like(solution)  # (n, c) r = e_i - (I - alpha S) x
    residual[rows, torch.arange(len(rows), device=rows.device)] = 1
    direction = residual.clone()  # (n, c) p
    squared = torch.ones_like(residual[0])  # (c,) |r|^2
    buffer = torch.empty_like(residual)  # (n, c) of products that are summed at once
    for _ in range(iterations):
        unsolved = squared > tolerance**2  # (c,)
        if not bool(unsolved.any()):
            break
        # in place, since fresh memory costs as much as the arithmetic
        image = (graph @ direction).mul_(alpha)  # (n, c)
        torch.sub(direction, image, out=image)  # (n, c) (I - alpha S) p
        torch.mul(direction, image, out=buffer)
        step = torch.where(unsolved, squared / buffer.sum(0), 0)  # (c,)
        solution.addcmul_(direction, step)
        residual.addcmul_(image, -step)
        torch.mul(residual, residual, out=buffer)
        before, squared = squared, buffer.sum(0)  # (c,)
        direction.mul_(torch.where(unsolved, squared / before, 0)).add_(residual)
    return solution


def mine(
    embeddings: Array,
    *,
    neighbours: int = 30,
    positive_neighbours: int = 50,
    negative_neighbours: int = 100,
    alpha: float = 0.99,
    size: int = 50,
    iterations: int = ITERATIONS,
    cells: int = CELLS,
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
        cells: manifold similarities held at once; bounds memory and changes no pool.

    Raises:
        ValueError: if there are fewer than 2 images, a value is not finite or an option does not
            fit.
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
    nearest = torch.from_numpy(found).to(points.device)  # (n, max(near, wide))
    images = torch.arange(len(points), device=points.device)
    parts = []
    for rows in torch.split(images, max(1, cells // len(points))):
        similar = diffuse(graph, rows, alpha=alpha, iterations=iterations)  # (r, n)
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
    """Return the positives, their weights and the negatives of some (r,) images.

    Args:
        rows: (r,) int64 the images.
        similar: (r, n) manifold similarities.
        nearest: (r, at least max(near, wide)) int64 nearest images of the embedding.
        near: neighbours, in both senses, that positives are chosen by.
        wide: the same of negatives.
        size: images that a pool holds.

    Returns:
        (r, size) each: int32 with -1 as the filling, fp32 with 0, and int32 with -1.
    """
    image = rows.unsqueeze(1)  # (r, 1)
    itself = similar.gather(1, image)  # (r, 1)
    # the nearest on the manifold, without the image itself; whom no path reaches has similarity 0
    similarity, manifold = similar.scatter(1, image, 0).topk(max(near, wide))  # (r, max) both
    manifold = manifold.masked_fill(similarity <= 0, -1)
    # positives: near on the manifold but not in the embedding; negatives: the reverse
    positive = ~_among(manifold[:, :near], nearest[:, :near]) & (similarity[:, :near] > 0)
    negative = ~_among(nearest[:, :wide], manifold[:, :wide])  # (r, wide)
    positives = _first(manifold[:, :near], positive, size, -1)  # (r, size)
    weights = _first(similarity[:, :near], positive, size, 0)
    negatives = _first(nearest[:, :wide], negative, size, -1)
    # whoever has no positive is its own, with its similarity to itself
    alone = positives[:, :1] < 0  # (r, 1)
    positives[:, :1] = torch.where(alone, image, positives[:, :1])
    weights[:, :1] = torch.where(alone, itself, weights[:, :1])
    return positives.int(), weights.float(), negatives.int()


def _among(images: Tensor, others: Tensor) -> Tensor:
    """Return, row by row, which of (r, a) images are one of (r, b) others: (r, a) booleans."""
    return (images.unsqueeze(2) == others.unsqueeze(1)).any(2)  # from (r, a, b)


def _first(values: Tensor, kept: Tensor, size: int, filling: int) -> Tensor:
    """Return the first values of each row that are kept, in their order, and then the filling.

    Args:
        values: (r, a).
        kept: (r, a) booleans.
        size: columns of the result; values beyond them are dropped.
        filling: stands where a row keeps fewer.

    Returns:
        (r, size) of the type of the values.
    """
    # a stable sort of "is it dropped?" moves what is kept to the front, in its order
    order = kept.logical_not().argsort(dim=1, stable=True)[:, :size]  # (r, min(a, size))
    chosen = values.gather(1, order).masked_fill(~kept.gather(1, order), filling)
    return F.pad(chosen, (0, size - chosen.shape[1]), value=filling)  # (r, size)
