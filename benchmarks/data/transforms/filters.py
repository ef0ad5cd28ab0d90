"""Blur and solarisation of batches: every image its own sigma, nothing waits for the device."""

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

    Separable, with the border reflected. Images that are not `applied` pass a kernel of one tap,
    since choosing images by index would wait for the device.

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
    half = size // 2
    taps = torch.arange(-half, half + 1, device=pixels.device)  # (size,)
    weights = torch.exp(-0.5 * (taps / sigma.unsqueeze(1)) ** 2)  # (n, size)
    weights = weights / weights.sum(1, keepdim=True)
    middle = (taps == 0).to(weights.dtype).expand_as(weights)
    weights = torch.where(applied.unsqueeze(1), weights, middle)
    for axis in (3, 2):
        padding = (half, half, 0, 0) if axis == 3 else (0, 0, half, half)
        padded = F.pad(pixels, padding, mode="reflect")
        blurred = torch.zeros_like(pixels)
        # A pass per tap is cheaper than a grouped convolution with n * c kernels, and on a CPU than
        # a product with an (n, side, side) matrix of weights.
        for tap, weight in enumerate(weights.unbind(1)):  # (n,)
            shifted = padded.narrow(axis, tap, pixels.shape[axis])  # (n, c, h, w)
            blurred.addcmul_(shifted, weight.view(-1, 1, 1, 1))
        pixels = blurred
    return pixels


def solarize(pixels: Tensor, applied: Tensor) -> Tensor:
    """Invert the bright pixels of some images, as torchvision's `solarize` does.

    Args:
        pixels: (n, c, h, w) float, grey levels in 0..255.
        applied: (n,) bool.
    """
    inverted = applied.view(-1, 1, 1, 1) & (pixels >= INVERTED_FROM)
    return torch.where(inverted, 255.0 - pixels, pixels)
