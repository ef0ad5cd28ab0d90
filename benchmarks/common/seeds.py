"""Random numbers that follow from a run's seed and from what they are for."""

import hashlib

import torch


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part; different parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, epoch: int, purpose: str, device: torch.device) -> torch.Generator:
    """Return the source of an epoch's random numbers for one purpose."""
    return torch.Generator(device).manual_seed(derive_seed(seed, epoch, purpose))
