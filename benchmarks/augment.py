"""Batched augmentation on tensors: every image its own random parameters, on the training device.

The transforms are those of torchvision, in distribution: RandomResizedCrop, ColorJitter,
RandomGrayscale and RandomHorizontalFlip, in this order. Pixels are fp32 in 0..255 between them,
where torchvision rounds to whole numbers. Nothing here waits for the device: shapes and control
flow depend on the settings and on the number of images only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601, as torchvision rounds them)."""
CROP_TRIES = 10
"""Candidate boxes of which the first that fits is taken, as torchvision."""
WHITE = 255.0

_SWITCHED_OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": None},
    "jitter": {"jitter_probability": 0.0},
    "grayscale": {"grayscale": 0.0},
    "flip": {"flip": 0.0},
}


@dataclass(frozen=True)
class Augmentation:
    """What one view goes through; the defaults are those of the InvaSpread authors' code.

    Attributes:
        crop_scale: range of the crop's area over the image's area, within (0, 1]; None for no crop.
        crop_ratio: range of the crop's width over its height; its logarithm is uniform.
        brightness: strength b >= 0; the factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: strength >= 0, as brightness.
        saturation: strength >= 0, as brightness.
        hue: strength in [0, 0.5]; the shift is uniform in [-hue, hue] turns.
        jitter_probability: share of the views whose colours are jittered.
        grayscale: share of the views without colour.
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
        for name, limit in (("crop_scale", 1.0), ("crop_ratio", math.inf)):
            pair = getattr(self, name)
            if pair is None and name == "crop_scale":
                continue
            low, high = pair
            if not (0 < low <= high <= limit and math.isfinite(high)):
                raise ValueError(f"{name}: expected 0 < low <= high <= {limit}, got {pair}")
            object.__setattr__(self, name, (low, high))  # JSON and YAML give lists
        limits = {"brightness": math.inf, "contrast": math.inf, "saturation": math.inf, "hue": 0.5}
        for name in ("jitter_probability", "grayscale", "flip"):
            limits[name] = 1.0
        for name, limit in limits.items():
            value = getattr(self, name)
            if not (0 <= value <= limit and math.isfinite(value)):
                raise ValueError(f"{name}: expected a number in [0, {limit}], got {value}")

    def without(self, *names: str) -> "Augmentation":
        """Return a copy that leaves out the named transforms (the ablation of Table 7).

        Raises:
            ValueError: if a name is none of "crop", "jitter", "grayscale", "flip".
        """
        changes: dict[str, Any] = {}
        for name in names:
            if name not in _SWITCHED_OFF:
                known = ", ".join(_SWITCHED_OFF)
                raise ValueError(f"Unknown transform {name!r}; expected one of: {known}")
            changes |= _SWITCHED_OFF[name]
        return replace(self, **changes)

    @property
    def blends(self) -> bool:
        return self.jitter_probability > 0 and any((self.brightness, self.contrast, self.saturation))

    @property
    def jitters_hue(self) -> bool:
        return self.jitter_probability > 0 and self.hue > 0

    @property
    def jitter_stages(self) -> int:
        return 3 * self.blends + self.jitters_hue


@torch.no_grad()
def augment(
    images: Tensor,
    augmentation: Augmentation,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """Return one random view of every image, each with its own parameters.

    Several views at once, as `augment(images.repeat(2, 1, 1, 1), ...).chunk(2)`, cost less than
    one after the other.

    Args:
        images: (n, 3, h, w) uint8.
        augmentation: the transforms and their strengths.
        mean: of red, green and blue, in 0..1, subtracted last.
        std: of red, green and blue, in 0..1, divided by last.
        generator: on the images' device; its state decides the views.

    Returns:
        (n, 3, h, w) float32, normalised, in channels_last memory format.

    Raises:
        ValueError: if the images are not (n, 3, h, w) uint8.
    """
    _check(images)
    n, _, height, width = images.shape
    # Each image jitters its hue, the dear step, in one of `groups` places of its order. Shuffling
    # makes those that share a place adjacent. Up to three images are there twice, so that the
    # groups are equal and every place is equally likely.
    groups = augmentation.jitter_stages if augmentation.jitters_hue else 1
    slots = math.ceil(n / groups) * groups
    if groups > 1:
        order = torch.randperm(slots, generator=generator, device=images.device)
        images = images.index_select(0, order % n)
    flipped = _happens(augmentation.flip, slots, generator) if augmentation.flip else None
    if augmentation.crop_scale:
        pixels = _resized_crop(images.float(), *_crop_boxes(images, augmentation, generator), flipped)
    else:
        if flipped is not None:
            images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
        pixels = images.float()
    if augmentation.jitter_stages:
        _jitter_(pixels, augmentation, generator)
    if augmentation.grayscale:
        colourless = _happens(augmentation.grayscale, slots, generator).float()
        grey = _over_red(pixels).mul_(LUMINANCE[0])
        torch.lerp(pixels, grey, colourless.view(-1, 1, 1, 1), out=pixels)
    if groups > 1:
        pixels = pixels.index_select(0, order.argsort()[:n])
    return _normalised_(pixels, mean, std)


@torch.no_grad()
def prepare(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return the images scaled to 0..1 and normalised: the test transform.

    Args:
        images: (n, 3, h, w) uint8.
        mean: of red, green and blue, in 0..1.
        std: of red, green and blue, in 0..1.

    Returns:
        (n, 3, h, w) float32 in channels_last memory format.

    Raises:
        ValueError: if the images are not (n, 3, h, w) uint8.
    """
    _check(images)
    return _normalised_(images.float(), mean, std)


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        found = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        raise ValueError(f"images: expected (n, 3, h, w) uint8, got {found}")


@lru_cache(maxsize=256)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Keep small constants on the device: copying them each time would wait for it."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, device=generator.device).uniform_(low, high, generator=generator)


def _happens(probability: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) < probability


def _crop_boxes(
    images: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a box for every image as RandomResizedCrop does.

    Returns:
        (2, n) top and left, and (2, n) height and width, whole numbers as float32.
    """
    n, _, height, width = images.shape
    low, high = augmentation.crop_ratio
    scale = augmentation.crop_scale or (1.0, 1.0)
    area = _uniform(*scale, n, CROP_TRIES, generator=generator).mul_(height * width)
    ratio = _uniform(math.log(low), math.log(high), n, CROP_TRIES, generator=generator).exp_()
    candidates = torch.stack((area / ratio, area * ratio)).sqrt_().round_()
    limits = _constant((height, width), images.device).unsqueeze(1)
    fits = ((candidates > 0) & (candidates <= limits.unsqueeze(2))).all(0)
    found, first = fits.max(1)
    sides = candidates.gather(2, first.view(1, n, 1).expand(2, n, 1)).squeeze(2)
    starts = torch.rand(2, n, generator=generator, device=images.device)
    starts = starts.mul_(limits - sides + 1).floor_()
    # Where no candidate fits: the largest central box whose ratio is in range.
    central = (min(height, round(width / low)), min(width, round(height * high)))
    margins = ((height - central[0]) // 2, (width - central[1]) // 2)
    starts = torch.where(found, starts, _constant(margins, images.device).unsqueeze(1))
    sides = torch.where(found, sides, _constant(central, images.device).unsqueeze(1))
    return starts, sides


def _resized_crop(pixels: Tensor, starts: Tensor, sides: Tensor, flipped: Tensor | None) -> Tensor:
    """Cut a box out of each image, stretch it to the image's size, mirror the flipped ones.

    Bilinear with half-pixel centres; samples stop at the border of the box, as if it had been cut
    out first. A box is never larger than its image, so nothing has to be smoothed.

    Args:
        pixels: (n, 3, h, w).
        starts: (2, n) top and left of the boxes.
        sides: (2, n) height and width of the boxes.
        flipped: (n,) bool, or None for no flip.
    """
    sizes = pixels.shape[2:]
    # In the units of grid_sample: the image from -1 to 1, so that a pixel measures 2 / size.
    pixel = 2 / _constant(tuple(sizes), pixels.device).unsqueeze(1)
    first = starts.add(0.5).mul_(pixel).sub_(1).unsqueeze(2)
    length = (sides * pixel).unsqueeze(2)
    rows, columns = (
        torch.arange(0.5, size, device=pixels.device)
        .div_(size)
        .mul(length[axis])
        .sub_(1 / size)
        .clamp_(min=0)
        .minimum(length[axis] - 2 / size)
        .add_(first[axis])
        for axis, size in enumerate(sizes)
    )
    if flipped is not None:
        columns = torch.where(flipped.unsqueeze(1), columns.flip(1), columns)
    grid = torch.view_as_real(torch.complex(columns.unsqueeze(1), rows.unsqueeze(2)))
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _jitter_(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> None:
    """Jitter the colours in place, every image in its own order.

    All images go through every stage together. A stage is brightness, contrast or saturation, by
    the image's order, or nothing where hue has its place, which is that of the image's group.
    """
    n, stages = len(pixels), augmentation.jitter_stages
    groups = stages if augmentation.jitters_hue else 1
    applied = _happens(augmentation.jitter_probability, n, generator).unsqueeze(1)
    if augmentation.blends:
        strengths = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
        weights = _blend_weights(n, strengths, applied, groups, generator)
    if augmentation.jitters_hue:
        shifts = _uniform(-augmentation.hue, augmentation.hue, n, 1, generator=generator)
        shifts = shifts.mul_(applied).split(n // groups)
        parts = pixels.split(n // groups)
    for stage in range(stages):
        if augmentation.blends:
            _blend_(pixels, *weights[stage])
        if augmentation.jitters_hue:
            _shift_hue_(parts[stage], shifts[stage])


def _blend_weights(
    n: int,
    strengths: tuple[float, float, float],
    applied: Tensor,
    groups: int,
    generator: torch.Generator,
) -> Tensor:
    device = generator.device
    low = _constant(tuple(max(0.0, 1 - s) - 1 for s in strengths), device)
    span = _constant(tuple(s - max(0.0, 1 - s) + 1 for s in strengths), device)
    change = torch.rand(n, 3, generator=generator, device=device).mul_(span).add_(low).mul_(applied)
    place = torch.rand(n, 3, generator=generator, device=device).argsort(1)
    stages = 3
    if groups > 1:
        stages = 4
        place = place.view(groups, -1, 3)
        place = (place + (place >= torch.arange(groups, device=device).view(-1, 1, 1))).view(n,3)
    taken = torch.where(place == torch.arange(stages, device=device).view(-1,1,1), change, 0)  # (stages, n, 3)
    w = torch.stack((1+taken.sum(2), taken[..., 1]*-LUMINANCE[0], taken[..., 2]*-LUMINANCE[0]),1)
    return w.view(stages,3,n,1,1,1)


def _over_red(pixels: Tensor) -> Tensor:
    """Return (n, 1, h, w) grey, divided by the weight of red: one pass less than grey itself."""
    red, green, blue = pixels.split(1, dim=1)
    grey = torch.add(red, green, alpha=LUMINANCE[1] / LUMINANCE[0])
    return grey.add_(blue, alpha=LUMINANCE[2] / LUMINANCE[0])


def _blend_(pixels, factor, contrast, saturation):
    target = _over_red(pixels)
    mean = target.mean((2, 3), keepdim=True).mul_(contrast)
    target.mul_(saturation).add_(mean)
    torch.addcmul(target, pixels, factor, out=pixels).clamp_(0, WHITE)


def _shift_hue_(pixels, shift):
    value = pixels.amax(1, keepdim=True)
    below = value - pixels
    chroma = below.amax(1, keepdim=True).clamp_(min=1e-6)
    red, green, blue = below.split(1, dim=1)
    angle = (red - green).sub_(blue).div_(chroma).add_(2)
    angle = torch.copysign(angle, blue - green, out=angle)
    centre = (shift+_constant((.5,.5-1/3,.5-2/3), shift.device)).remainder_(1).add_(.5).view(-1, 3, 1, 1)
    distance = torch.add(centre, angle, alpha=1 / 6, out=below).frac_().sub_(0.5).abs_()
    distance.clamp_(1 / 6, 1 / 3)
    torch.addcmul(value.add_(chroma), chroma, distance, value=-6, out=pixels)


def _normalised_(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale 0..255 to 0..1 and normalise in place; return the result in channels_last."""
    scale = _constant(tuple(1 / (WHITE * s) for s in std), pixels.device).view(3, 1, 1)
    offset = _constant(tuple(m / s for m, s in zip(mean, std, strict=True)), pixels.device)
    pixels.mul_(scale).sub_(offset.view(3, 1, 1))
    return pixels.contiguous(memory_format=torch.channels_last)
