"""Training and test images as tensors, kept on the training device when they fit."""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common.memory import FREE_MEMORY_SHARE
from benchmarks.data.datasets.base import RECALLS, Split
from benchmarks.data.transforms.augment import prepare

READ_AHEAD = 2
"""Batches that are read from disk while the network works on one."""


class ImageStore:
    """uint8 images that are gathered by index onto the training device.

    Images in memory are kept planar, on the device if they fit. A memory-mapped array stays on
    disk, and a thread reads the next batches ahead.

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
        self.on_device = False
        self.mean, self.std = mean, std
        self.on_disk = isinstance(split.images, np.memmap)
        if self.on_disk:
            self.images = _mapped(split.images).permute(0, 3, 1, 2)
            return
        images = torch.from_numpy(np.ascontiguousarray(split.images.transpose(0, 3, 1, 2)))
        self.on_device = _fits(images, device)
        self.images = images.to(device) if self.on_device else images.pin_memory()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        """Smaller side of an image, in pixels."""
        return min(self.images.shape[2:])

    def gather(self, index: Tensor) -> Tensor:
        """Return the (b, 3, h, w) uint8 images at (b,) `index`, on the training device."""
        if self.on_device:  # devices are not compared: "cuda" is not equal to "cuda:0" in torch
            return self.images[index.to(self.images.device)]
        return self._fetched(index.cpu()).to(self.device, non_blocking=True)

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield what `gather` returns for each index, reading ahead where images are on disk."""
        if not self.on_disk:
            yield from map(self.gather, batches)
            return
        waiting: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
            for index in batches:
                waiting.append(reader.submit(self._fetched, index.cpu()))
                if len(waiting) > READ_AHEAD:
                    yield waiting.popleft().result().to(self.device, non_blocking=True)
            while waiting:
                yield waiting.popleft().result().to(self.device, non_blocking=True)

    def _fetched(self, index: Tensor) -> Tensor:
        """Return the images in host memory, planar, pinned for a GPU."""
        if self.on_disk:  # whole pixels are copied at once, then made planar
            interleaved = self.images.permute(0, 2, 3, 1).index_select(0, index)
            images = interleaved.permute(0, 3, 1, 2).contiguous()
        else:
            images = self.images[index]
        return images.pin_memory() if self.device.type == "cuda" else images

    def batches(self, size: int, crop_size: int | None = None) -> Iterator[Tensor]:
        """Yield all images in order, through the test transform, `size` at a time."""
        for images in self.stream(torch.split(torch.arange(len(self)), size)):
            yield prepare(images, self.mean, self.std, crop_size)


@dataclass(frozen=True)
class Stores:
    """The images of a run.

    Attributes:
        train: what is learned from.
        bank: what the kNN classifier compares with: the same store as `train`, or a labelled one.
        test: what is classified; None if there is nothing to evaluate on.
        unseen: whether the test classes are others than the bank's, which cannot vote on them then;
            test images are retrieved from among themselves instead.
        recalls: how many neighbours count for recall then.
    """

    train: ImageStore
    bank: ImageStore
    test: ImageStore | None
    unseen: bool = False
    recalls: tuple[int, ...] = RECALLS


def _mapped(images: NDArray[np.uint8]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # it is only read
        return torch.from_numpy(images)


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
