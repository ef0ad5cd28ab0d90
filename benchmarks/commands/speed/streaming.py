"""Training on images that are larger than memory: does reading them slow the network down?"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.commands.speed import training
from benchmarks.commands.speed.record import Streaming
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs.plan import choose, make_plan
from benchmarks.training import recipe as recipes

RECIPE, METHOD, BATCH = "unseen-scratch", "invaspread", 64
SIDE = 256
PATIENCE = 24
"""Times the budget of other rates: a step takes about four seconds on two cores."""


def streaming(device: torch.device, precision: str, budget: float, images: int) -> Streaming:
    """Return the suite's rate on a memory-mapped file of noise, and the bare network's.

    Args:
        device: where.
        precision: the suite's.
        budget: seconds that other rates get.
        images: in the file, of 196,608 bytes each.
    """
    recipe = recipes.read(RECIPE).recipe
    changes = {"recipe": {"batch_size": BATCH}}
    with _on_disk(images) as data:
        (run,) = make_plan(choose([METHOD]), lambda *_: data, recipe, 1, changes, precision)
        row = training.suite(run, device, PATIENCE * budget, float("nan"))
    return Streaming(
        backbone=row.backbone,
        batch_size=BATCH,
        images=images,
        image_size=SIDE,
        crop_size=run.recipe.crop_size or SIDE,
        suite=row.suite,
        bare=row.bare,
    )


@contextmanager
def _on_disk(images: int) -> Iterator[ImageData]:
    """Yield memory-mapped images of noise, gone from the disk afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "images.npy"
        shape = images, SIDE, SIDE, 3
        file = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        generator = np.random.default_rng(0)
        for image in file:
            image[:] = generator.integers(0, 256, image.shape, np.uint8)
        file.flush()
        del file
        third = (0.5, 0.5, 0.5)
        mapped = np.lib.format.open_memmap(path, mode="r")
        train = Split(mapped, np.arange(images) % 2)
        yield ImageData("noise", train, None, ("0", "1"), third, third, "1")
