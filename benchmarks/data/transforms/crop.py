"""Crops of batches: every image a box of its own, stretched or shrunk to one size."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.data.transforms.draws import constants, uniform

CROP_TRIES = 10
"""Candidate boxes of which the first that fits is taken, as in torchvision."""


def random_squares(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Cut a square out of each image at a place of its own, all places equally likely.

    Args:
        images: (n, c, h, w).
        side: of the squares, at most h and w.
        generator: on the images' device.

    Returns:
        (n, c, side, side).
    """
    n, _, height, width = images.shape
    room = constants((height - side + 1, width - side + 1), 1, images.device)
    starts = torch.rand(2, n, generator=generator, device=images.device).mul_(room).long()
    windows = images.unfold(2, side, 1).unfold(3, side, 1)  # a view: nothing is copied yet
    return windows[torch.arange(n, device=images.device), :, starts[0], starts[1]]


def centre_squares(images: Tensor, side: int) -> Tensor:
    """Return the (n, c, side, side) centres of (n, c, h, w) images."""
    top, left = ((length - side) // 2 for length in images.shape[2:])
    return images[..., top : top + side, left : left + side]


def crop_boxes(
    images: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw a box for every image as torchvision's RandomResizedCrop does.

    Args:
        images: (n, c, h, w); their shape and device count alone.
        scale: range of the box's area over the image's.
        ratio: range of the box's width over its height; the logarithm is uniform.
        generator: on the images' device.

    Returns:
        (2, n) top and left, and (2, n) height and width: whole numbers, as float32.
    """
    n, _, height, width = images.shape
    device = images.device
    # All candidates of all images at once; torchvision tries one after the other.
    area = uniform(*scale, n, CROP_TRIES, generator=generator).mul_(height * width)
    logs = math.log(ratio[0]), math.log(ratio[1])
    aspect = uniform(*logs, n, CROP_TRIES, generator=generator).exp_()
    candidates = torch.stack((area / aspect, area * aspect)).sqrt_().round_()  # (2, n, tries)
    fits = (candidates > 0) & (candidates <= constants((height, width), 2, device))
    found, first = fits.all(0).max(1, keepdim=True)  # (n, 1) whether any fits, and which first
    sides = candidates.gather(2, first.expand(2, n, 1)).squeeze(2)  # (2, n)
    found = found.squeeze(1)
    room = constants((height + 1, width + 1), 1, device) - sides
    starts = torch.rand(2, n, generator=generator, device=device).mul_(room).floor_()
    # Where no candidate fits: the largest central box whose ratio is in range.
    largest = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    margins = (height - largest[0]) // 2, (width - largest[1]) // 2
    return (
        torch.where(found, starts, constants(margins, 1, device)),
        torch.where(found, sides, constants(largest, 1, device)),
    )


def whole_boxes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes, as those of `crop_boxes`, that are the whole of (n, c, h, w) images."""
    n, _, height, width = images.shape
    sides = constants((height, width), 1, images.device).expand(2, n)
    return torch.zeros_like(sides), sides


def resized_crop(
    pixels: Tensor,
    starts: Tensor,
    sides: Tensor,
    flipped: Tensor | None,
    size: tuple[int, int],
) -> Tensor:
    """Cut a box out of each image, resize it, mirror the flipped ones.

    As torchvision's `resized_crop` with antialias: bilinear with half-pixel centres, and smoothed
    along a side of a box that shrinks.

    Args:
        pixels: (n, c, h, w) float32.
        starts: (2, n) top and left of the boxes.
        sides: (2, n) height and width of the boxes.
        flipped: (n,) bool, or None for no flip.
        size: height and width of the result.

    Returns:
        (n, c, *size).
    """
    # A box is never larger than its image: with no smaller size there is nothing to smooth.
    if size[0] >= pixels.shape[2] and size[1] >= pixels.shape[3]:
        return _sampled(pixels, starts, sides, flipped, size)
    return _averaged(pixels, starts, sides, flipped, size)


def _sampled(
    pixels: Tensor,
    starts: Tensor,
    sides: Tensor,
    flipped: Tensor | None,
    size: tuple[int, int],
) -> Tensor:
    """Resize boxes by sampling between pixels; samples stop at the border of the box."""
    height, width = size
    starts, sides = starts.unsqueeze(2), sides.unsqueeze(2)  # (2, n, 1)
    centres = torch.arange(0.5, max(size), device=pixels.device)  # (longer side,)
    lengths = constants(size, 2, pixels.device)
    inside = (centres * (sides / lengths)).sub_(0.5).clamp_(min=0).minimum(sides - 1)
    # grid_sample counts from -1 to 1 between the outer borders of the outer pixels.
    whole = constants(tuple(pixels.shape[2:]), 2, pixels.device)
    grid = inside.add_(starts).add_(0.5).mul_(2 / whole).sub_(1)  # (2, n, longer side)
    rows, columns = grid[0, :, :height], grid[1, :, :width]
    if flipped is not None:
        columns = torch.where(flipped.unsqueeze(1), columns.flip(1), columns)
    points = torch.stack(
        (
            columns.unsqueeze(1).expand(-1, height, -1),
            rows.unsqueeze(2).expand(-1, -1, width),
        ),
        dim=-1,
    )  # (n, height, width, 2), x before y
    return F.grid_sample(pixels, points, padding_mode="border", align_corners=False)


def _averaged(
    pixels: Tensor,
    starts: Tensor,
    sides: Tensor,
    flipped: Tensor | None,
    size: tuple[int, int],
) -> Tensor:
    """Resize boxes by weighted means of their pixels, a matrix for each axis of each image."""
    rows = _means(starts[0], sides[0], pixels.shape[2], size[0])  # (n, height, h)
    columns = _means(starts[1], sides[1], pixels.shape[3], size[1])  # (n, width, w)
    if flipped is not None:
        columns = torch.where(flipped.view(-1, 1, 1), columns.flip(1), columns)
    narrow = pixels @ columns.transpose(1, 2).unsqueeze(1)  # (n, c, h, width)
    return rows.unsqueeze(1) @ narrow  # (n, c, height, width)


def _means(starts: Tensor, sides: Tensor, length: int, size: int) -> Tensor:
    """Return the weights with which pixels along an axis make those of the resized box.

    A triangle around the centre of each new pixel, one old pixel wide to each side, or one new
    pixel where the box shrinks: torch's `interpolate` with antialias.

    Args:
        starts: (n,) first pixels of the boxes.
        sides: (n,) lengths of the boxes.
        length: of the axis, in pixels.
        size: pixels that a box becomes.

    Returns:
        (n, size, length), rows that sum to 1.
    """
    starts, sides = starts.view(-1, 1, 1), sides.view(-1, 1, 1)
    scale = sides / size
    middles = torch.arange(0.5, size, device=starts.device).unsqueeze(1) * scale  # (n, size, 1)
    places = torch.arange(0.5, length, device=starts.device) - starts  # (n, 1, length) in the box
    weights = 1 - (places - middles).div_(scale.clamp(min=1)).abs_()  # (n, size, length)
    outside = (places < 0) | (places > sides)
    weights = weights.clamp_(min=0).masked_fill_(outside, 0)
    return weights / weights.sum(2, keepdim=True)
