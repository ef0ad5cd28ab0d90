"""MoCo: a queue of a momentum network's keys as negatives (He et al., CVPR 2020)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_momentum, check_positive
from methods.base import Batch, Method, embedding_size, normalise
from methods.blocks.logits import as_one_type, similarity
from methods.blocks.momentum import ema_, frozen_copy
from methods.blocks.queue import Queue
from methods.blocks.views import as_two_views


def queue_loss(queries: Array, keys: Array, queue: Array, temperature: float) -> Tensor:
    """Return the mean -log softmax of a query's own key among the queue's, Eq. 1 (InfoNCE).

    Neither the keys nor the queue gets a gradient.

    Args:
        queries: (n, d) L2-normalised embeddings q of one view, by the trained network.
        keys: (n, d) embeddings k+ of another view, by the momentum network.
        queue: (m, d) keys of past batches; this batch's keys are not among them yet.
        temperature: divides the cosines, above 0.
    """
    check_positive(temperature, "temperature")
    queries, keys = as_one_type(*as_two_views(queries, keys))
    queue = as_floats(queue, "queue", "m", queries.shape[1])
    own = (queries * keys.detach()).sum(1, keepdim=True) / temperature  # (n, 1)
    others = similarity(queries, queue.detach(), temperature)  # (n, m)
    logits = torch.cat([own, others], 1)  # (n, 1 + m)
    return F.cross_entropy(logits, torch.zeros_like(own[:, 0], dtype=torch.int64))


def encode_in_groups(
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    groups: int,
    order: Tensor | None = None,
) -> Tensor:
    """Return the embeddings of a batch that is encoded in groups of their own statistics.

    On one device this is what several GPUs do to batch normalisation (section 3.3). A query and
    its key that share a group share its statistics, and the loss can be lowered by recognising
    those; keys that are encoded in a random order do not give this away.

    Args:
        encode: maps (b, c, h, w) images to (b, d).
        images: (n, c, h, w).
        groups: passes; must divide n, as a smaller group has noisier statistics.
        order: (n,) int64 permutation by which the images are put into groups; None for as given.

    Returns:
        (n, d) embeddings in the order of the images.

    Raises:
        ValueError: if the groups do not divide the batch.
    """
    if len(images) % check_count(groups, "groups"):
        raise ValueError(
            f"groups: expected a number that divides the batch of {len(images)}, got {groups}; "
            "change the groups or the batch size"
        )
    shuffled = images if order is None else images[order]
    encoded = torch.cat([encode(group) for group in shuffled.chunk(groups)])  # (n, d)
    return encoded if order is None else encoded[order.argsort()]


class MoCo(Method):
    """Find the key of the other view among those of a queue; keys come from a momentum network.

    Args:
        encoder: see `Method`; its head is the linear projection.
        instances: see `Method`.
        temperature: divides the cosines, above 0.
        queue: keys held; a multiple of the batch size.
        momentum: of the key network, from 0 to below 1.
        bn_groups: groups of the batch that share batch statistics, in queries and in shuffled
            keys; must divide the batch size. 8 stands for the GPUs of the authors' code.
        symmetric: average the loss over both assignments of views to query and key.
    """

    name = "moco"
    paper = "He et al., CVPR 2020"
    family = "contrastive"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        queue: int = 4096,
        momentum: float = 0.99,
        bn_groups: int = 8,
        symmetric: bool = False,
    ) -> None:
        super().__init__(encoder, instances)
        self.projector, size = self.make_projector(encoder)
        self.key_encoder = frozen_copy(encoder)
        self.key_projector = frozen_copy(self.projector)
        self.queue = Queue(queue, size)
        self.temperature = check_positive(temperature, "temperature")
        self.momentum = check_momentum(momentum, "momentum")
        self.bn_groups = check_count(bn_groups, "bn_groups")
        self.symmetric = symmetric
        self._newest: Tensor | None = None

    def make_projector(self, encoder: nn.Module) -> tuple[nn.Module, int]:
        """Return what follows the encoder's features, and its width: here the encoder's head."""
        return nn.Identity(), embedding_size(encoder)

    def query(self, images: Tensor) -> Tensor:
        """Return (b, d) unit rows by the trained network."""
        return normalise(self.projector(self.encoder(images)))

    def key(self, images: Tensor) -> Tensor:
        """Return (b, d) unit rows by the momentum network."""
        return normalise(self.key_projector(self.key_encoder(images)))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = batch.views
        losses, keys = [], []
        for query_view, key_view in ((first, second), (second, first))[: 1 + self.symmetric]:
            with torch.no_grad():
                order = torch.randperm(len(key_view), device=key_view.device)
                keys.append(encode_in_groups(self.key, key_view, self.bn_groups, order))
            queries = encode_in_groups(self.query, query_view, self.bn_groups)
            losses.append(queue_loss(queries, keys[-1], self.queue.rows, self.temperature))
        self._newest = torch.cat(keys)  # (b, d), or (2b, d) if symmetric
        return torch.stack(losses).mean()

    def after_step(self, batch: Batch) -> None:
        """Move the key network and put this step's keys into the queue."""
        ema_(self.key_encoder, self.encoder, self.momentum)
        ema_(self.key_projector, self.projector, self.momentum)
        if self._newest is not None:
            self.queue.enqueue(self._newest)
        self._newest = None

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return "embedding", the queries, and "features", the pooled output of the backbone."""
        features = self.backbone.features(images)  # (b, feature_size)
        rows = self.projector(self.backbone.head(features))
        return {"embedding": normalise(rows), "features": normalise(features)}
