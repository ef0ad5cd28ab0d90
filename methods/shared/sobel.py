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
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([across, across.T]).unsqueeze(1)  # (2, 1, 3, 3)
    grey = images.mean(1, keepdim=True)  # (b, 1, h, w)
    return F.conv2d(grey, kernels.to(grey), padding=1)
