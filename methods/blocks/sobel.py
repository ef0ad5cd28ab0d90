"""Edges instead of colours: the fixed Sobel filters of DeepCluster, IIC and Super-AND."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sobel(images: Tensor) -> Tensor:
    """Return the horizontal and vertical edges of images.

    Grey is the plain mean of the channels, as in the released codes; the border is padded by 0.

    Args:
        images: (b, c, h, w) floating.

    Returns:
        (b, 2, h, w): how much darker the right is than the left, and the bottom than the top.
    """
    if images.ndim != 4:
        raise ValueError(f"images: expected shape (b, c, h, w), got {tuple(images.shape)}")
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1))  # (b, 1, h + 2, w + 2)
    # differences in one direction, smoothed by 1, 2, 1 in the other: no kernel to keep on a device
    across = grey[..., :-2] - grey[..., 2:]  # (b, 1, h + 2, w)
    down = grey[..., :-2, :] - grey[..., 2:, :]  # (b, 1, h, w + 2)
    horizontal = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    vertical = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([horizontal, vertical], 1)
