"""What the machine can do at most: its matrix product, and the network with nothing around it."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.commands.speed.timing import seconds
from benchmarks.common.device import autocast

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}


def matrix_peak(device: torch.device, precision: str) -> float:
    """Return the operations a second of the best of several large matrix products."""
    side = MATRIX_SIDE[device.type]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(side, side, device=device).to(dtype)
    seconds(lambda: matrix @ matrix, device)
    fastest = min(seconds(lambda: matrix @ matrix, device) for _ in range(10))
    return 2 * side**3 / fastest


def flops_per_view(encoder: nn.Module, image_size: int) -> float:
    """Return the operations of one view's forward and backward pass, two a multiply-add."""
    images = torch.zeros(2, 3, image_size, image_size)  # batch normalisation needs two
    with FlopCounterMode(display=False) as counter:
        encoder(images).sum().backward()
    return float(counter.get_total_flops()) / len(images)


class Bare:
    """Forward and backward passes of a network on images already there.

    Args:
        encoder: on its device, in channels_last.
        images: (b, 3, h, w), prepared.
        precision: "bf16" or "fp32".
    """

    def __init__(self, encoder: nn.Module, images: Tensor, precision: str) -> None:
        self.encoder, self.images, self.precision = encoder.train(), images, precision

    def __call__(self) -> None:
        """Pass once."""
        with autocast(self.images.device, self.precision):
            embeddings = self.encoder(self.images)
        embeddings.float().sum().backward()
        self.encoder.zero_grad(set_to_none=True)
