"""A plain pipeline, as one would write it from torchvision's and torch's tutorials.

Images go through per-image transforms in DataLoader workers; the network runs eagerly in fp32.
"""

import os
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.commands.speed.timing import synchronise
from benchmarks.data.transforms.augment import Augmentation
from benchmarks.training.recipe import Recipe
from methods import Batch, Method

WARM_UP_STEPS = 1
Transform = Callable[[Image.Image], Tensor]


def training_transform(
    size: int, a: Augmentation, mean: tuple[float, ...], std: tuple[float, ...]
) -> Transform:
    """Return torchvision's per-image form of an augmentation with every transform on."""
    composed: Transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=a.crop_scale or (1.0, 1.0)),
            transforms.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue),
            transforms.RandomGrayscale(a.grayscale),
            transforms.RandomHorizontalFlip(a.flip),
            *_last_steps(mean, std),
        ]
    )
    return composed


def evaluation_transform(mean: tuple[float, ...], std: tuple[float, ...]) -> Transform:
    """Return torchvision's per-image form of the test transform."""
    composed: Transform = transforms.Compose(_last_steps(mean, std))
    return composed


def _last_steps(mean: tuple[float, ...], std: tuple[float, ...]) -> list[Callable[..., Tensor]]:
    return [transforms.ToTensor(), transforms.Normalize(mean, std)]


class Views(Dataset[tuple[Tensor, ...]]):
    """A number, then so many views, of each image."""

    def __init__(self, images: NDArray[np.uint8], transform: Transform, views: int) -> None:
        self.images, self.transform, self.views = images, transform, views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """Return the image's number and its views."""
        image = Image.fromarray(self.images[number])
        return torch.tensor(number), *(self.transform(image) for _ in range(self.views))


def loader(
    views: Views, batch_size: int, device: torch.device, training: bool
) -> DataLoader[tuple[Tensor, ...]]:
    """Return a DataLoader with a worker per core."""
    return DataLoader(
        views,
        batch_size,
        shuffle=training,
        drop_last=training,
        num_workers=len(os.sched_getaffinity(0)),
        pin_memory=device.type == "cuda",
    )


def training_rate(
    method: Method, recipe: Recipe, views: Views, device: torch.device, budget: float
) -> float:
    """Return the views a second of a plain training loop, after a warm-up.

    Args:
        method: on the device, ready for its first epoch.
        recipe: gives batch size and optimiser.
        views: what to train on.
        device: where the network runs.
        budget: seconds to measure for; at least one step is measured.
    """
    optimizer = torch.optim.SGD(
        method.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    method.train()
    done, started = 0, 0.0
    for step, (index, *images) in enumerate(loader(views, recipe.batch_size, device, True)):
        if step == WARM_UP_STEPS:
            synchronise(device)
            started = time.perf_counter()
        batch = Batch(index.to(device), tuple(v.to(device) for v in images))
        loss = method.loss(batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        method.after_step(batch)
        loss.detach().item()  # what a progress bar shows
        done = step + 1 - WARM_UP_STEPS
        if done > 0 and time.perf_counter() - started > budget:
            break
    synchronise(device)
    return done * recipe.batch_size * views.views / (time.perf_counter() - started)


@torch.no_grad()
def embedding_rate(
    encoder: nn.Module, views: Views, batch_size: int, device: torch.device, budget: float
) -> float:
    """Return the images a second that a plain loop embeds, after a warm-up."""
    encoder.eval()
    done, started = 0, 0.0
    for step, (_, images) in enumerate(loader(views, batch_size, device, False)):
        if step == WARM_UP_STEPS:
            synchronise(device)
            started = time.perf_counter()
        nn.functional.normalize(encoder(images.to(device))).cpu()
        done = step + 1 - WARM_UP_STEPS
        if done > 0 and time.perf_counter() - started > budget:
            break
    return done * batch_size / (time.perf_counter() - started)
