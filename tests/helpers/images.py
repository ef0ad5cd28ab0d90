"""Made-up images and views of them, for tests of the transforms."""

import torch
from torch import Tensor

from benchmarks.data.transforms.augment import augment
from benchmarks.data.transforms.settings import Augmentation

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
NOTHING = Augmentation().without("crop", "jitter", "grayscale", "flip")
COLOURLESS = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Smooth shapes and noise, so that crops, flips and colours all show: (n, 3, h, w) uint8."""
    coarse = torch.rand(n, 3, 5, 5, generator=rng(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = torch.randn(n, 3, height, width, generator=rng(seed + 1))
    return (255 * smooth + 12 * noise).clamp(0, 255).byte()


def constant(n: int, *colour: int) -> Tensor:
    """Images of 2 x 2 pixels in one colour: (n, 3, 2, 2) uint8."""
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).repeat(n, 1, 2, 2)


def levels(
    images: Tensor, augmentation: Augmentation, seed: int = 0, size: int | None = None
) -> Tensor:
    """Augment without normalisation, in 0..255."""
    return augment(images, augmentation, **PLAIN, generator=rng(seed), size=size) * 255
