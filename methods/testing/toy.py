"""A data set, an encoder and a training loop on one batch: milliseconds to try a method on."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import Batch, Clock, Method, View, views_of

INSTANCES = 1024
"""Enough for the default options of every method: 1,000 clusters, 4,096 noise instances."""
BATCH_SIZE = 32
SIDE = 8
"""Height and width of the images, in pixels."""
EPOCHS, STEPS = 4, 10
"""Of a round and of an epoch, as the clock of a trial tells them."""


def toy_images() -> Tensor:
    """Return (1024, 3, 8, 8) smooth images, always the same mixtures of eight patterns."""
    patterns, mixture = _parts()
    coarse = (mixture @ patterns).view(INSTANCES, 3, 4, 4)
    return F.interpolate(coarse, scale_factor=2, mode="bilinear")


def toy_labels() -> Tensor:
    """Return (1024,) int64, the pattern that each image has most of."""
    return _parts()[1].argmax(1)


def _parts() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(8, 3 * 4 * 4, generator=generator)
    return patterns, torch.randn(INSTANCES, 8, generator=generator)


class ToyEncoder(nn.Module):
    """An encoder with what the suite's networks have: pooled features, a head and their widths.

    Args:
        embedding_size: d.
    """

    def __init__(self, embedding_size: int = 32) -> None:
        super().__init__()
        self.feature_size, self.embedding_size = 16 * 4 * 4, embedding_size
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.AdaptiveAvgPool2d(4),  # of 8 x 8 images nothing is pooled
            nn.Flatten(),
        )
        self.head = nn.Linear(self.feature_size, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, 256) features, before the embedding layer."""
        features: Tensor = self.backbone(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, d) embeddings, not normalised."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings


def toy_encoder() -> ToyEncoder:
    """Return an encoder of (b, 3, 8, 8) images to (b, 32), spread out from the start."""
    return ToyEncoder()


class Trial:
    """A method at work on the toy images, of which it sees the first batch over and over.

    Args:
        method_class: the class to try.
        hyper_parameters: its keyword arguments.
    """

    def __init__(self, method_class: type[Method], hyper_parameters: Mapping[str, Any]) -> None:
        self.images, self.clock = toy_images(), Clock(epochs=EPOCHS, steps=EPOCHS * STEPS)
        self.method = method_class(toy_encoder(), INSTANCES, **hyper_parameters)
        if method_class.uses_labels:
            self.method.set_labels(toy_labels())
        self.method.train()

    def batch(self, size: int = BATCH_SIZE) -> Batch:
        """Return the first images of an epoch's order, in views that differ by noise."""
        order = self.method.sample(torch.Generator().manual_seed(0))
        index = torch.arange(size) if order is None else order.flatten()[:size]
        images = self.images[index]
        noisy = [images + 0.3 * torch.randn_like(images) for _ in views_of(self.method.views)]
        views = map(_as_asked, noisy, views_of(self.method.views))
        return Batch(index, tuple(views), self.clock)

    def features(self) -> Tensor:
        """Return the (1024, 256) pooled features of all images, as a `TrainingSet` does."""
        return self._pass(self.method.backbone.features).float()

    def embeddings(self) -> Tensor:
        """Return the headline representation of all images, as a `TrainingSet` does."""
        return self._pass(lambda images: next(iter(self.method.representations(images).values())))

    def _pass(self, apply: Callable[[Tensor], Tensor]) -> Tensor:
        self.method.eval()
        with torch.no_grad():
            rows = apply(self.images)
        self.method.train()
        return rows

    def start_epoch(self, epoch: int, number: int = 0) -> None:
        """Start an epoch of a round as the trainer does, from a random state of its own."""
        torch.manual_seed(epoch)
        rounds = self.method.rounds
        self.clock = Clock(number, rounds, epoch, EPOCHS, epoch * STEPS, EPOCHS * STEPS)
        if epoch == 0:
            self.method.start_round(self.clock, self)
        self.method.start_epoch(self.clock, self)

    def loss(self, seed: int = 0) -> Tensor:
        """Return the loss on the one batch; the same seed gives the same views and noise."""
        torch.manual_seed(seed)
        return self.method.loss(self.batch())

    def train(self, steps: int, rate: float = 0.03, after_step: bool = True) -> None:
        """Take steps of SGD with the method's own parameter groups, all on the one batch.

        Args:
            steps: how many.
            rate: of learning.
            after_step: whether the hook after the optimiser's step is called.
        """
        torch.manual_seed(0)
        groups = [dict(group) for group in self.method.parameter_groups()]
        for group in groups:
            group["lr"] = rate * group.pop("lr_scale", 1.0)
            group.pop("schedule", None)
        optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9) if groups else None
        for _ in range(steps):
            batch = self.batch()
            loss = self.method.loss(batch)
            if loss.requires_grad and optimiser is not None:
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.method.before_step(self.clock)
                optimiser.step()
            if after_step:
                self.method.after_step(batch)


def _as_asked(images: Tensor, view: View) -> Tensor:
    """Return (b, 3, h, w) images in a view's size, at most their own, through its transform."""
    if view.size is not None:
        images = F.interpolate(images, size=min(view.size, SIDE), mode="bilinear")
    return images if view.transform is None else view.transform(images)
