"""Momentum networks: a frozen copy that follows the trained network (He et al., CVPR 2020)."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module whose parameters take no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def ema_(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """Set the target's parameters to m * target + (1 - m) * source, in place; copy its buffers.

    Buffers (the running statistics of batch normalisation) are no weights that an average of the
    weights would explain, and counters cannot be averaged: the target takes the source's.

    Args:
        target: a copy of `source`.
        source: the trained network.
        momentum: m, from 0 (copy) to 1 (stand still).

    Raises:
        ValueError: if the momentum lies outside or the modules have different parameters.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum: expected a number from 0 to 1, got {momentum!r}")
    followers, leaders = _paired(target.parameters(), source.parameters(), "parameters")
    if followers:  # one launch for all tensors; lerp with weight 1 gives the source's bits
        torch._foreach_lerp_(followers, leaders, 1 - momentum)
    followers, leaders = _paired(target.buffers(), source.buffers(), "buffers")
    if followers:
        torch._foreach_copy_(followers, leaders)


def _paired(
    target: Iterable[Tensor], source: Iterable[Tensor], what: str
) -> tuple[list[Tensor], list[Tensor]]:
    followers, leaders = list(target), list(source)
    shapes = [tensor.shape for tensor in followers], [tensor.shape for tensor in leaders]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"target: expected the {len(leaders)} {what} of the source in their shapes, found "
            f"{len(followers)} that differ; make it with frozen_copy"
        )
    return followers, leaders
