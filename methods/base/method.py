"""The base class of every method: one way of learning an embedding."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base.batch import Batch, Clock, TrainingSet, Views
from methods.base.encoder import Encoder
from methods.base.registry import register


class Method(nn.Module, ABC):
    """One way of learning an embedding without labels.

    A subclass states `name` and `paper`, lists its hyper-parameters as keyword-only arguments of
    `__init__` with the paper's values as defaults, and writes `loss`. Everything that must survive
    a restart (memory banks, classifier weights, pseudo-labels, queues, momentum networks) is a
    parameter, a buffer or a submodule. Subclassing registers: `methods.get(name)` finds the class
    and nothing else has to be edited.

    Args:
        encoder: the backbone, an `Encoder`: `features(images)` gives (b, feature_size) pooled
            features, `head(features)` (b, d) embeddings, not yet normalised, and
            `encoder(images)` is `head(features(images))`.
        instances: number of images in the training set.

    Raises:
        ValueError: if there is no training image.
    """

    name: ClassVar[str]
    """Name on the command line, in file names and in tests."""
    paper: ClassVar[str]
    """Short citation."""
    family: ClassVar[str] = "instance"
    """One of `methods.base.FAMILIES`."""
    views: Views = 2
    """Augmented views of each image that one step needs; a number stands for so many of the
    recipe's own."""
    rounds: int = 1
    """A recipe's epochs are those of a round; the schedule of the learning rate restarts with
    each."""
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

    @property
    def backbone(self) -> Encoder:
        """The encoder as what it promises to be, for type checkers."""
        return cast(Encoder, self.encoder)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the scalar to minimise on this batch.

        A result without gradient tells the trainer that there is nothing to step.
        """

    # Optional hooks, each with one job, in the order in which the trainer calls them.

    def set_labels(self, labels: Tensor) -> None:
        """Take the (instances,) int64 labels of the training set, in the order of `Batch.index`.

        Called once before training, also before a restart, and only if `uses_labels` is set.
        """

    def epochs(self, planned: int) -> int:
        """Return how many epochs a round trains when the recipe plans `planned`."""
        return planned

    def start_round(self, clock: Clock, train: TrainingSet) -> None:
        """Rank, discover or reset before a round.

        Args:
            clock: of the round's first epoch.
            train: the training set; a pass over it is made only if it is asked for.
        """

    def start_epoch(self, clock: Clock, train: TrainingSet) -> None:
        """Cluster, mine or rank before an epoch.

        Args:
            clock: of the epoch; its batches are not drawn yet.
            train: the training set; a pass over it is made only if it is asked for.
        """

    def sample(self, generator: torch.Generator) -> Tensor | None:
        """Return the order in which the epoch visits the images; None means shuffled.

        Args:
            generator: source of all random numbers of the order.

        Returns:
            (n,) int64 indices, or (m, g) for groups of g rows that stay together in a batch.
        """
        return None

    def before_step(self, clock: Clock) -> None:
        """Change gradients: they are there, and the optimiser has not stepped.

        To hold a parameter still, set its gradient to 0, not to None, which fused optimisers refuse
        once they have taken a step on the others.
        """

    def after_step(self, batch: Batch) -> None:
        """Update a memory bank or a momentum network after the optimiser's step."""

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is evaluated: unit fp32 rows by name; the first is the method's headline.

        Args:
            images: (b, c, h, w), normalised.

        Returns:
            "embedding": (b, d), the head's output; "features": (b, feature_size), what enters it.
        """
        features = self.backbone.features(images)  # (b, feature_size)
        return {
            "embedding": normalise(self.backbone.head(features)),
            "features": normalise(features),
        }

    def predict(self, images: Tensor) -> Tensor | None:
        """Return (heads, b, classes) log-probabilities if the method predicts classes, else None.

        They are scored by clustering accuracy, each head by itself.
        """
        return None

    def memory(self) -> Tensor | None:
        """Return the (instances, d) memory bank if there is one: its own kNN is measured too."""
        return None

    def metrics(self) -> dict[str, float]:
        """Return metrics of the finished epoch; each becomes a column of the record."""
        return {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return groups for the optimiser.

        A group has `params` and may override `momentum` and `weight_decay`, scale the learning
        rate (`lr_scale`), or leave the recipe's schedule (`schedule="constant"`).
        """
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    # What most losses begin with.

    def embed(self, images: Tensor) -> Tensor:
        """Return the (b, d) L2-normalised fp32 embeddings of (b, c, h, w) images."""
        return normalise(self.encoder(images))

    def embed_views(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return one (b, d) normalised embedding per view, encoded in a single pass.

        One pass over all views means that batch normalisation mixes the views' statistics.
        """
        return self.embed(torch.cat(batch.views)).chunk(len(batch.views))


def normalise(features: Tensor) -> Tensor:
    """Scale each row of (b, d) `features` to unit L2 norm, in fp32."""
    return F.normalize(features.float(), dim=1)


def feature_size(encoder: nn.Module) -> int:
    """Return the width of the encoder's pooled features.

    Raises:
        ValueError: if the encoder does not state it.
    """
    return _stated_size(encoder, "feature_size", "pooled features")


def embedding_size(encoder: nn.Module) -> int:
    """Return d, the width of the encoder's output.

    Raises:
        ValueError: if the encoder does not state it.
    """
    return _stated_size(encoder, "embedding_size", "output")


def _stated_size(encoder: nn.Module, name: str, what: str) -> int:
    size = getattr(encoder, name, None)
    if not isinstance(size, int):
        raise ValueError(
            f"encoder {type(encoder).__name__}: expected a whole number `{name}`, found {size!r}; "
            f"set it to the width of its {what}"
        )
    return size
