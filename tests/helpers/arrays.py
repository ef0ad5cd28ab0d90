"""Random arrays, the same for the same seed."""

import numpy as np
import torch


def gaussian(*shape, seed=0):
    """Return normal draws as a float64 tensor."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(*shape, seed=0):
    """Return rows of unit length as a float64 tensor."""
    rows = gaussian(*shape, seed=seed)
    return rows / rows.norm(dim=-1, keepdim=True)


def blobs(clusters, per_cluster, width=8, distance=100.0, seed=0):
    """Return fp32 points of well separated clusters, shuffled, and the cluster of each."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(clusters), per_cluster)
    points = distance * np.eye(clusters, width)[truth]
    points += rng.standard_normal((len(truth), width))
    shuffled = rng.permutation(len(truth))
    return points[shuffled].astype(np.float32), truth[shuffled]
