"""Super-AND: AND with augmentation and unification-entropy terms (Han et al., ECCV 2020).

Source: "Mitigating Embedding and Class Assignment Mismatch in Unsupervised Image Classification",
section 3.1, and the released code where the two differ. The neighbourhood term is AND's own,
over both views; its probabilities come from the same rows of similarities as the other terms'.
"""

import math

import torch
from torch import Tensor

from evaluation.arrays import Array, check_positive
from methods.base import normalise
from methods.invaspread import instance_spread_loss
from methods.shared.arguments import as_floats, as_index
from methods.shared.views import as_two_views


def unification_entropy(similarities: Array, index: Array, own: float = -10.0) -> Tensor:
    """Return the mean entropy of the softmax over the other instances, L_ue; to be minimised.

    Low entropy means that few instances are near, so nearby ones attract each other. The released
    code sets an instance's similarity to itself to -10, which nearly leaves it out; the equation
    leaves it out entirely, as `own=-math.inf` does.

    Args:
        similarities: (b, n) similarities to the bank, divided by the temperature.
        index: (b,) column of each row's own instance.
        own: what stands in the place of the own similarity.

    Returns:
        Scalar in nats, from 0 to log n.
    """
    similarities = as_floats(similarities, "similarities", "b", "n")
    column = as_index(index, "index", len(similarities)).unsqueeze(1)
    # the lowest finite number is exp'ed to 0 like -inf, but 0 times it is 0 and not NaN
    filling = max(own, torch.finfo(similarities.dtype).min)
    log_p = similarities.scatter(1, column, filling).log_softmax(1)  # (b, n)
    return -(log_p.exp() * log_p).sum(1).mean()


def unification_weight(fraction: float, step: float = 0.2, share: float = 0.4) -> float:
    """Return w(t): 0, then `step` more after every `share` of the round.

    The released schedule is 0.2 floor(epoch / 80) in each round of 200 epochs: 0, 0.2, 0.4.

    Args:
        fraction: of the round that has passed, from 0 to 1.
        step: what is added each time.
        share: of a round between additions, above 0.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction: expected a number from 0 to 1, got {fraction!r}")
    check_positive(share, "share")
    # 0.6 / 0.2 is just below 3: a step that is due is not put off by rounding
    return step * math.floor(fraction / share + 1e-9)


def row_augmentation_loss(first: Array, second: Array, temperature: float = 0.1) -> Tensor:
    """Return L_aug as the code has it: InvaSpread's loss on the rows of similarities.

    Each image is represented by its similarities to the whole bank, scaled to unit length. The
    equation of the paper reads as if on the embeddings; that is `instance_spread_loss` itself.

    Args:
        first: (b, n) similarities of one view to the bank; their common factor, such as the
            temperature, has no effect.
        second: (b, n) those of another view.
        temperature: of the loss, above 0.
    """
    first, second = as_two_views(first, second, least=2)
    return instance_spread_loss(_unit(first), _unit(second), temperature)


def _unit(rows: Tensor) -> Tensor:
    """Return (b, n) rows of unit length, fp64 kept."""
    return normalise(rows) if rows.dtype != torch.float64 else rows / rows.norm(dim=1, keepdim=True)
