"""Projectors and predictors: small multi-layer perceptrons on top of a backbone."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from evaluation.validation import check_choice, check_count

Ending = Literal["linear", "linear-no-bias", "bn", "bn-no-affine"]


def mlp(widths: Sequence[int], *, hidden_bn: bool = True, ending: Ending = "linear") -> nn.Module:
    """Return linear layers from `widths[0]` to `widths[-1]`, with ReLU in between.

    Published heads in these words: SimCLR and BYOL (and its predictor) `[f, h, d]`; MoCo v2
    `[f, h, d]` with `hidden_bn=False`; SimSiam `[f, h, h, d]` ending "bn-no-affine", its predictor
    `[d, h, d]`; NNCLR `[f, h, h, d]` ending "bn"; Barlow Twins and VICReg `[f, h, h, d]` ending
    "linear-no-bias"; SwAV `[f, h, d]`.

    Args:
        widths: at least 2: input, hidden layers, output.
        hidden_bn: batch normalisation before each ReLU; its layer then has no bias.
        ending: the last layer: "linear" with its bias, "linear-no-bias", or linear without bias
            and then batch normalisation, with ("bn") or without ("bn-no-affine") scale and shift.

    Raises:
        ValueError: if there are fewer than 2 widths, one is below 1, or the ending is unknown.
    """
    if len(widths) < 2:
        raise ValueError(f"widths: expected at least an input and an output, got {list(widths)}")
    for width in widths:
        check_count(width, "widths")
    check_choice(ending, "ending", Ending)
    *hidden, last = pairwise(widths)
    layers: list[nn.Module] = []
    for inputs, outputs in hidden:
        layers.append(nn.Linear(inputs, outputs, bias=not hidden_bn))
        layers += [nn.BatchNorm1d(outputs)] if hidden_bn else []
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(*last, bias=ending == "linear"))
    if ending.startswith("bn"):
        layers.append(nn.BatchNorm1d(last[1], affine=ending == "bn"))
    return nn.Sequential(*layers)
