"""Colours of batches: jitter and loss of colour, every image with parameters of its own."""

from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

from benchmarks.data.transforms.draws import constants, happens, uniform
from benchmarks.data.transforms.settings import Augmentation

WHITE = 255.0
_CONTRAST, _SATURATION = 1, 2
"""Columns of the drawn changes; brightness is column 0, and no change (the turn of hue) is 3."""


def jitter_groups(augmentation: Augmentation) -> int:
    """Return the number of equal groups, images in random order, that `jitter_` needs."""
    return 4 if augmentation.blends and augmentation.turns else 1


def jitter_(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> None:
    """Jitter the colours in place, as torchvision's ColorJitter does to one image at a time.

    Brightness, contrast, saturation and hue change in an order of the image's own, all 24 orders
    equally likely. Hue is the expensive operation, so each image must pay for it once only: the
    images are in four groups, and in stage s = 0, 1, 2, 3 group s turns its hue while the images of
    the other groups make the next of their other three changes. The images must be in random order,
    for an image's group decides where hue stands in its order.

    Args:
        pixels: (n, 3, h, w) float32 in 0..255; n is a multiple of `jitter_groups`.
        augmentation: the strengths.
        generator: on the pixels' device.
    """
    n, a, groups = len(pixels), augmentation, jitter_groups(augmentation)
    applied = happens(a.jitter_probability, n, generator)  # (n,)
    if a.blends:
        blends = _draw_blends(a, applied, groups, generator)
    if a.turns:
        shifts = uniform(-a.hue, a.hue, n, 1, 1, 1, generator=generator)  # (n, 1, 1, 1)
        shifts.mul_(applied.view(n, 1, 1, 1))
        turns = list(zip(pixels.chunk(groups), shifts.chunk(groups), strict=True))
    for stage in range(3 * a.blends + a.turns):
        if a.blends:
            blend_(pixels, *blends[stage])
        if a.turns:
            shift_hue_(*turns[stage])


def _draw_blends(
    augmentation: Augmentation, applied: Tensor, groups: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Draw how much each image changes and in which order.

    Returns:
        For each stage (3, n, 1, 1, 1): the factor, contrast and saturation of `blend_`.
    """
    n, a, device = len(applied), augmentation, applied.device
    change = torch.stack(
        [
            uniform(max(-1.0, -strength), strength, n, generator=generator)
            for strength in (a.brightness, a.contrast, a.saturation)
        ],
        dim=1,
    )  # (n, 3)
    change.mul_(applied.unsqueeze(1))
    # Of each group's six orders, one for each of its images.
    rows = torch.randint(6, (groups, n // groups), generator=generator, device=device)
    rows += torch.arange(0, 6 * groups, 6, device=device).unsqueeze(1)
    kinds = _orders(groups, device).index_select(0, rows.flatten())  # (n, stages, 3) one-hot
    factor = (kinds * change.unsqueeze(1)).sum(2) + 1  # (n, stages)
    weights = torch.stack((factor, kinds[..., _CONTRAST], kinds[..., _SATURATION]))
    return weights[..., None, None, None].unbind(2)  # from (3, n, stages, 1, 1, 1)


@lru_cache(maxsize=16)
def _orders(groups: int, device: torch.device) -> Tensor:
    """Return all orders of brightness, contrast and saturation, for one group after the other.

    With four groups there are four stages, and the orders of group s leave stage s to hue.

    Returns:
        (6 groups, stages, 3) one-hot: what changes in which stage; all 0 where hue does.
    """
    stages = 3 if groups == 1 else 4
    last = stages - 1  # of four, what no column stands for: hue
    orders = sorted(permutations(range(stages)), key=lambda order: order.index(last))
    one_hot = torch.nn.functional.one_hot(torch.tensor(orders), stages)
    return one_hot[..., :3].float().to(device)


def grey(pixels: Tensor) -> Tensor:
    """Return (n, 1, h, w): 0.299 red + 0.587 green + 0.114 blue of (n, 3, h, w) pixels."""
    red, green, blue = pixels.chunk(3, 1)
    # In two passes: (1 - 0.114) * (0.299 red + 0.587 green) / 0.886 + 0.114 blue.
    return torch.lerp(red, green, 0.587 / 0.886).lerp_(blue, 0.114)


def remove_color_(pixels: Tensor, applied: Tensor) -> None:
    """Make some of the (n, 3, h, w) pixels grey in place: those that the (n,) bool says."""
    torch.lerp(pixels, grey(pixels), applied.float().view(-1, 1, 1, 1), out=pixels)


def blend_(pixels: Tensor, factor: Tensor, contrast: Tensor, saturation: Tensor) -> None:
    """Move the pixels in place away from black, from the mean grey or from their own grey.

    That is a change of brightness, contrast or saturation, as in torchvision.

    Args:
        pixels: (n, 3, h, w) in 0..255.
        factor: (n, 1, 1, 1), 1 for no change, 0 for nothing but what is moved away from.
        contrast: (n, 1, 1, 1), 1 where it is the mean grey, else 0.
        saturation: (n, 1, 1, 1), 1 where it is the grey of the pixel, else 0.
    """
    own = grey(pixels)  # (n, 1, h, w)
    mean = own.mean((2, 3), keepdim=True).mul_(contrast)  # (n, 1, 1, 1)
    target = own.mul_(saturation).add_(mean)
    torch.lerp(target, pixels, factor, out=pixels).clamp_(0, WHITE)


def shift_hue_(pixels: Tensor, shift: Tensor) -> None:
    """Turn the hues in place, keeping HSV value and saturation.

    With value V (largest channel) and chroma C (largest minus smallest), a channel is V where the
    hue is within 1/6 turn of the channel's own hue, V - C beyond 1/3, and linear between.

    Args:
        pixels: (n, 3, h, w) in 0..255.
        shift: (n, 1, 1, 1) turns.
    """
    value = pixels.amax(1, keepdim=True)  # (n, 1, h, w)
    below = value - pixels  # (n, 3, h, w)
    chroma = below.amax(1, keepdim=True).clamp_(min=1e-6)
    red, green, blue = below.chunk(3, 1)
    # In sixths of a turn from red: up to three on the green side, as many on the blue side.
    angle = (red - green).sub_(blue).div_(chroma).add_(2)
    angle = torch.copysign(angle, blue - green, out=angle)
    # Distance to each channel's own hue: |frac(x + 1/2) - 1/2|, and whole turns keep x positive.
    own = shift + constants((2.5, 2.5 - 1 / 3, 2.5 - 2 / 3), 2, pixels.device)  # (n, 3, 1, 1)
    distance = torch.add(own, angle, alpha=1 / 6, out=below).frac_().sub_(0.5).abs_()
    distance.clamp_(1 / 6, 1 / 3)
    torch.addcmul(value.add_(chroma), chroma, distance, value=-6, out=pixels)
