"""A small encoder, a method that records what is done with it, images and a trainer of them."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.data.datasets.base import Split
from benchmarks.data.loader import ImageStore, Stores
from benchmarks.data.transforms.augment import Augmentation
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import Recipe
from benchmarks.training.trainer import Trainer
from methods import Batch, Method

CPU = torch.device("cpu")
STILL = Augmentation().without("crop", "jitter", "grayscale", "flip")
"""Views that are the image itself."""


class SmallEncoder(nn.Module):
    """An encoder of 6 features and an embedding of 4."""

    feature_size, embedding_size = 6, 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def features(self, images):
        return F.relu(self.bn(self.conv(images))).mean(dim=(2, 3))

    def forward(self, images):
        return self.head(self.features(images))


class Probe(Method):
    """Records what the trainer does with it."""

    paper = "none"

    def __init__(self, encoder=None, instances=50, views=2, loss_at=None, **facts):
        super().__init__(encoder or SmallEncoder(), instances)
        self.views = views
        self.seen: list[torch.Tensor] = []
        self.batches: list[Batch] = []
        self.modes: list[tuple[str, bool]] = []
        self.steps_after = 0
        self.loss_at = loss_at or {}
        for name, value in facts.items():
            self.__dict__[name] = value

    def start_epoch(self, clock, train):
        self.embedded = train.embeddings()
        self.modes.append(("start", self.training))

    def loss(self, batch):
        self.modes.append(("loss", self.training))
        self.seen.append(batch.index)
        self.batches.append(batch)
        value = self.embed(batch.views[0]).square().sum(0).var()
        return value * self.loss_at.get(len(self.seen), 1.0)

    def after_step(self, batch):
        self.steps_after += 1

    def metrics(self):
        return {"steps": float(self.steps_after)}


def store(images, labels=None, seed=0, side=8):
    """Return random images; `labels` counts classes, None gives none."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    truth = None if labels is None else rng.integers(0, labels, images)
    return ImageStore(Split(pixels, truth), CPU, (0.5,) * 3, (0.2,) * 3)


def labelled_stores():
    """Return 50 images to train on and 20 to test on, of 8 x 8 pixels and three classes."""
    train = store(50, 3)
    return Stores(train, train, store(20, 3, seed=1))


def make_trainer(
    stores, method=None, precision="fp32", compiled=False, stopwatch=None, notes=None, **fields
):
    """Return a trainer of a method, of a `Probe` if none is given.

    Args:
        notes: takes the lines that are logged.
        fields: of the recipe.
    """
    defaults = {"name": "t", "epochs": 3, "batch_size": 16, "knn_k": 5}
    if fields.get("schedule", "steps") == "steps":
        defaults["lr_factors"] = {2: 0.1}
    recipe = Recipe(**{**defaults, **fields})
    torch.manual_seed(0)
    method = method or Probe()
    progress = PlainProgress((lambda line: None) if notes is None else notes.append)
    return Trainer(method, recipe, stores, 0, CPU, precision, progress, stopwatch, compiled)


def fit(trainer, history=None):
    """Train the epochs that the history lacks; return the whole history."""
    trainer.fit(pd.DataFrame() if history is None else history, lambda history: None)
    return trainer.history
