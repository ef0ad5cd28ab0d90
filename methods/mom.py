"""MOM: mining on manifolds (Iscen et al., CVPR 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.base import Batch, Clock, Method, TrainingSet
from methods.blocks.distance import pair_distance
from methods.blocks.manifold import check_alpha, mine

ROWS = 4096
"""Images whose pools are ranked at once."""


def weighted_triplet_loss(
    anchors: Array, positives: Array, negatives: Array, weights: Array, margin: float = 0.5
) -> Tensor:
    """Return the mean of w max(0, margin + |anchor - positive|^2 - |anchor - negative|^2).

    Args:
        anchors: (b, d) L2-normalised embeddings.
        positives: (b, d) L2-normalised embeddings.
        negatives: (b, d) L2-normalised embeddings.
        weights: (b,) w, manifold similarity of each positive; a triplet of weight 0 is no triplet
            and does not count in the mean.
        margin: above 0, in units of the squared distance, which reaches 4.

    Returns:
        A scalar of at least 0; 0 without a triplet.

    Raises:
        ValueError: if shapes or the margin do not fit.
    """
    check_positive(margin, "margin")
    anchors = as_floats(anchors, "anchors", "b", "d")
    positives = as_floats(positives, "positives", *anchors.shape)
    negatives = as_floats(negatives, "negatives", *anchors.shape)
    weights = as_floats(weights, "weights", len(anchors))
    near = pair_distance(anchors, positives, "sqeuclidean")  # (b,)
    far = pair_distance(anchors, negatives, "sqeuclidean")  # (b,)
    return (weights * F.relu(margin + near - far)).sum() / weights.count_nonzero().clamp(min=1)


class MOM(Method):
    """Pull what is near on the manifold but not in the embedding, push the reverse.

    Mines before the first epoch, on this suite's embedding; the paper mines on whitened R-MAC
    descriptors of a pretrained network. What an untrained network gives is close to noise.

    An epoch draws for every image, as an anchor, a positive at random and a negative at random
    among its pool's hardest, and visits anchor, positive and negative one after the other: three
    passes over as many images as there are. The loss finds whole triplets by the images' numbers,
    so a batch size that 3 does not divide costs a triplet at the seams of batches and no more. An
    image without positives is its own, in a second view, weighted by its similarity to itself; an
    anchor without negatives draws any other image.

    Args:
        encoder: see `Method`.
        instances: see `Method`, at least 2.
        neighbours: k of the mutual neighbour graph.
        positive_neighbours: neighbourhood that positives are chosen by.
        negative_neighbours: neighbourhood that negatives are chosen by.
        alpha: of the diffusion, above 0 and below 1.
        pool: positives and negatives that an anchor keeps at most.
        hardest: a negative is one of this many, nearest in the current embedding.
        margin: above 0, in units of the squared distance.
        remine: epochs after which the pools are mined anew; None for never, as published.
    """

    name = "mom"
    paper = "Iscen et al., CVPR 2018"
    family = "triplet"
    views = 1
    positives: Tensor
    positive_weights: Tensor
    negatives: Tensor
    partners: Tensor
    weights: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        neighbours: int = 30,
        positive_neighbours: int = 50,
        negative_neighbours: int = 100,
        alpha: float = 0.99,
        pool: int = 50,
        hardest: int = 10,
        margin: float = 0.5,
        remine: int | None = None,
    ) -> None:
        super().__init__(encoder, instances)
        if instances < 2:
            raise ValueError(f"instances: expected at least 2 for a negative, got {instances}")
        self.mining = {
            "neighbours": check_count(neighbours, "neighbours"),
            "positive_neighbours": check_count(positive_neighbours, "positive_neighbours"),
            "negative_neighbours": check_count(negative_neighbours, "negative_neighbours"),
            "size": check_count(pool, "pool"),
        }
        self.alpha = check_alpha(alpha)
        self.hardest = min(check_count(hardest, "hardest"), pool)
        self.margin = check_positive(margin, "margin")
        self.remine = None if remine is None else check_count(remine, "remine")
        nobody = torch.full((instances, pool), -1, dtype=torch.int32)  # nothing mined yet
        self.register_buffer("positives", nobody)
        self.register_buffer("positive_weights", torch.zeros(instances, pool))
        self.register_buffer("negatives", nobody.clone())
        self.register_buffer("partners", torch.full((instances, 2), -1, dtype=torch.int32))
        self.register_buffer("weights", torch.zeros(instances))

    @torch.no_grad()
    def start_epoch(self, clock: Clock, train: TrainingSet) -> None:
        """Mine if it is due, and draw each anchor's positive and negative of the epoch."""
        embeddings = as_floats(train.embeddings(), "train.embeddings()", self.instances, "d")
        if clock.epoch == 0 or (self.remine is not None and clock.epoch % self.remine == 0):
            pools = mine(embeddings, alpha=self.alpha, **self.mining)
            self.positives.copy_(pools.positives)
            self.positive_weights.copy_(pools.weights)
            self.negatives.copy_(pools.negatives)
        column = _draw(_filled(self.positives)).unsqueeze(1)
        positive = self.positives.gather(1, column).squeeze(1).long()
        self.weights.copy_(self.positive_weights.gather(1, column).squeeze(1))
        negative = self._hard_negatives(embeddings)
        negative = torch.where(negative < 0, self._any_other(positive), negative)
        self.partners.copy_(torch.stack([positive, negative], 1))

    def _hard_negatives(self, embeddings: Tensor) -> Tensor:
        """Return (instances,) one of each pool's hardest negatives, -1 where it has none."""
        pools, rows = torch.split(self.negatives.long(), ROWS), torch.split(embeddings, ROWS)
        ranked = []
        for pool, anchors in zip(pools, rows, strict=True):
            near = torch.einsum("nd,nkd->nk", anchors, embeddings[pool.clamp(min=0)])
            near = near.masked_fill(pool < 0, -torch.inf)
            ranked.append(pool.gather(1, near.topk(self.hardest, dim=1).indices))
        hard = torch.cat(ranked)
        return hard.gather(1, _draw(_filled(hard)).unsqueeze(1)).squeeze(1)

    def _any_other(self, positive: Tensor) -> Tensor:
        """Return (instances,) random images that are neither the anchor nor its positive."""
        anchor = torch.arange(self.instances, device=positive.device)
        low, high = torch.minimum(anchor, positive), torch.maximum(anchor, positive)
        other = _draw(self.instances - 1 - (low < high).long())
        other = other + (other >= low)
        return other + ((other >= high) & (low < high))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return (3 instances,) images: anchor, positive, negative, in random order of anchors."""
        others = self.partners.to(generator.device).long()  # (n, 2) positive and negative
        anchors = torch.randperm(
            self.instances, generator=generator, device=generator.device
        ).unsqueeze(1)  # (n, 1)
        triplets = torch.cat([anchors, others[anchors.squeeze(1)]], 1)  # (n, 3)
        return triplets.flatten()  # flat, so that batches are cut as they have always been

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the whole triplets in a batch of at least 3 images with one view."""
        index = batch.index  # (b,)
        if len(index) < 3:
            raise ValueError(f"batch: expected at least 3 images for a triplet, got {len(index)}")
        embeddings = self.embed(batch.views[0])  # (b, d)
        # every three rows in a run are taken for a triplet; the weight of those that are none is 0
        weights = self.weights[index[:-2]] * starts_of_triplets(index, self.partners)  # (b - 2,)
        return weighted_triplet_loss(
            embeddings[:-2], embeddings[1:-1], embeddings[2:], weights, self.margin
        )

    def metrics(self) -> dict[str, float]:
        """Return the mean sizes of the pools, and the shares of anchors that have none."""
        anchor = torch.arange(self.instances, device=self.positives.device)
        positives = _filled(self.positives) * (self.positives[:, 0] != anchor)
        negatives = _filled(self.negatives)
        return {
            "positives_mean": float(positives.float().mean()),
            "positives_none": float((positives == 0).float().mean()),
            "negatives_mean": float(negatives.float().mean()),
            "negatives_none": float((negatives == 0).float().mean()),
        }


def starts_of_triplets(index: Tensor, others: Tensor) -> Tensor:
    """Return which images of a batch are followed by their positive and then their negative.

    A batch may begin or end within a triplet, which is then not found. An image that follows
    another by chance is taken for a triplet only if it is its positive or negative of the epoch.

    Args:
        index: (b,) int64 images, in the order of the batch, b at least 3.
        others: (n, 2) positive and negative of each image.

    Returns:
        (b - 2,) booleans: is row i an anchor, row i + 1 its positive and row i + 2 its negative?
    """
    following = torch.stack([index[1:-1], index[2:]], 1)  # (b - 2, 2)
    return (others[index[:-2]] == following).all(1)


def _filled(pool: Tensor) -> Tensor:
    """Return how many images each row of a pool holds."""
    return (pool >= 0).sum(1)


def _draw(counts: Tensor) -> Tensor:
    """Return random whole numbers from 0 to below the counts, and 0 for a count of 0."""
    drawn = (torch.rand(counts.shape, device=counts.device) * counts).long()
    return torch.minimum(drawn, (counts - 1).clamp(min=0))
