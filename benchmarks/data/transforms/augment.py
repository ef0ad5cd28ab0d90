"""Batched augmentation on tensors: every image its own random parameters, on the training device.

The transforms are those of torchvision, in distribution: RandomResizedCrop, ColorJitter,
RandomGrayscale and RandomHorizontalFlip, in this order. Between them pixels are fp32 in 0..255,
where torchvision on PIL images rounds to whole numbers. Nothing waits for the device: shapes and
control flow depend only on the settings and on the shape of the images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_TRIES = 10
"""Candidate boxes of which the first that fits is taken, as in torchvision."""
WHITE = 255.0

_OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": None},
    "jitter": {"jitter_probability": 0.0},
    "grayscale": {"grayscale": 0.0},
    "flip": {"flip": 0.0},
}
_LIMITS = {
    "brightness": math.inf,
    "contrast": math.inf,
    "saturation": math.inf,
    "hue": 0.5,
    "jitter_probability": 1.0,
    "grayscale": 1.0,
    "flip": 1.0,
}


@dataclass(frozen=True)
class Augmentation:
    """What one view goes through; the defaults are those of the InvaSpread authors' code.

    Attributes:
        crop_scale: range of the crop's area over the image's area, in (0, 1]; None for no crop.
        crop_ratio: range of the crop's width over its height; the logarithm is uniform.
        brightness: strength b >= 0; the factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: strength >= 0, as brightness.
        saturation: strength >= 0, as brightness.
        hue: strength in [0, 0.5]; the shift is uniform in [-hue, hue] turns.
        jitter_probability: share of the views whose colours are jittered.
        grayscale: share of the views that lose their colour.
        flip: share of the views that are mirrored.

    Raises:
        ValueError: if a value is out of its range.
    """

    crop_scale: tuple[float, float] | None = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.4
    jitter_probability: float = 1.0
    grayscale: float = 0.2
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.crop_scale is not None:
            # JSON and YAML give lists; a tuple keeps recipes equal and hashable.
            object.__setattr__(self, "crop_scale", _range("crop_scale", self.crop_scale, 1.0))
        object.__setattr__(self, "crop_ratio", _range("crop_ratio", self.crop_ratio, math.inf))
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not (0 <= value <= limit and math.isfinite(value)):
                raise ValueError(f"{name}: expected a number from 0 to {limit}, got {value}")

    @property
    def blends(self) -> bool:
        """Whether brightness, contrast or saturation change."""
        strongest = max(self.brightness, self.contrast, self.saturation)
        return strongest > 0 and self.jitter_probability > 0

    @property
    def turns(self) -> bool:
        """Whether hues change."""
        return self.hue > 0 and self.jitter_probability > 0

    def without(self, *names: str) -> "Augmentation":
        """Return a copy that leaves out the named transforms (the paper's Table 7).

        Raises:
            ValueError: if a name is none of "crop", "jitter", "grayscale", "flip".
        """
        unknown = [name for name in names if name not in _OFF]
        if unknown:
            raise ValueError(f"unknown transform {unknown[0]!r}; expected any of {', '.join(_OFF)}")
        return replace(self, **{key: off for name in names for key, off in _OFF[name].items()})


def _range(name: str, pair: Sequence[float], limit: float) -> tuple[float, float]:
    if len(pair) != 2 or not (0 < pair[0] <= pair[1] <= limit and math.isfinite(pair[1])):
        raise ValueError(
            f"{name}: expected (low, high) with 0 < low <= high <= {limit}, got {pair}"
        )
    return pair[0], pair[1]


@torch.no_grad()
def augment(
    images: Tensor,
    augmentation: Augmentation,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
    crop_size: int | None = None,
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

    Returns:
        (n, 3, h, w) float32, normalised, in channels_last memory format; h and w are `crop_size`
        if there is one.

    Raises:
        ValueError: if the images are not (n, 3, h, w) uint8, or smaller than `crop_size`.
    """
    _check(images, crop_size)
    if crop_size is not None:
        images = _random_squares(images, crop_size, generator)
    n = len(images)
    # Hue is the dear step of the jitter, and comes first, second, third or last, by the image. A
    # shuffle puts the images that share a place side by side, so that each pays for it only once.
    # Up to three images are there twice: with equal groups every place is equally likely.
    groups = 4 if augmentation.blends and augmentation.turns else 1
    slots = math.ceil(n / groups) * groups
    if groups > 1:
        order = torch.randperm(slots, generator=generator, device=images.device)
        images = images.index_select(0, order % n)
    flipped = _happens(augmentation.flip, slots, generator) if augmentation.flip else None
    if augmentation.crop_scale:
        starts, sides = _crop_boxes(
            images, augmentation.crop_scale, augmentation.crop_ratio, generator
        )
        pixels = _resized_crop(images.float(), starts, sides, flipped)
    elif flipped is not None:
        pixels = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images).float()
    else:
        pixels = images.float()
    if augmentation.blends or augmentation.turns:
        _jitter_(pixels, augmentation, groups, generator)
    if augmentation.grayscale:
        colourless = _happens(augmentation.grayscale, slots, generator).float()
        torch.lerp(pixels, _grey(pixels), colourless.view(-1, 1, 1, 1), out=pixels)
    if groups > 1:
        pixels = pixels.index_select(0, order.argsort()[:n])
    return _normalised(pixels, mean, std)


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
        top, left = ((side - crop_size) // 2 for side in images.shape[2:])
        images = images[..., top : top + crop_size, left : left + crop_size]
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


def _random_squares(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Cut a (side, side) square out of each (3, h, w) image at a uniform place."""
    n, _, height, width = images.shape
    room = _constants((height - side + 1, width - side + 1), 1, images.device)
    starts = torch.rand(2, n, generator=generator, device=images.device).mul_(room).long()
    windows = images.unfold(2, side, 1).unfold(3, side, 1)  # a view: nothing is copied yet
    return windows[torch.arange(n, device=images.device), :, starts[0], starts[1]]


@lru_cache(maxsize=256)
def _constants(values: tuple[float, ...], trailing: int, device: torch.device) -> Tensor:
    """Return (len(values), 1, ...) constants, kept on the device: a new copy would wait for it."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, *[1] * trailing)


def _uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, device=generator.device).uniform_(low, high, generator=generator)


def _happens(probability: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) < probability


def _crop_boxes(
    images: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw a box for every image as RandomResizedCrop does.

    Returns:
        (2, n) top and left, and (2, n) height and width: whole numbers, as float32.
    """
    n, _, height, width = images.shape
    device = images.device
    area = _uniform(*scale, n, CROP_TRIES, generator=generator).mul_(height * width)
    logs = math.log(ratio[0]), math.log(ratio[1])
    aspect = _uniform(*logs, n, CROP_TRIES, generator=generator).exp_()
    candidates = torch.stack((area / aspect, area * aspect)).sqrt_().round_()
    fits = (candidates > 0) & (candidates <= _constants((height, width), 2, device))
    found, first = fits.all(0).max(1, keepdim=True)
    sides = candidates.gather(2, first.expand(2, n, 1)).squeeze(2)
    found = found.squeeze(1)
    room = _constants((height + 1, width + 1), 1, device) - sides
    starts = torch.rand(2, n, generator=generator, device=device).mul_(room).floor_()
    # Where no candidate fits: the largest central box whose ratio is in range.
    largest = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    margins = (height - largest[0]) // 2, (width - largest[1]) // 2
    return (
        torch.where(found, starts, _constants(margins, 1, device)),
        torch.where(found, sides, _constants(largest, 1, device)),
    )


def _resized_crop(pixels: Tensor, starts: Tensor, sides: Tensor, flipped: Tensor | None) -> Tensor:
    """Cut a box out of each image, stretch it to the image's size, mirror the flipped ones.

    Bilinear with half-pixel centres; samples stop at the border of the box, as if it had been cut
    out first. A box is never larger than its image, so there is nothing to smooth.

    Args:
        pixels: (n, 3, h, w).
        starts: (2, n) top and left of the boxes.
        sides: (2, n) height and width of the boxes.
        flipped: (n,) bool, or None for no flip.
    """
    height, width = pixels.shape[2:]
    sizes = _constants((height, width), 2, pixels.device)
    starts, sides = starts.unsqueeze(2), sides.unsqueeze(2)
    centres = torch.arange(0.5, max(height, width), device=pixels.device)
    inside = (centres * (sides / sizes)).sub_(0.5).clamp_(min=0).minimum(sides - 1)
    # grid_sample counts from -1 to 1 between the outer borders of the outer pixels.
    grid = inside.add_(starts).add_(0.5).mul_(2 / sizes).sub_(1)
    rows, columns = grid[0, :, :height], grid[1, :, :width]
    if flipped is not None:
        columns = torch.where(flipped.unsqueeze(1), columns.flip(1), columns)
    points = torch.view_as_real(torch.complex(columns.unsqueeze(1), rows.unsqueeze(2)))
    return F.grid_sample(pixels, points, padding_mode="border", align_corners=False)


def _jitter_(
    pixels: Tensor, augmentation: Augmentation, groups: int, generator: torch.Generator
) -> None:
    """Jitter the colours in place, every image in its own order.

    All images go through a stage together: in stage s the s-th group of images turns its hue, the
    others change brightness, contrast or saturation. See `augment` for the groups.
    """
    n, a = len(pixels), augmentation
    applied = _happens(a.jitter_probability, n, generator)
    if a.blends:
        strengths = (a.brightness, a.contrast, a.saturation)
        blends = _draw_blends(strengths, applied, groups, generator)
    if a.turns:
        turns = _uniform(-a.hue, a.hue, n, 1, 1, 1, generator=generator)
        turns.mul_(applied.view(n, 1, 1, 1))
        parts = list(zip(pixels.chunk(groups), turns.chunk(groups), strict=True))
    for stage in range(3 * a.blends + a.turns):
        if a.blends:
            _blend_(pixels, *blends[stage])
        if a.turns:
            _shift_hue_(*parts[stage])


def _draw_blends(
    strengths: tuple[float, float, float],
    applied: Tensor,
    groups: int,
    generator: torch.Generator,
) -> tuple[Tensor, ...]:
    """Draw factors and orders; return for each stage the (3, n, 1, 1, 1) weights of `_blend_`."""
    n, device = len(applied), applied.device
    change = torch.stack(
        [_uniform(max(-1.0, -s), s, n, generator=generator) for s in strengths], dim=1
    ).mul_(applied.unsqueeze(1))
    rows = torch.randint(6, (groups, n // groups), generator=generator, device=device)
    rows += torch.arange(0, 6 * groups, 6, device=device).unsqueeze(1)
    kinds = _orders(groups, device).index_select(0, rows.flatten())
    factor = (kinds * change.unsqueeze(1)).sum(2) + 1
    weights = torch.stack((factor, kinds[..., 1], kinds[..., 2]))
    return weights[..., None, None, None].unbind(2)


@lru_cache(maxsize=16)
def _orders(groups: int, device: torch.device) -> Tensor:
    """Return (6 groups, stages, 3) one-hot: which of brightness, contrast, saturation is when.

    All orders of the three, for each group with its own stage left free, the place of hue.
    """
    stages = 3 if groups == 1 else 4
    orders = sorted(permutations(range(stages)), key=lambda order: order.index(stages - 1))
    return F.one_hot(torch.tensor(orders), stages)[..., :3].float().to(device)


def _grey(pixels: Tensor) -> Tensor:
    """Return (n, 1, h, w): 0.299 red + 0.587 green + 0.114 blue, in two passes."""
    red, green, blue = pixels.chunk(3, 1)
    return torch.lerp(red, green, 0.587 / 0.886).lerp_(blue, 0.114)


def _blend_(pixels: Tensor, factor: Tensor, contrast: Tensor, saturation: Tensor) -> None:
    """Move the pixels in place away from black, from the mean grey or from their own grey.

    Args:
        pixels: (n, 3, h, w) in 0..255.
        factor: (n, 1, 1, 1), 1 for no change, 0 for nothing but what is moved away from.
        contrast: (n, 1, 1, 1), 1 where it is the mean grey, else 0.
        saturation: (n, 1, 1, 1), 1 where it is the grey of the pixel, else 0.
    """
    grey = _grey(pixels)
    mean = grey.mean((2, 3), keepdim=True).mul_(contrast)
    target = grey.mul_(saturation).add_(mean)
    torch.lerp(target, pixels, factor, out=pixels).clamp_(0, WHITE)


def _shift_hue_(pixels: Tensor, shift: Tensor) -> None:
    """Turn the hues in place by (n, 1, 1, 1) `shift` turns, keeping HSV value and saturation.

    With value V (largest channel) and chroma C (largest minus smallest), a channel is V where the
    hue is within 1/6 turn of the channel's own hue, V - C beyond 1/3, and linear between.
    """
    value = pixels.amax(1, keepdim=True)
    below = value - pixels
    chroma = below.amax(1, keepdim=True).clamp_(min=1e-6)
    red, green, blue = below.chunk(3, 1)
    # In sixths of a turn from red: up to three on the green side, as many on the blue side.
    angle = (red - green).sub_(blue).div_(chroma).add_(2)
    angle = torch.copysign(angle, blue - green, out=angle)
    # Distance to each channel's own hue: |frac(x + 1/2) - 1/2|, and whole turns keep x positive.
    own = shift + _constants((2.5, 2.5 - 1 / 3, 2.5 - 2 / 3), 2, pixels.device)
    distance = torch.add(own, angle, alpha=1 / 6, out=below).frac_().sub_(0.5).abs_()
    distance.clamp_(1 / 6, 1 / 3)
    torch.addcmul(value.add_(chroma), chroma, distance, value=-6, out=pixels)


def _normalised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x / 255 - mean) / std of 0..255 pixels, in channels_last."""
    result = torch.empty_like(pixels, memory_format=torch.channels_last)
    offsets = _constants(tuple(-m / s for m, s in zip(mean, std, strict=True)), 0, pixels.device)
    # One pass a channel that scales, moves and interleaves.
    for channel, offset in enumerate(offsets.unbind()):
        scale = 1 / (WHITE * std[channel])
        torch.add(offset, pixels[:, channel], alpha=scale, out=result[:, channel])
    return result
