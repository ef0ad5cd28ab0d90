"""Random numbers and constants on the device of the images."""

from functools import lru_cache

import torch
from torch import Tensor


def uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> Tensor:
    """Return float32 of a shape, uniform from `low` to `high`, on the generator's device."""
    return torch.empty(shape, device=generator.device).uniform_(low, high, generator=generator)


def happens(probability: float, n: int, generator: torch.Generator) -> Tensor:
    """Return (n,) bool, each True with a probability, on the generator's device."""
    return torch.rand(n, generator=generator, device=generator.device) < probability


@lru_cache(maxsize=256)
def constants(values: tuple[float, ...], trailing: int, device: torch.device) -> Tensor:
    """Return (len(values), 1, ...) constants, kept on the device: a new copy would wait for it.

    Args:
        values: what the first axis holds.
        trailing: number of axes of length 1 behind it.
        device: where they are kept.
    """
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, *[1] * trailing)
