"""GoogLeNet (Szegedy et al., CVPR 2015) as an encoder: Caffe's network and torchvision's."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common.errors import UsageProblem

POOLED_WIDTH = 1024
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue, in 0..1; what images are taken to be normalised with by default."""
CAFFE_MEAN = (122.7717, 115.9465, 102.9801)
"""Red, green and blue that metriclearningbench and InvaSpread subtract from pixels in 0..255."""


class Widths(NamedTuple):
    """Channels of an inception block: what enters, and what each convolution gives."""

    inputs: int
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    projection: int

    @property
    def outputs(self) -> int:
        """Channels of the four branches together."""
        return self.one + self.three + self.five + self.projection


INCEPTIONS = {
    "inception_3a": Widths(192, 64, 96, 128, 16, 32, 32),
    "inception_3b": Widths(256, 128, 128, 192, 32, 96, 64),
    "inception_4a": Widths(480, 192, 96, 208, 16, 48, 64),
    "inception_4b": Widths(512, 160, 112, 224, 24, 64, 64),
    "inception_4c": Widths(512, 128, 128, 256, 24, 64, 64),
    "inception_4d": Widths(512, 112, 144, 288, 32, 64, 64),
    "inception_4e": Widths(528, 256, 160, 320, 32, 128, 128),
    "inception_5a": Widths(832, 256, 160, 320, 32, 128, 128),
    "inception_5b": Widths(832, 384, 192, 384, 48, 128, 128),
}
"""The paper's Table 1, under the names of Caffe's layers."""
AFTER_POOLING = {"inception_4a", "inception_5a"}


def local_response_norm(
    maps: Tensor, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide every value by (k + alpha / size * sum of squares over near channels) ** beta.

    Source: Caffe's LRN layer across channels with GoogLeNet's settings. The sum goes over `size`
    channels around the value's own; channels beyond the first and last count as 0. Computed in
    fp32 at least: squares of activations on pixels in 0..255 are too large for the bits of bf16.

    Args:
        maps: (b, c, h, w).
        size: an odd number of channels.
        alpha: weight of the mean square.
        beta: exponent.
        k: constant, above 0.

    Returns:
        (b, c, h, w) in the type and memory format of `maps`.
    """
    values, channels = maps.to(torch.promote_types(maps.dtype, torch.float32)), maps.shape[1]
    squares = F.pad(values.square(), (0, 0, 0, 0, size // 2, size // 2))
    total = squares.narrow(1, 0, channels)
    for start in range(1, size):
        total = total + squares.narrow(1, start, channels)
    return (values * (total * (alpha / size) + k).pow(-beta)).to(maps.dtype)


class Inception(nn.ModuleDict):
    """Four branches side by side: 1 x 1, 3 x 3, 5 x 5, and a 3 x 3 max-pooling; no BN."""

    def __init__(self, widths: Widths) -> None:
        inputs = widths.inputs
        super().__init__(
            {
                "1x1": nn.Conv2d(inputs, widths.one, 1),
                "3x3_reduce": nn.Conv2d(inputs, widths.three_reduce, 1),
                "3x3": nn.Conv2d(widths.three_reduce, widths.three, 3, padding=1),
                "5x5_reduce": nn.Conv2d(inputs, widths.five_reduce, 1),
                "5x5": nn.Conv2d(widths.five_reduce, widths.five, 5, padding=2),
                "pool_proj": nn.Conv2d(inputs, widths.projection, 1),
            }
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w)."""
        three, five = self._rectified("3x3_reduce", maps), self._rectified("5x5_reduce", maps)
        branches = (
            self._rectified("1x1", maps),
            self._rectified("3x3", three),
            self._rectified("5x5", five),
            self._rectified("pool_proj", F.max_pool2d(maps, 3, stride=1, padding=1)),
        )
        return torch.cat(branches, 1)

    def _rectified(self, layer: str, maps: Tensor) -> Tensor:
        return F.relu(self[layer](maps), inplace=True)


class CaffeTrunk(nn.Module):
    """The layers of BVLC's GoogLeNet up to pool5, without dropout and auxiliary heads.

    Its state has the names of Caffe's layers with a dot for the slash, such as
    `inception_3a.3x3_reduce.weight`; so has metriclearningbench's googlenet.h5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.ModuleDict({"7x7_s2": nn.Conv2d(3, 64, 7, stride=2, padding=3)})
        self.conv2 = nn.ModuleDict(
            {"3x3_reduce": nn.Conv2d(64, 64, 1), "3x3": nn.Conv2d(64, 192, 3, padding=1)}
        )
        for name, widths in INCEPTIONS.items():
            self.add_module(name, Inception(widths))

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) BGR images to (b, 1024) pool5.

        Raises:
            UsageProblem: the last maps are not 7 x 7, which pool5 takes.
        """
        maps = local_response_norm(_pool(F.relu(self.conv1["7x7_s2"](images), inplace=True)))
        maps = F.relu(self.conv2["3x3_reduce"](maps), inplace=True)
        maps = F.relu(self.conv2["3x3"](maps), inplace=True)
        maps = _pool(local_response_norm(maps))
        for name in INCEPTIONS:
            maps = self.get_submodule(name)(_pool(maps) if name in AFTER_POOLING else maps)
        if maps.shape[2:] != (7, 7):
            found, sides = (f"{h} x {w}" for h, w in (maps.shape[2:], images.shape[2:]))
            raise UsageProblem(
                f"backbone googlenet: expected last maps of 7 x 7, found {found} from images of "
                f"{sides} pixels; use images with sides of 223 to 254 pixels, such as 227 or 224"
            )
        return torch.flatten(F.avg_pool2d(maps, 7), 1)


def _pool(maps: Tensor) -> Tensor:
    """Max-pool 3 x 3 with stride 2, with Caffe's rounding: windows may reach over the border."""
    return F.max_pool2d(maps, 3, stride=2, ceil_mode=True)


class PixelScale(nn.Module):
    """Maps images normalised by the suite's transforms to the values that weights expect.

    The result is factor * p + offset, p the red, green and blue in 0..1.

    Args:
        factor: of all channels, or of red, green and blue.
        offset: of red, green and blue.
        bgr: whether blue comes first in the result.
    """

    multiplier: Tensor
    summand: Tensor

    def __init__(self, factor: float | Sequence[float], offset: Sequence[float], bgr: bool) -> None:
        super().__init__()
        factors = (factor,) * 3 if isinstance(factor, float) else tuple(factor)
        self.factor, self.offset, self.bgr = factors, tuple(offset), bgr
        self.register_buffer("multiplier", torch.empty(3, 1, 1))
        self.register_buffer("summand", torch.empty(3, 1, 1))
        self.set_normalisation(IMAGENET_MEAN, IMAGENET_STD)

    def set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """State what the images are normalised with: (p - mean) / std of red, green and blue."""
        deviation, centre, offset, factor = (
            torch.tensor(values, dtype=torch.float64).view(3, 1, 1)
            for values in (std, mean, self.offset, self.factor)
        )
        self.multiplier.copy_(factor * deviation)
        self.summand.copy_(factor * centre + offset)

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) normalised RGB images to (b, 3, h, w) values."""
        values = torch.addcmul(self.summand, images, self.multiplier)
        return values.flip(1) if self.bgr else values


class GoogLeNet(nn.Module):
    """A trunk with pre-trained weights on its own scale of pixels, and a linear embedding.

    Args:
        trunk: maps (b, 3, h, w) pixels to (b, 1024); what a file of weights fills.
        pixels: the scale on which the trunk takes pixels.
        embedding_size: d.
    """

    def __init__(self, trunk: nn.Module, pixels: PixelScale, embedding_size: int) -> None:
        super().__init__()
        self.feature_size, self.embedding_size = POOLED_WIDTH, embedding_size
        self.pixels, self.trunk = pixels, trunk
        self.head = nn.Linear(POOLED_WIDTH, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to the (b, 1024) of pool5.

        Raises:
            UsageProblem: the trunk cannot take images of this size.
        """
        pooled: Tensor = self.trunk(self.pixels(images))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, d) embeddings, not normalised."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings


def googlenet_caffe(embedding_size: int = 128) -> GoogLeNet:
    """Caffe's GoogLeNet, with random weights: BGR pixels, LRN, 6.0 million parameters.

    The network of InvaSpread's Tables 3 to 5 (docs/fidelity.md, "Classes not seen in training");
    sides of 223 to 254 pixels.
    """
    return GoogLeNet(
        CaffeTrunk(), PixelScale(255.0, [-m for m in CAFFE_MEAN], bgr=True), embedding_size
    )


def googlenet_torchvision(embedding_size: int = 128) -> GoogLeNet:
    """The GoogLeNet of torchvision, with random weights: RGB in -1..1, BN, 3 x 3 for the 5 x 5.

    Any size from 15 pixels on: the whole last maps are pooled.
    """
    from torchvision.models import GoogLeNet as Torchvision  # a slow import that few runs need

    trunk = Torchvision(aux_logits=False, init_weights=False, dropout=0.0)
    trunk.fc = nn.Identity()
    return GoogLeNet(trunk, PixelScale(2.0, (-1.0, -1.0, -1.0), bgr=False), embedding_size)
