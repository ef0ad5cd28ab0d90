"""Cyclic: pairs from cycles and geodesic distances in a neighbour graph (Li et al., ECCV 2016).

"Unsupervised Visual Representation Learning by Graph-based Consistent Constraints". The paper's
numbers (neighbours, length of a cycle, what distance is far) are not known here: all are options,
and the defaults are this suite's choice. Graphs are sparse; the searches run on the host.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from torch import Tensor, nn

from evaluation.backends.neighbours import search
from evaluation.validation import (
    Array,
    Integers,
    as_embeddings,
    as_floats,
    check_count,
    check_positive,
)
from methods.base import Batch, Clock, Method, TrainingSet, normalise
from methods.blocks.distance import pair_distance

CELLS = 1 << 22
"""Path lengths (fp64) held at once: 32 MiB."""


def cycle_pairs(neighbours: Array, length: int = 4) -> Tensor:
    """Return the pairs (i, j) with j among i's nearest and a short way back from j to i.

    An edge of the directed neighbour graph that closes a cycle of at most `length` edges joins
    images of one class more often than any edge. With length 2 that is a mutual neighbour.

    Args:
        neighbours: (n, k) int64 nearest other images of each image.
        length: edges of a cycle, at least 2. Costs n k^(length / 2) or so: 4 is cheap.

    Returns:
        (m, 2) int64 pairs in host memory, i ascending, j in the order of its row.
    """
    if check_count(length, "length") < 2:
        raise ValueError(f"length: expected at least 2 edges, got {length}")
    table = _as_table(neighbours)
    count, width = table.shape
    edges = _graph(np.ones(table.size, np.float32), table)
    # reach[j, i] > 0: a way of the right number of edges leads from j to i. Only ways that end
    # where an edge starts matter, so the last product is masked by the reversed edges
    reversed_edges = edges.T.tocsr()
    closed = sparse.csr_matrix((count, count), dtype=np.float32)
    reach = edges
    for step in range(2, length + 1):
        closed = closed + reach.multiply(reversed_edges)
        if step < length:
            reach = _unweighted(reach @ edges)
    image = np.repeat(np.arange(count), width)
    back = np.asarray(closed.tocsr()[table.ravel(), image]).ravel() > 0
    return torch.from_numpy(np.stack([image[back], table.ravel()[back]], 1))


def geodesic_negatives(
    embeddings: Array, neighbours: int = 10, candidates: int = 100, stretch: float = 2.0
) -> Tensor:
    """Return each image's hard negatives: near in the embedding, far along the graph.

    The geodesic distance is the shortest way over edges of the (undirected) neighbour graph, each
    as long as its Euclidean distance. A candidate is a negative if that is more than `stretch`
    times its Euclidean distance, or if no way leads there.

    Args:
        embeddings: (n, d) L2-normalised embeddings.
        neighbours: k of the graph, at most n - 1.
        candidates: nearest images that can be negatives, at most n - 1.
        stretch: at least 1.

    Returns:
        (n, candidates) int64 in host memory, nearest first; -1 fills what is left of a row.
    """
    if not stretch >= 1:
        raise ValueError(f"stretch: expected a number of at least 1, got {stretch!r}")
    rows = as_embeddings(embeddings, "embeddings")
    check_count(neighbours, "neighbours")
    check_count(candidates, "candidates")
    cosines, found = search(rows, rows, max(neighbours, candidates), exclude_self=True)
    # |a - b|^2 = 2 - 2 cos for unit rows; below 0 only by rounding
    lengths = np.sqrt(np.maximum(2.0 - 2.0 * cosines.astype(np.float64), 0.0))
    floor = 1e-6  # an edge of length 0 would be no edge in a sparse matrix
    graph = _graph(np.maximum(lengths[:, :neighbours], floor).ravel(), found[:, :neighbours])
    near, length = found[:, :candidates], lengths[:, :candidates]
    negatives = np.full(near.shape, -1, np.int64)
    step = max(1, CELLS // len(rows))
    for start in range(0, len(rows), step):
        chunk = np.arange(start, min(start + step, len(rows)))
        bound = stretch * length[chunk]  # (c, candidates)
        # the search stops at the longest bound: what it did not reach is far
        paths = dijkstra(graph, directed=False, indices=chunk, limit=float(bound.max()) + floor)
        far = np.take_along_axis(paths, near[chunk], 1) > bound + floor
        order = np.argsort(~far, axis=1, kind="stable")
        kept = np.take_along_axis(near[chunk], order, 1)
        negatives[chunk] = np.where(np.take_along_axis(far, order, 1), kept, -1)
    return torch.from_numpy(negatives)


def contrastive_loss(first: Array, second: Array, same: Array, margin: float = 1.0) -> Tensor:
    """Return the mean of D^2 for positive pairs and max(0, margin - D)^2 for negative ones.

    Source: Hadsell et al., CVPR 2006, Eq. 4, without its factor 1/2. D is Euclidean.

    Args:
        first: (b, d) L2-normalised embeddings.
        second: (b, d) embeddings of each one's pair.
        same: (b,) bool, whether the pair is positive.
        margin: above 0; D reaches 2.
    """
    check_positive(margin, "margin")
    first = as_floats(first, "first", "b", "d")
    second = as_floats(second, "second", *first.shape)
    same = torch.as_tensor(same)
    if same.dtype != torch.bool or same.shape != first.shape[:1]:
        raise ValueError(f"same: expected ({len(first)},) bool, got {tuple(same.shape)}")
    pulled = pair_distance(first, second, "sqeuclidean")  # (b,)
    pushed = F.relu(margin - pair_distance(first, second, "euclidean")).square()
    return torch.where(same, pulled, pushed).mean()


class Cyclic(Method):
    """Contrastive training on pairs that a neighbour graph of the features gives.

    Positives close a cycle in the directed graph; hard negatives are near in feature space and far
    along the graph. Both are mined before the first epoch, on the encoder's pooled features: the
    paper's are of a pretrained network, and what an untrained one gives is close to noise. The
    paper's numbers are not known here: every default is this suite's choice.

    An epoch draws for every image, as an anchor, either a positive or a negative and visits the two
    one after the other: two passes over as many images as there are. An image that has none of the
    kind drawn takes the other kind; one that has neither is its own positive, in a second view.

    Args:
        encoder: see `Method`.
        instances: see `Method`, at least 2.
        neighbours: k of the graph; at most instances - 1 are used.
        cycle: longest cycle in edges, at least 2.
        candidates: nearest images that can be negatives; at most instances - 1 are used.
        stretch: how many times its straight distance the way to a negative is at least, at least 1.
        positive_share: probability that an anchor draws a positive, from 0 to 1.
        margin: distance that negatives are pushed to, above 0; it reaches 2.
        remine: epochs after which pairs are mined anew; None for never.

    Raises:
        ValueError: if there is a single instance, or a value is out of its range.
    """

    name = "cyclic"
    paper = "Li et al., ECCV 2016"
    family = "triplet"
    views = 1
    positives: Tensor
    negatives: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        neighbours: int = 10,
        cycle: int = 4,
        candidates: int = 100,
        stretch: float = 2.0,
        positive_share: float = 0.5,
        margin: float = 1.0,
        remine: int | None = None,
    ) -> None:
        super().__init__(encoder, instances)
        if instances < 2:
            raise ValueError(f"instances: expected at least 2 for a pair, got {instances}")
        if check_count(cycle, "cycle") < 2:
            raise ValueError(f"cycle: expected at least 2 edges, got {cycle}")
        if not stretch >= 1:
            raise ValueError(f"stretch: expected a number of at least 1, got {stretch!r}")
        if not 0 <= positive_share <= 1:
            raise ValueError(f"positive_share: expected 0 to 1, got {positive_share!r}")
        self.neighbours = min(check_count(neighbours, "neighbours"), instances - 1)
        self.candidates = min(check_count(candidates, "candidates"), instances - 1)
        self.cycle, self.stretch, self.positive_share = cycle, stretch, positive_share
        self.margin = check_positive(margin, "margin")
        self.remine = None if remine is None else check_count(remine, "remine")
        for name, width in (("positives", self.neighbours), ("negatives", self.candidates)):
            self.register_buffer(name, torch.full((instances, width), -1, dtype=torch.int32))

    def start_epoch(self, clock: Clock, train: TrainingSet) -> None:
        """Mine pairs if it is due."""
        again = self.remine is not None and clock.epoch % self.remine == 0
        if not (clock.first or again):
            return
        rows = normalise(train.features())
        _, found = search(rows, rows, self.neighbours, exclude_self=True)
        pairs = cycle_pairs(found, self.cycle)  # (m, 2)
        self.positives.copy_(_pools(pairs, self.instances, self.neighbours))
        self.negatives.copy_(
            geodesic_negatives(rows, self.neighbours, self.candidates, self.stretch)
        )

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return (instances, 2) images: each anchor with its positive or negative."""
        device = generator.device
        pools = self.positives.to(device), self.negatives.to(device)
        draws = torch.rand(3, self.instances, generator=generator, device=device)
        positive, negative = map(_drawn, pools, draws[:2])  # (n,) each, -1 for none
        first, second = (
            torch.where(draws[2] < self.positive_share, a, b)
            for a, b in ((positive, negative), (negative, positive))
        )
        anchors = torch.arange(self.instances, device=device)
        partner = torch.where(first >= 0, first, torch.where(second >= 0, second, anchors))
        order = torch.randperm(self.instances, generator=generator, device=device)
        return torch.stack([anchors, partner], 1)[order]

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the pairs in a batch with one view, two images after one another.

        Raises:
            ValueError: if the batch has less than a pair.
        """
        pairs = len(batch.index) // 2
        if pairs == 0:
            raise ValueError(
                f"batch: expected at least 2 images for a pair, got {len(batch.index)}; raise the "
                "batch size"
            )
        rows = self.embed(batch.views[0])[: 2 * pairs]  # (2p, d)
        anchor, partner = batch.index[: 2 * pairs].view(pairs, 2).unbind(1)
        among = (self.positives[anchor] == partner.unsqueeze(1)).any(1)
        return contrastive_loss(rows[::2], rows[1::2], among | (anchor == partner), self.margin)

    def metrics(self) -> dict[str, float]:
        """Return the mean numbers of positives and negatives, and the shares without any."""
        positives, negatives = (_filled(pool).float() for pool in (self.positives, self.negatives))
        return {
            "positives_mean": float(positives.mean()),
            "positives_none": float((positives == 0).float().mean()),
            "negatives_mean": float(negatives.mean()),
            "negatives_none": float((negatives == 0).float().mean()),
        }


def _pools(pairs: Tensor, instances: int, width: int) -> Tensor:
    """Return (n, width) second images of (m, 2) pairs by the first, -1 where a row has no more.

    Args:
        pairs: the first image ascending, each at most `width` times.
        instances: n.
        width: of the table.
    """
    image, other = pairs.unbind(1)
    counts = torch.bincount(image, minlength=instances)
    starts = counts.cumsum(0) - counts  # of each image's pairs
    column = torch.arange(len(pairs)) - starts[image]
    table = torch.full((instances, width), -1, dtype=torch.int64)
    table[image, column] = other
    return table


def _filled(pool: Tensor) -> Tensor:
    """Return how many images each row of a pool holds; they stand first."""
    return (pool >= 0).sum(1)


def _drawn(pool: Tensor, uniform: Tensor) -> Tensor:
    """Return (n,) an image of each row of a pool by (n,) numbers from 0 to below 1, or -1."""
    counts = _filled(pool)
    column = torch.minimum((uniform * counts).long(), (counts - 1).clamp(min=0))
    return pool.gather(1, column.unsqueeze(1)).squeeze(1).long()


def _as_table(neighbours: Array) -> Integers:
    """Return (n, k) neighbours in host memory."""
    table = torch.as_tensor(neighbours).cpu()
    if table.ndim != 2 or 0 in table.shape or table.is_floating_point():
        raise ValueError(f"neighbours: expected (n, k) integers, got {tuple(table.shape)}")
    if int(table.min()) < 0 or int(table.max()) >= len(table):
        raise ValueError(f"neighbours: expected images 0 to {len(table) - 1}, got others")
    return table.long().numpy()


def _graph(weights: np.ndarray, table: Integers) -> sparse.csr_matrix:
    """Return the (n, n) sparse matrix with these weights on the edges from i to its neighbours."""
    starts = np.arange(0, table.size + 1, table.shape[1])
    return sparse.csr_matrix((weights, table.ravel(), starts), shape=(len(table), len(table)))


def _unweighted(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the graph with weight 1 on every edge: numbers of ways would grow without bound."""
    graph.data.fill(1)
    return graph
