"""Batched augmentation on tensors: every image its own random parameters, on the training device.

The transforms are those of torchvision, in distribution: RandomResizedCrop, RandomHorizontalFlip,
ColorJitter, RandomGrayscale, GaussianBlur and solarize, in this order. Between them pixels are fp32
in 0..255, where torchvision on PIL images rounds to whole numbers. Nothing waits for the device:
shapes and control flow depend only on the settings and on the shape of the images.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.data.transforms.color import (
    WHITE,
    jitter_,
    jitter_groups,
    remove_color_,
)
from benchmarks.data.transforms.crop import (
    centre_squares,
    crop_boxes,
    random_squares,
    resized_crop,
    whole_boxes,
)
from benchmarks.data.transforms.draws import constants, happens, uniform
from benchmarks.data.transforms.filters import gaussian_blur, solarize
from benchmarks.data.transforms.settings import Augmentation

__all__ = ["Augmentation", "augment", "prepare"]


@torch.no_grad()
def augment(
    images: Tensor,
    augmentation: Augmentation,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
    crop_size: int | None = None,
    size: int | None = None,
) -> Tensor:
    """Return one random view of every image, each with its own parameters.

    One call with the images repeated costs less than a call per view.

    Args:
        images: (n, 3, h, w) uint8.
        augmentation: the transforms and their strengths.
        mean: of red, green and blue, in 0..1, subtracted last.
        std: of red, green and blue, in 0..1, divided by last.
        generator: on the images' device; its state decides the views.
        crop_size: side of a square that is cut out first, each image's at a place of its own, and
            then counts as the image; None for the whole image.
        size: side of the views; None for that of the image. The crop, or without one the whole
            image, is resized to it.

    Returns:
        (n, 3, h, w) float32, normalised, in channels_last memory format; h and w are `size`, else
        `crop_size`, else those of the images.

    Raises:
        ValueError: if the images are not (n, 3, h, w) uint8, or smaller than `crop_size`, or
            `size` is below 1.
    """
    _check(images, crop_size)
    if size is not None and size < 1:
        raise ValueError(f"size: expected at least 1, got {size}")
    if crop_size is not None:
        images = random_squares(images, crop_size, generator)
    n, groups = len(images), jitter_groups(augmentation)
    if groups > 1:
        # The jitter needs equal groups of images in random order: up to three images are there
        # twice, so that every place is equally likely.
        slots = math.ceil(n / groups) * groups
        order = torch.randperm(slots, generator=generator, device=images.device)
        images = images.index_select(0, order % n)  # (slots, 3, h, w)
    pixels = _shaped(images, augmentation, generator, size)
    _color_(pixels, augmentation, generator)
    if groups > 1:
        pixels = pixels.index_select(0, order.argsort()[:n])  # (n, 3, h, w) as they came
    return _normalised(_filtered(pixels, augmentation, generator), mean, std)


@torch.no_grad()
def prepare(
    images: Tensor, mean: Sequence[float], std: Sequence[float], crop_size: int | None = None
) -> Tensor:
    """Return the images scaled to 0..1 and normalised: the test transform.

    Args:
        images: (n, 3, h, w) uint8.
        mean: of red, green and blue, in 0..1.
        std: of red, green and blue, in 0..1.
        crop_size: side of the square in the centre that is kept; None for the whole image.

    Returns:
        (n, 3, h, w) float32 in channels_last memory format; h and w are `crop_size` if there is
        one.

    Raises:
        ValueError: if the images are not (n, 3, h, w) uint8, or smaller than `crop_size`.
    """
    _check(images, crop_size)
    if crop_size is not None:
        images = centre_squares(images, crop_size)
    return _normalised(images.float(), mean, std)


def _check(images: Tensor, crop_size: int | None) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        found = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        raise ValueError(f"images: expected (n, 3, h, w) uint8, got {found}")
    if crop_size is not None and not 1 <= crop_size <= min(images.shape[2:]):
        raise ValueError(
            f"crop_size: expected 1..{min(images.shape[2:])}, the images' smaller side, "
            f"got {crop_size}"
        )


def _shaped(
    images: Tensor, augmentation: Augmentation, generator: torch.Generator, size: int | None
) -> Tensor:
    """Flip, crop and resize; returns float32 pixels in 0..255 that share no memory with images."""
    a, (height, width) = augmentation, images.shape[2:]
    result = (height, width) if size is None else (size, size)
    flipped = happens(a.flip, len(images), generator) if a.flip else None
    if a.crop_scale:
        starts, sides = crop_boxes(images, a.crop_scale, a.crop_ratio, generator)
        return resized_crop(images.float(), starts, sides, flipped, result)
    if result != (height, width):
        return resized_crop(images.float(), *whole_boxes(images), flipped, result)
    if flipped is not None:
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images).float()
    return images.float()


def _color_(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> None:
    """Jitter the colours and take them away, in place."""
    if augmentation.blends or augmentation.turns:
        jitter_(pixels, augmentation, generator)
    if augmentation.grayscale:
        remove_color_(pixels, happens(augmentation.grayscale, len(pixels), generator))


def _filtered(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Blur and solarise."""
    n, a = len(pixels), augmentation
    if a.blur:
        applied = happens(a.blur, n, generator)
        pixels = gaussian_blur(pixels, uniform(*a.blur_sigma, n, generator=generator), applied)
    if a.solarize:
        pixels = solarize(pixels, happens(a.solarize, n, generator))
    return pixels


def _normalised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x / 255 - mean) / std of 0..255 pixels, in channels_last."""
    result = torch.empty_like(pixels, memory_format=torch.channels_last)
    offsets = constants(tuple(-m / s for m, s in zip(mean, std, strict=True)), 0, pixels.device)
    # One pass a channel that scales, moves and interleaves.
    for channel, offset in enumerate(offsets.unbind()):
        scale = 1 / (WHITE * std[channel])
        torch.add(offset, pixels[:, channel], alpha=scale, out=result[:, channel])
    return result
