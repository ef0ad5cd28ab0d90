"""SwAV: predict one view's cluster from another's (Caron et al., NeurIPS 2020)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from evaluation.validation import Array, as_floats, check_count, check_positive


@torch.no_grad()
def sinkhorn(scores: Array, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Return the assignments that use all prototypes equally, section 3.1 and Eq. 5.

    Alternately every prototype gets the mass n / k and every image the mass 1, so rows sum to
    exactly 1, and columns to n / k in the limit. In the logarithm, where exp(score / epsilon)
    cannot overflow; nothing waits for the device.

    Args:
        scores: (n, k) cosines of n images to k prototypes; those of a queue may be among them.
        epsilon: entropy of the assignment, above 0: large makes them equal, small makes them hard.
        iterations: of both steps.

    Returns:
        (n, k) assignments of at least fp32, without gradient.
    """
    check_positive(epsilon, "epsilon")
    log_q = as_floats(scores, "scores", "n", "k") / epsilon
    rows, prototypes = log_q.shape
    share = math.log(rows / prototypes)
    for _ in range(check_count(iterations, "iterations")):
        log_q = log_q - log_q.logsumexp(0, keepdim=True) + share  # columns sum to n / k
        log_q = log_q.log_softmax(1)  # rows sum to 1
    return log_q.exp()


def swapped_prediction_loss(
    scores: Sequence[Tensor], assignments: Sequence[Tensor], temperature: float = 0.1
) -> Tensor:
    """Return the mean cross-entropy of each assignment with all other crops, Eqs. 2 and 6.

    With two crops that is Eq. 1: each predicts the other's assignment. Of multi-crop only the
    first, large crops are assigned; all crops predict.

    Args:
        scores: of each of v crops the (n, k) cosines to the prototypes, large crops first.
        assignments: (n, k) of each of the a large crops, `sinkhorn`; get no gradient.
        temperature: divides the scores, above 0.
    """
    check_positive(temperature, "temperature")
    crops, assigned = len(scores), len(assignments)
    if crops < 2 or not 1 <= assigned <= crops:
        raise ValueError(
            "scores: expected at least 2 crops, of which 1 or more are assigned, got "
            f"{crops} crops and {assigned} assignments"
        )
    shape = as_floats(scores[0], "scores[0]", "n", "k").shape
    predicted = torch.stack(
        [as_floats(s, f"scores[{v}]", *shape) / temperature for v, s in enumerate(scores)]
    ).log_softmax(2)  # (v, n, k)
    codes = torch.stack(
        [as_floats(q, f"assignments[{a}]", *shape) for a, q in enumerate(assignments)]
    ).detach()  # (a, n, k)
    # every assignment with every crop, then without each crop's own; as one product in fp32
    with torch.autocast(codes.device.type, enabled=False):
        crossed = codes.flatten(1) @ predicted.flatten(1).T  # (a, n k) by (n k, v)
    swapped = crossed.sum() - crossed.diagonal().sum()
    return -swapped / (assigned * (crops - 1) * shape[0])
