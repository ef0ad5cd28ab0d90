"""What a training step is given: the views that a method asks for, the clock and the batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class View:
    """One augmented view of each image that a step needs; what is not stated is the recipe's.

    Attributes:
        size: height and width in pixels, for views of several sizes (multi-crop).
        changes: fields of the augmentation that differ, such as {"blur": 1.0, "solarize": 0.2}.
        transform: the method's own, called last with the (b, c, h, w) normalised view on its
            device; it may return any shape whose first dimension is b (jigsaw patches, Sobel).
    """

    size: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    transform: Callable[[Tensor], Tensor] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is the recipe's view unchanged."""
        return self.size is None and not self.changes and self.transform is None


Views = Sequence[View] | int
"""Views of a method; a number stands for so many of the recipe's own."""


def views_of(views: Views) -> tuple[View, ...]:
    """Return a method's views, a number written out.

    Raises:
        ValueError: if there is none, or an entry is no View.
    """
    if isinstance(views, bool) or not isinstance(views, int | Sequence):
        raise ValueError(f"views: expected a number or a sequence of View, got {views!r}")
    listed = (View(),) * views if isinstance(views, int) else tuple(views)
    if not listed or not all(isinstance(view, View) for view in listed):
        raise ValueError(f"views: expected at least one View, got {views!r}")
    return listed


@dataclass(frozen=True)
class Clock:
    """Where training is. All counts start from 0 and are of the current round.

    Attributes:
        round: the current round.
        rounds: their number.
        epoch: the current epoch of the round.
        epochs: of a round.
        step: steps taken in the round before this one.
        steps: of a round.
    """

    round: int = 0
    rounds: int = 1
    epoch: int = 0
    epochs: int = 1
    step: int = 0
    steps: int = 1

    @property
    def fraction(self) -> float:
        """Share of the round's steps that were taken, from 0 to below 1."""
        return self.step / self.steps

    @property
    def first(self) -> bool:
        """Whether the current epoch is the first of all."""
        return self.round == 0 and self.epoch == 0


@dataclass(frozen=True)
class Batch:
    """One training step's images.

    Attributes:
        index: (b,) int64, the position of each image in the training set.
        views: one tensor a view, each (b, c, h, w) float, normalised and augmented independently;
            a view with a transform has the shape that it returns.
        clock: when the step is taken.
    """

    index: Tensor
    views: tuple[Tensor, ...]
    clock: Clock = Clock()


class TrainingSet(Protocol):
    """The training set as a method may look at it before a round or an epoch.

    The images pass through the encoder in evaluation mode with the test transform, in the order of
    `Batch.index`. The pass is made when it is first asked for, and once for both.
    """

    def features(self) -> Tensor:
        """Return the (n, feature_size) pooled features of the encoder, fp32, on the device."""
        ...

    def embeddings(self) -> Tensor:
        """Return the (n, d) rows of the method's headline representation, on the device."""
        ...
