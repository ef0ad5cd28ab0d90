"""InvaSpread: invariant and spreading instance features (Ye et al., CVPR 2019).

The defaults are the authors' code. Eq. 7 as printed is `form="eq7"` with `denominator="self"`,
`detach=False` and `reduction="sum"`.
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_choice, check_positive
from methods.base import Batch, Method
from methods.blocks.logits import log_one_minus_softmax, other_instances, similarity

Negatives = Literal["all", "hard", "easy"]
Denominator = Literal["no_self", "self"]
Form = Literal["symmetric", "eq7"]
Reduction = Literal["mean", "sum"]
Scaling = Literal["clean", "authors"]


def instance_spread_loss(
    first: Array,
    second: Array,
    temperature: float = 0.1,
    negatives: Negatives = "all",
    *,
    denominator: Denominator = "no_self",
    detach: bool = True,
    form: Form = "symmetric",
    reduction: Reduction = "mean",
    scaling: Scaling = "clean",
) -> Tensor:
    """Return the mean -log P(own) - sum log(1 - P(other)), Eq. 7 of Ye et al. as they coded it.

    Args:
        first: (n, d) L2-normalised embeddings of one view of n instances.
        second: (n, d) embeddings of another view; row i shows instance i again.
        temperature: divides the cosines, above 0.
        negatives: of an anchor's 2n - 2 negatives all, or the n most ("hard") or least ("easy")
            similar ones; the others leave the denominator too (Table 8).
        denominator: whether an anchor's similarity to itself counts in Eq. 4.
        detach: no gradient to what an anchor is compared with; that halves the gradient.
        form: "symmetric" makes each of the 2n images an anchor against all others (section 3.4);
            "eq7" has n anchors: Eq. 3 for `second` and Eq. 4 within `first`.
        reduction: mean or sum over the anchors.
        scaling: with "hard" and "easy", "authors" halves the negative part and divides the sum by
            the kept negatives + 1, as their first release does.
    """
    check_positive(temperature, "temperature")
    check_choice(denominator, "denominator", Denominator)
    check_choice(reduction, "reduction", Reduction)
    authors = check_choice(scaling, "scaling", Scaling) == "authors" and negatives != "all"
    symmetric = check_choice(form, "form", Form) == "symmetric"
    first = as_floats(first, "first", "n", "d")
    second = as_floats(second, "second", *first.shape)
    anchors = torch.cat([first, second]) if symmetric else first
    targets = anchors.detach() if detach else anchors
    others = other_instances(len(first), 2 if symmetric else 1, first.device)
    scores = similarity(anchors, targets, temperature)
    augmented = scores if symmetric else similarity(second, targets, temperature)
    own = augmented.roll(len(first), 1).diagonal().unsqueeze(1)
    pushed = _keep(scores.gather(1, others), negatives)
    rivals = pushed if symmetric else _keep(augmented.gather(1, others), negatives)
    itself = [scores.diagonal().unsqueeze(1)] if denominator == "self" else []
    own_terms, pushed_terms = ([own, *itself],) * 2 if symmetric else ([own], itself)
    invariance = (torch.cat([rivals, *own_terms], 1) - own).logsumexp(1)
    spread = -log_one_minus_softmax(pushed, pushed_terms).sum(1)
    total = (invariance + spread * (0.5 if authors else 1.0)).sum()
    divisor = pushed.shape[1] + 1 if authors else len(anchors)
    return total if reduction == "sum" else total / divisor


def _keep(scores: Tensor, negatives: Negatives) -> Tensor:
    if check_choice(negatives, "negatives", Negatives) == "all":
        return scores
    half = min(scores.shape[1], scores.shape[1] // 2 + 1)
    return scores.topk(half, largest=negatives == "hard", sorted=False).values


class InvaSpread(Method):
    """Softmax over the real embeddings of the batch, with the options of `instance_spread_loss`.

    `bn_groups` passes, each with its own batch statistics, encode the 2n images: 1 mixes the views,
    2 is a pass for each view, 4 the authors' four GPUs.
    """

    name = "invaspread"
    paper = "Ye et al., CVPR 2019"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        negatives: Negatives = "all",
        denominator: Denominator = "no_self",
        detach: bool = True,
        form: Form = "symmetric",
        reduction: Reduction = "mean",
        scaling: Scaling = "clean",
        bn_groups: Literal[1, 2, 4] = 1,
    ) -> None:
        super().__init__(encoder, instances)
        self.bn_groups = check_choice(bn_groups, "bn_groups", Literal[1, 2, 4])
        self.objective = partial(
            instance_spread_loss,
            temperature=temperature,
            negatives=negatives,
            denominator=denominator,
            detach=detach,
            form=form,
            reduction=reduction,
            scaling=scaling,
        )
        self.objective(torch.eye(4), torch.eye(4))  # a wrong option fails here, not when training

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        groups = torch.cat(batch.views).chunk(self.bn_groups)
        first, second = torch.cat([self.embed(group) for group in groups]).chunk(2)
        return self.objective(first, second)
