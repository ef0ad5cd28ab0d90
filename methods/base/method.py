"""The base class of every method, and the batch that a method's loss receives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base.registry import register


@dataclass(frozen=True)
class Batch:
    """One training step's images.

    Attributes:
        index: (b,) int64, the position of each image in the training set.
        views: each (b, c, h, w) float, normalised; every view is augmented independently.
    """

    index: Tensor
    views: tuple[Tensor, ...]


class Method(nn.Module, ABC):
    """One way of learning an embedding without labels.

    A subclass states `name` and `paper`, lists its hyper-parameters as keyword-only arguments of
    `__init__` with the paper's values as defaults, and writes `loss`. Everything that must survive
    a restart (memory banks, classifier weights, pseudo-labels, queues) is a parameter or a buffer.
    Subclassing registers: `methods.get(name)` finds the class and nothing else has to be edited.

    Args:
        encoder: maps (b, c, h, w) images to (b, d) embeddings, not yet normalised.
        instances: number of images in the training set.
    """

    name: ClassVar[str]
    """Name on the command line, in file names and in tests."""
    paper: ClassVar[str]
    """Short citation."""
    views: ClassVar[int] = 2
    """Augmented views of each image that one step needs."""
    drop_last: ClassVar[bool] = True
    """Whether the last, smaller batch of an epoch is left out."""
    uses_labels: ClassVar[bool] = False
    """Whether it learns from the labels of the training set: an upper bound, always marked as one
    and never among "all" methods."""
    revision: ClassVar[int] = 1
    """Raised by hand when its results change: runs of other revisions are never reused."""
    origin: ClassVar[str]
    """File and class name; set when the method registers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            register(cls)

    def __init__(self, encoder: nn.Module, instances: int) -> None:
        super().__init__()
        if instances < 1:
            raise ValueError(f"instances: expected at least 1 training image, got {instances}")
        self.encoder = encoder
        self.instances = instances

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the scalar to minimise on this batch.

        A result without gradient tells the trainer that there is nothing to step.
        """

    # Optional hooks, each with one job.

    def set_labels(self, labels: Tensor) -> None:
        """Take the (instances,) int64 labels of the training set, in the order of `Batch.index`.

        Called once before training, also before a restart, and only if `uses_labels` is set.
        """

    def epochs(self, planned: int) -> int:
        """Return how many epochs to train when the recipe plans `planned`."""
        return planned

    def start_epoch(self, epoch: int, embed_all: Callable[[], Tensor]) -> None:
        """Cluster, mine or rank before an epoch (counted from 0).

        Args:
            epoch: the epoch that is about to start.
            embed_all: returns (instances, d) embeddings of the training set, in evaluation mode
                with the test transform, in the order of `Batch.index`. Costs one pass.
        """

    def sample(self, generator: torch.Generator) -> Tensor | None:
        """Return the (n,) order in which the epoch visits the images; None means shuffled."""
        return None

    def after_step(self, batch: Batch) -> None:
        """Update a memory bank or a momentum encoder after the optimiser's step."""

    def embed(self, images: Tensor) -> Tensor:
        """Return the (b, d) L2-normalised fp32 embeddings that are evaluated."""
        return normalise(self.encoder(images))

    def memory(self) -> Tensor | None:
        """Return the (instances, d) memory bank if there is one: its own kNN is a side figure."""
        return None

    def figures(self) -> dict[str, float]:
        """Return side figures of the finished epoch; each becomes a column of the record."""
        return {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return optimiser groups; a group may override `momentum`, `weight_decay` or `lr_scale`.

        Args of a group: `params`, and optionally the overrides named above.
        """
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def embed_views(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return one (b, d) normalised embedding per view, encoded in a single pass.

        One pass over all views means that batch normalisation mixes the views' statistics.
        """
        return self.embed(torch.cat(batch.views)).chunk(len(batch.views))


def normalise(features: Tensor) -> Tensor:
    """Scale each row of (b, d) `features` to unit L2 norm, in fp32."""
    return F.normalize(features.float(), dim=1)


def embedding_size(encoder: nn.Module) -> int:
    """Return d, the width of the encoder's output.

    Read from `encoder.embedding_size` if it is there, else from the last layer that states
    `out_features`.

    Raises:
        ValueError: if the encoder states neither.
    """
    size = getattr(encoder, "embedding_size", None)
    if isinstance(size, int):
        return size
    widths = [m.out_features for m in encoder.modules() if isinstance(m, nn.Linear)]
    if not widths:
        raise ValueError(
            f"encoder {type(encoder).__name__}: expected an attribute `embedding_size` or a final "
            "nn.Linear, found neither; set encoder.embedding_size to the width of its output"
        )
    return widths[-1]
