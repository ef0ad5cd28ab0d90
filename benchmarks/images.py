"""Training and test images as tensors, kept on the training device when they fit."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.augment import prepare
from benchmarks.datasets.base import Split

FREE_MEMORY_SHARE = 0.5
"""Images stay on a GPU if they take at most this share of its free memory."""


class ImageStore:
    """uint8 images that are gathered by index onto the training device.

    Args:
        split: images (n, h, w, 3) with labels.
        device: the training device.
        mean: per-channel mean in 0..1, for the test transform.
        std: per-channel standard deviation in 0..1.
    """

    def __init__(
        self,
        split: Split,
        device: torch.device,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        self.labels = split.labels
        self.device = device
        self.mean, self.std = mean, std
        planar = np.ascontiguousarray(split.images.transpose(0, 3, 1, 2))
        images = torch.from_numpy(planar)
        self.images = images.to(device) if _fits(images, device) else images.pin_memory()

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, index: Tensor) -> Tensor:
        """Return the (b, 3, h, w) uint8 images at (b,) `index`, on the training device."""
        if self.images.device == self.device:
            return self.images[index]
        return self.images[index.cpu()].to(self.device, non_blocking=True)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Yield all images in order, through the test transform, `size` at a time."""
        for images in torch.split(self.images, size):
            yield prepare(images.to(self.device, non_blocking=True), self.mean, self.std)

    def embed(self, embed: Callable[[Tensor], Tensor], batch_size: int) -> Tensor:
        """Apply `embed` to every image; returns (n, d) fp32 on the training device."""
        parts = [embed(images).float() for images in self.batches(batch_size)]
        return torch.cat(parts)


def _fits(images: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= FREE_MEMORY_SHARE * free


def subset(split: Split, size: int | None) -> Split:
    """Return a fixed random subset, the same for every method and seed, chosen without labels.

    Raises:
        ValueError: if the split has fewer images.
    """
    if size is None or size == len(split.images):
        return split
    if size > len(split.images):
        raise ValueError(f"train_images: expected at most {len(split.images)}, found {size}")
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.images))[:size])
    labels = None if split.labels is None else split.labels[chosen]
    return Split(np.ascontiguousarray(split.images[chosen]), labels)
