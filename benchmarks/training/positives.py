"""What the second view of an image shows: the image itself, or its nearest neighbour."""

import torch
from torch import Tensor

from benchmarks.common.seeds import generator
from evaluation.backends.neighbours import search
from evaluation.validation import unit_rows


def self_or_neighbour(features: Tensor, seed: int, epoch: int) -> Tensor:
    """Return a positive of each training image: itself or its nearest neighbour.

    With probability 1/2, drawn once per image and epoch, as InvaSpread's code does on CUB200.

    Args:
        features: (n, feature_size) pooled features of the training images.
        seed: of the run.
        epoch: counted from 0 over all rounds.

    Returns:
        (n,) int64 indices of training images, on the features' device.
    """
    unit = unit_rows(features.cpu())
    nearest = torch.from_numpy(search(unit, unit, 1, exclude_self=True)[1][:, 0])  # (n,)
    draws = generator(seed, epoch, "partners", torch.device("cpu"))
    itself = torch.rand(len(nearest), generator=draws) < 0.5
    positives = torch.where(itself, torch.arange(len(nearest)), nearest)
    return positives.to(features.device)
