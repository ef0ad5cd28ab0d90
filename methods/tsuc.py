"""TSUC: two-stage unsupervised classification, its second stage (Han et al., ECCV 2020)."""

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.base import Batch, Method, embedding_size
from methods.blocks.logits import similarity
from methods.blocks.views import as_two_views
from methods.iic import head_losses
from methods.invaspread import instance_spread_loss


def norm_fc_logits(embeddings: Array, weights: Array, temperature: float = 0.1) -> Tensor:
    """Return the logits of classifiers whose weight vectors have unit length (Norm-FC).

    Every class then has the same reach, and a large temperature cannot be undone by long weights.

    Args:
        embeddings: (b, d) L2-normalised embeddings v.
        weights: (h, d, c) of h heads; each of the c columns is normalised here.
        temperature: tau_c, divides the cosines, above 0.

    Returns:
        (h, b, c) fp32.
    """
    check_positive(temperature, "temperature")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    weights = as_floats(weights, "weights", "h", embeddings.shape[1], "c")
    heads, width, classes = weights.shape
    unit = weights / weights.norm(dim=1, keepdim=True)
    # one product for all heads: (b, d) by (d, h c)
    columns = unit.permute(0, 2, 1).reshape(heads * classes, width)
    logits = similarity(embeddings, columns, temperature)  # (b, h c)
    return logits.view(len(embeddings), heads, classes).transpose(0, 1)


def consistency_preserving_loss(first: Array, second: Array, temperature: float = 0.1) -> Tensor:
    """Return L_cp: InvaSpread's criterion on the embeddings of two views, as the code has it.

    Args:
        first: (n, d) L2-normalised embeddings of one view.
        second: (n, d) embeddings of another view.
        temperature: tau, divides the cosines, above 0.
    """
    return instance_spread_loss(first, second, temperature)


def assignment_losses(
    first: Array, second: Array, weights: Array, temperature: float = 0.1
) -> Tensor:
    """Return (h,) L_assign of each head: IIC's loss of its predictions on two views.

    Args:
        first: (n, d) L2-normalised embeddings of one view.
        second: (n, d) embeddings of another view.
        weights: (h, d, c) of the heads, see `norm_fc_logits`.
        temperature: tau_c.
    """
    first, second = as_two_views(first, second)
    one = norm_fc_logits(first, weights, temperature).softmax(2)  # (h, n, c)
    other = norm_fc_logits(second, weights, temperature).softmax(2)
    return head_losses(one, other)


def two_stage_loss(
    first: Array,
    second: Array,
    weights: Array,
    *,
    temperature: float = 0.1,
    class_temperature: float = 0.1,
    assignment: float = 1.0,
    consistency: float = 1.0,
) -> Tensor:
    """Return L_stage2 = L_assign, averaged over the heads, + lambda L_cp.

    With `assignment=0` it is InvaSpread's loss.

    Args:
        first: (n, d) L2-normalised embeddings of one view.
        second: (n, d) embeddings of another view.
        weights: (h, d, c) of the heads; the released ones are drawn from N(0, 1) and never move.
        temperature: of L_cp.
        class_temperature: of the heads.
        assignment: weight of L_assign, 1 in the equation.
        consistency: lambda.
    """
    assigned = assignment_losses(first, second, weights, class_temperature).mean()
    preserved = consistency_preserving_loss(first, second, temperature)
    return assignment * assigned + consistency * preserved


class TSUC(Method):
    """Refine a learned embedding and assign its images to classes, both on unit embeddings.

    The second stage of two, alone: the published first stage is Super-AND, whose encoder this one
    starts from there; here it starts from a random one, so that its numbers are not the paper's.

    Args:
        encoder: see `Method`; its head gives the embeddings.
        instances: see `Method`.
        classes: of each head, at least 2.
        heads: at least 1.
        trainable: whether the heads' weights are trained; the released ones stay as drawn from
            N(0, 1).
        temperature: of the consistency-preserving loss, above 0.
        class_temperature: of the heads, above 0.
        assignment: weight of the class-assignment loss, at least 0.
        consistency: lambda, weight of the consistency-preserving loss, at least 0.

    Raises:
        ValueError: if a value is out of its range, or both weights are 0.
    """

    name = "tsuc"
    paper = "Han et al., ECCV 2020, second stage alone"
    family = "cluster"
    weights: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        classes: int = 10,
        heads: int = 5,
        trainable: bool = False,
        temperature: float = 0.1,
        class_temperature: float = 0.1,
        assignment: float = 1.0,
        consistency: float = 1.0,
    ) -> None:
        super().__init__(encoder, instances)
        if check_count(classes, "classes") < 2:
            raise ValueError(f"classes: expected at least 2, got {classes}")
        drawn = torch.randn(check_count(heads, "heads"), embedding_size(encoder), classes)
        if trainable:
            self.weights = nn.Parameter(drawn)  # (h, d, c)
        else:
            self.register_buffer("weights", drawn)
        self.temperature = check_positive(temperature, "temperature")
        self.class_temperature = check_positive(class_temperature, "class_temperature")
        for option, value in (("assignment", assignment), ("consistency", consistency)):
            if not value >= 0:
                raise ValueError(f"{option}: expected a number of at least 0, got {value!r}")
        if assignment == 0 and consistency == 0:
            raise ValueError("assignment, consistency: expected one above 0, got 0 and 0")
        self.assignment, self.consistency = assignment, consistency

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views, of at least two images."""
        first, second = self.embed_views(batch)  # (b, d) each
        as_two_views(first, second, least=2)
        if self.assignment == 0:  # InvaSpread's loss, to the bit
            return self.consistency * consistency_preserving_loss(first, second, self.temperature)
        return two_stage_loss(
            first,
            second,
            self.weights,
            temperature=self.temperature,
            class_temperature=self.class_temperature,
            assignment=self.assignment,
            consistency=self.consistency,
        )

    def predict(self, images: Tensor) -> Tensor:
        """Return (heads, b, classes) log-probabilities."""
        logits = norm_fc_logits(self.embed(images), self.weights, self.class_temperature)
        return logits.log_softmax(2)
