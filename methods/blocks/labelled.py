"""Upper bounds that learn from the labels: several images of a class in each batch."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from evaluation.validation import as_index, check_count
from methods.base import Method


class LabelledMethod(Method):
    """A method that compares images of the same class with those of others in the batch.

    An epoch visits every image once, in groups of a class; what is left of a class is a smaller
    group.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        per_class: images of a group, at least 2.
    """

    uses_labels: ClassVar[bool] = True
    family: ClassVar[str] = "baseline"
    views = 1
    labels: Tensor

    def __init__(self, encoder: nn.Module, instances: int, *, per_class: int = 4) -> None:
        super().__init__(encoder, instances)
        if check_count(per_class, "per_class") < 2:
            raise ValueError(f"per_class: expected at least 2 images for a pair, got {per_class}")
        self.per_class = per_class
        self.register_buffer("labels", torch.full((instances,), -1))  # none yet

    def set_labels(self, labels: Tensor) -> None:
        """Keep the labels.

        Raises:
            ValueError: if an image has none, there is one class only, or no class has two images.
        """
        labels = as_index(labels, "labels", self.instances)
        unknown = int((labels < 0).sum())
        if unknown:
            raise ValueError(
                f"labels: expected numbers of at least 0, found {unknown} below; {self.name} "
                "learns from labels: train it on a labelled split"
            )
        sizes = torch.unique(labels, return_counts=True)[1]
        if len(sizes) < 2 or int(sizes.max()) < 2:
            raise ValueError(
                f"labels: expected at least 2 classes, one of them with 2 images, found "
                f"{len(sizes)} classes of at most {int(sizes.max())}"
            )
        self.labels.copy_(labels)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return all (instances,) images: random groups of a class, in random order.

        Raises:
            ValueError: if there are no labels.
        """
        labels = self.labels.to(generator.device)
        if bool((labels < 0).any()):
            raise ValueError(f"{self.name} learns from labels: call set_labels before training")
        return groups_of_classes(labels, self.per_class, generator)


def groups_of_classes(labels: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return all (n,) images, those of a class in random groups of `size`, in random order.

    Args:
        labels: (n,) int64 class of each image, on the generator's device.
        size: images of a group; the last one of a class may be smaller.
        generator: source of the draws.
    """
    device = labels.device
    shuffled = torch.randperm(len(labels), generator=generator, device=device)
    members = shuffled[labels[shuffled].argsort(stable=True)]  # by class, in random order
    counts = torch.unique(labels, return_counts=True)[1]  # (classes,)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)  # (n,) start of its class
    rank = torch.arange(len(labels), device=device) - first  # (n,) place within its class
    group = (rank % size == 0).cumsum(0) - 1  # (n,) a group starts at every size-th place
    priority = torch.randperm(int(group[-1]) + 1, generator=generator, device=device)
    return members[priority[group].argsort(stable=True)]
