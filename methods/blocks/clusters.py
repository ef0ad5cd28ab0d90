"""Whitened principal components to cluster, and epochs that visit all clusters equally often."""

import torch
from torch import Tensor

from methods.base import normalise


def principal_components(embeddings: Tensor, size: int, whitening: bool) -> Tensor:
    """Return the (n, size) principal components of (n, d) embeddings, rows of unit L2 norm.

    Whitening drops directions without variance, where a collapsed embedding would divide by zero.
    """
    points = embeddings.cpu().double()  # (n, d)
    centred = points - points.mean(0)
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(centred))  # (d,) rising, (d, d)
    variance, axes = variance[-size:], axes[:, -size:]  # (size,), (d, size)
    if whitening:
        floor = variance[-1] * torch.finfo(torch.float32).eps
        axes = axes * torch.where(variance > floor, variance.rsqrt(), 0.0)
    return normalise(centred @ axes)


def uniform_over_clusters(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return (n,) image indices, each non-empty cluster being drawn equally often.

    A cluster that is not larger than its n / clusters + 1 draws is drawn with replacement.

    Args:
        labels: (n,) cluster of each image, on the generator's device.
        generator: source of the draws.
    """
    shuffled = torch.randperm(len(labels), generator=generator, device=labels.device)
    members = shuffled[labels[shuffled].argsort(stable=True)]  # by cluster, in random order
    sizes = labels.bincount()  # (clusters,)
    starts = (sizes.cumsum(0) - sizes)[sizes > 0].unsqueeze(1)  # (k, 1) of the k with members
    sizes = sizes[sizes > 0].unsqueeze(1)  # (k, 1)
    draws = len(labels) // len(sizes) + 1
    uniform = torch.rand(len(sizes), draws, generator=generator, device=labels.device)
    again = (uniform * sizes).long()  # (k, draws) places in a cluster, with replacement
    once = torch.arange(draws, device=labels.device)  # (draws,) without: its order is random
    images = members[starts + torch.where(sizes > draws, once, again)].flatten()  # (k draws,)
    order = torch.randperm(len(images), generator=generator, device=labels.device)
    return images[order[: len(labels)]]
