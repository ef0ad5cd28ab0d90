"""IIC: mutual information between two views' cluster assignments (Ji et al., ICCV 2019)."""

import sys
from typing import Literal

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_choice, check_count, check_positive
from methods.base import Batch, Clock, Method, feature_size, normalise
from methods.blocks.views import as_two_views

Training = Literal["alternate", "sum"]


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


class ClusterHeads(nn.Module):
    """Linear classifiers of c clusters on the same features, each with its own start.

    Args:
        features: f, the width of the features.
        heads: h.
        clusters: c.
    """

    def __init__(self, features: int, heads: int, clusters: int) -> None:
        super().__init__()
        self.heads, self.clusters = heads, clusters
        self.linear = nn.Linear(features, heads * clusters)

    def forward(self, features: Tensor) -> Tensor:
        """Return (h, b, c) fp32 log-probabilities from (b, f) features."""
        logits: Tensor = (
            self.linear(features).float().view(-1, self.heads, self.clusters)
        )  # (b, h, c)
        return logits.transpose(0, 1).log_softmax(2)


class IIC(Method):
    """Agree on the clusters of two views while all clusters are used, twice: with many, with few.

    The heads stand on the backbone's pooled features; the encoder's own head takes no part. The
    published network sees edges alone: the backbone `resnet34-sobel`. The released code pairs each
    image with three transformed copies and draws its first view without colour changes; here a
    pair is two of the recipe's views.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        classes: clusters of the main heads, at least 2: what is predicted.
        clusters: of the over-clustering heads, at least 2.
        sub_heads: of each kind, at least 1.
        entropy_weight: of the clusters' entropy in the loss, above 0.
        training: "alternate" trains the over-clustering heads in the first epoch, the main heads in
            the second and so on, as the released code takes turns by passes over the images; "sum"
            trains both in every step.

    Raises:
        ValueError: if a value is out of its range.
    """

    name = "iic"
    paper = "Ji et al., ICCV 2019"
    family = "cluster"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        classes: int = 10,
        clusters: int = 70,
        sub_heads: int = 5,
        entropy_weight: float = 1.0,
        training: Training = "alternate",
    ) -> None:
        super().__init__(encoder, instances)
        for option, value in (("classes", classes), ("clusters", clusters)):
            if check_count(value, option) < 2:
                raise ValueError(f"{option}: expected at least 2, got {value}")
        check_count(sub_heads, "sub_heads")
        self.main = ClusterHeads(feature_size(encoder), sub_heads, classes)
        self.over = ClusterHeads(feature_size(encoder), sub_heads, clusters)
        self.entropy_weight = check_positive(entropy_weight, "entropy_weight")
        self.turns = check_choice(training, "training", Training)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views, of the heads whose turn it is.

        Raises:
            ValueError: if the batch has a single image: its joint distribution has no clusters.
        """
        images = torch.cat(batch.views)  # (2b, c, h, w)
        first, second = self.backbone.features(images).chunk(2)  # (b, f) each
        as_two_views(first, second, least=2)
        turn = (self.over, self.main)[batch.clock.epoch % 2]
        trained = (self.over, self.main) if self.turns == "sum" else (turn,)
        losses = [
            mutual_information_loss(heads(first).exp(), heads(second).exp(), self.entropy_weight)
            for heads in trained
        ]
        return torch.stack(losses).sum()

    def before_step(self, clock: Clock) -> None:
        """Give the heads whose turn it is not gradients of zero, as the released code's are.

        Their momentum and weight decay go on; torch's fused SGD takes no missing gradient.
        """
        for parameter in (*self.main.parameters(), *self.over.parameters()):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features", the pooled output of the backbone."""
        return {"features": normalise(self.backbone.features(images))}

    def predict(self, images: Tensor) -> Tensor:
        """Return (sub_heads, b, classes) log-probabilities of the main heads."""
        predicted: Tensor = self.main(self.backbone.features(images))
        return predicted
