"""IIC: mutual information between two views' cluster assignments (Ji et al., ICCV 2019)."""

import sys

import torch
from torch import Tensor

from evaluation.validation import Array, as_floats, check_positive


def joint_probabilities(first: Array, second: Array) -> Tensor:
    """Return the symmetric joint distribution of two views' clusters, Eq. 2, for each head.

    Args:
        first: (h, n, c) probabilities of c clusters by each of h heads; rows sum to 1.
        second: (h, n, c) those of another view; row i shows instance i again.

    Returns:
        (h, c, c); each head's sums to 1. Summed over the n instances of the batch, so n should
        be well above c: the authors use 660 for their heads of 10 and 70.
    """
    first = as_floats(first, "first", "h", "n", "c")
    second = as_floats(second, "second", *first.shape)
    with torch.autocast(first.device.type, enabled=False):  # products of probabilities: fp32
        joint = first.transpose(1, 2) @ second  # (h, c, n) by (h, n, c)
    joint = (joint + joint.transpose(1, 2)) / 2
    return joint / joint.sum((1, 2), keepdim=True)


def head_losses(first: Array, second: Array, entropy_weight: float = 1.0) -> Tensor:
    """Return each head's -sum P (log P - w log P_row - w log P_column), Eq. 3 and code.

    With w = 1 it is minus the mutual information: equal cluster sizes are rewarded as much as
    agreement. The authors raise w where clusters vanish.

    Args:
        first: (h, n, c), see `joint_probabilities`.
        second: (h, n, c).
        entropy_weight: w, lambda in the code, above 0.

    Returns:
        (h,), with w = 1 from -log c to 0. The head of the lowest one is chosen.
    """
    check_positive(entropy_weight, "entropy_weight")
    joint = joint_probabilities(first, second)
    # the floor of the code: float64's epsilon, which fp32 holds too; P log P is then 0 at P = 0
    joint = joint.clamp(min=sys.float_info.epsilon)
    rows, columns = joint.sum(2, keepdim=True), joint.sum(1, keepdim=True)  # (h, c, 1), (h, 1, c)
    information = joint.log() - entropy_weight * (rows.log() + columns.log())
    return -(joint * information).sum((1, 2))


def mutual_information_loss(first: Array, second: Array, entropy_weight: float = 1.0) -> Tensor:
    """Return minus the mutual information of two views' clusters, Eq. 3, averaged over heads.

    An over-clustering head has the same loss with a larger c; the method alternates or adds both.

    Args:
        first: (n, c) probabilities of one head, or (h, n, c) of several.
        second: of the same shape, another view's.
        entropy_weight: see `head_losses`.
    """
    first, second = torch.as_tensor(first), torch.as_tensor(second)
    if first.ndim == 2 and second.ndim == 2:
        first, second = first.unsqueeze(0), second.unsqueeze(0)  # (1, n, c)
    return head_losses(first, second, entropy_weight).mean()
