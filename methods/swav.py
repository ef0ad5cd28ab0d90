"""SwAV: predict one view's cluster from another's (Caron et al., NeurIPS 2020)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.base import Batch, Clock, View, feature_size
from methods.blocks.heads import mlp
from methods.blocks.projected import ProjectedMethod


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


class SwAV(ProjectedMethod):
    """Predict the cluster of one view from the others; clusters are balanced within the batch.

    The prototypes are unit rows, and stand still in the first epochs.

    Args:
        encoder: see `Method`.
        instances: see `Method`, at least the number of prototypes.
        prototypes: k.
        temperature: divides the cosines, above 0.
        epsilon: of Sinkhorn's assignments, above 0.
        iterations: of Sinkhorn.
        frozen_epochs: in which the prototypes stand still, at least 0.
        hidden: width of the projector's hidden layer.
        size: d of the projections.
        small_views: of multi-crop, at least 0; 0 for the two large views alone.
        small_size: height and width of these in pixels.

    Raises:
        ValueError: if there are more prototypes than images, or a value is out of its range.
    """

    name = "swav"
    paper = "Caron et al., NeurIPS 2020"
    family = "siamese"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        prototypes: int = 512,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        frozen_epochs: int = 1,
        hidden: int = 512,
        size: int = 128,
        small_views: int = 0,
        small_size: int = 16,
    ) -> None:
        super().__init__(encoder, instances, mlp([feature_size(encoder), hidden, size]))
        if check_count(prototypes, "prototypes") > instances:
            raise ValueError(
                f"prototypes: expected at most the {instances} training images, got {prototypes}"
            )
        for name, value in (("small_views", small_views), ("frozen_epochs", frozen_epochs)):
            if value < 0:
                raise ValueError(f"{name}: expected at least 0, got {value}")
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, size)))  # (k, d)
        self.temperature = check_positive(temperature, "temperature")
        self.epsilon = check_positive(epsilon, "epsilon")
        self.iterations = check_count(iterations, "iterations")
        self.frozen_epochs = frozen_epochs
        large = View(changes={"crop_scale": (0.14, 1.0)})
        small = View(check_count(small_size, "small_size"), {"crop_scale": (0.05, 0.14)})
        self.views = (large, large, *[small] * small_views)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch; the first two views are assigned to prototypes."""
        prototypes = F.normalize(self.prototypes)
        rows = [F.normalize(view) for view in self.project_views(batch)]
        scores = [row @ prototypes.T.to(row.dtype) for row in rows]  # (b, k) each
        codes = [sinkhorn(s.detach(), self.epsilon, self.iterations) for s in scores[:2]]
        return swapped_prediction_loss(scores, codes, self.temperature)

    def before_step(self, clock: Clock) -> None:
        """Hold the prototypes still in the first epochs of training.

        Weight decay still shortens them, which changes nothing: they are compared as unit rows.
        """
        frozen = clock.round == 0 and clock.epoch < self.frozen_epochs
        if frozen and self.prototypes.grad is not None:
            self.prototypes.grad.zero_()
