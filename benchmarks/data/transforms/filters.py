"""Blur and solarisation of batches: every image its own sigma, nothing waits for the device."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

INVERTED_FROM = 128.0
"""Pixels of at least this grey level are inverted by solarisation, as BYOL has it."""


def kernel_size(side: int) -> int:
    """Return the width of the blur's kernel: a tenth of the image's side, odd, at least 3.

    That is SimCLR's rule (Chen et al., ICML 2020, appendix A). An image of one pixel has a kernel
    of one.
    """
    return max(3, side // 10 // 2 * 2 + 1) if side > 1 else 1


def gaussian_blur(
    pixels: Tensor, sigma: Tensor, applied: Tensor, size: int | None = None
) -> Tensor:
    """Blur some of the images, each with its own sigma, as torchvision's `gaussian_blur` does.

    Separable, with the border reflected. All images are blurred, since choosing some by index would
    wait for the device.

    Args:
        pixels: (n, c, h, w) float32.
        sigma: (n,) standard deviations in pixels, above 0.
        applied: (n,) bool.
        size: taps of the kernel, odd, less than twice the image's smaller side; None for
            `kernel_size` of that side.

    Returns:
        (n, c, h, w), the pixels blurred.
    """
    size = kernel_size(min(pixels.shape[2:])) if size is None else size
    taps = torch.arange(size, device=pixels.device) - size // 2  # (size,)
    weights = torch.exp(-0.5 * (taps / sigma.unsqueeze(1)) ** 2)  # (n, size)
    weights = weights / weights.sum(1, keepdim=True)
    rows, columns = (_means(weights, side) for side in pixels.shape[2:])
    blurred = rows.unsqueeze(1) @ pixels @ columns.transpose(1, 2).unsqueeze(1)  # (n, c, h, w)
    return torch.where(applied.view(-1, 1, 1, 1), blurred, pixels)


def _means(weights: Tensor, side: int) -> Tensor:
    """Return (n, side, side): the weights with which pixels along an axis make the blurred ones.

    Two products with such matrices cost less than a pass over the images for every tap.
    """
    taps = _taps(weights.shape[1], side, weights.device)  # (size, side * side)
    return (weights @ taps).view(-1, side, side)


@lru_cache(maxsize=16)
def _taps(size: int, side: int, device: torch.device) -> Tensor:
    """Return (size, side * side): 1 where a tap, reflected at the borders, meets a pixel."""
    places = torch.arange(side, dtype=torch.float32).view(1, 1, side)
    half = size // 2
    padded = F.pad(places, (half, half), mode="reflect") if half else places
    met = padded.flatten().long().unfold(0, side, 1)  # (size, side) pixel that a tap meets
    return F.one_hot(met, side).float().flatten(1).to(device)


def solarize(pixels: Tensor, applied: Tensor) -> Tensor:
    """Invert the bright pixels of some images, as torchvision's `solarize` does.

    Args:
        pixels: (n, c, h, w) float, grey levels in 0..255.
        applied: (n,) bool.
    """
    inverted = applied.view(-1, 1, 1, 1) & (pixels >= INVERTED_FROM)
    return torch.where(inverted, 255.0 - pixels, pixels)
