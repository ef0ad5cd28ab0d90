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
    """Return the mean of -log P(own) - sum log(1 - P(other)): Eq. 7 of Ye et al. (2019).

    The defaults are the equation as its authors coded it. `symmetric_terms` and `eq7_terms` hold
    its two readings.

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

    Returns:
        A scalar of at least 0, in nats; 0 for a single instance, which has no negatives.

    Raises:
        ValueError: if shapes or an option do not fit, or "eq7" without the self term has 2
            instances: then P(other) is 1.
    """
    check_positive(temperature, "temperature")
    check_choice(negatives, "negatives", Negatives)
    self_term = check_choice(denominator, "denominator", Denominator) == "self"
    check_choice(reduction, "reduction", Reduction)
    authors = check_choice(scaling, "scaling", Scaling) == "authors" and negatives != "all"
    terms = symmetric_terms if check_choice(form, "form", Form) == "symmetric" else eq7_terms
    first = as_floats(first, "first", "n", "d")
    second = as_floats(second, "second", *first.shape)
    invariance, log_not = terms(first, second, temperature, negatives, self_term, detach)
    spread = -log_not.sum(1)  # (a,)
    total = (invariance + spread * (0.5 if authors else 1.0)).sum()
    if reduction == "sum":
        return total
    return total / (log_not.shape[1] + 1 if authors else len(invariance))


def symmetric_terms(
    first: Tensor,
    second: Tensor,
    temperature: float,
    negatives: Negatives,
    self_term: bool,
    detach: bool,
) -> tuple[Tensor, Tensor]:
    """Return the terms of section 3.4: each of the 2n images is an anchor against all others.

    Args:
        first: (n, d) fp32 or wider, L2-normalised.
        second: (n, d) of the same instances.
        temperature: divides the cosines, above 0.
        negatives: see `select`.
        self_term: an anchor's similarity to itself counts in both denominators.
        detach: no gradient to what an anchor is compared with.

    Returns:
        -log P(i|other view) of each anchor, (2n,), and log(1 - P(i|x_j)) of its m negatives j,
        (2n, m); both probabilities share one denominator.
    """
    images = torch.cat([first, second])  # (2n, d), view by view
    logits = similarity(images, images.detach() if detach else images, temperature)  # (2n, 2n)
    return terms_of_logits(logits, negatives, self_term)


def terms_of_logits(
    logits: Tensor, negatives: Negatives = "all", self_term: bool = False
) -> tuple[Tensor, Tensor]:
    """Return `symmetric_terms` from (2n, 2n) similarities divided by the temperature."""
    instances = len(logits) // 2
    # rolled by n columns, entry (i, i) is the similarity of image i to its other view
    positive = logits.roll(instances, 1).diagonal().unsqueeze(1)  # (2n, 1)
    negative = logits.gather(1, other_instances(instances, 2, logits.device))  # (2n, 2n - 2)
    negative = select(negative, negatives)  # (2n, m)
    itself = [logits.diagonal().unsqueeze(1)] if self_term else []
    context = [positive, *itself]  # what the denominator holds beside the negatives
    # log(sum exp(logits)) - positive, with the subtraction inside: exact where P is near 1
    invariance = (torch.cat([negative, *context], 1) - positive).logsumexp(1)  # (2n,)
    return invariance, log_one_minus_softmax(negative, context)


def spread_loss_of_logits(logits: Tensor) -> Tensor:
    """Return `instance_spread_loss` with its default options from (2n, 2n) logits of two views."""
    invariance, log_not = terms_of_logits(logits)
    return (invariance - log_not.sum(1)).mean()


def eq7_terms(
    first: Tensor,
    second: Tensor,
    temperature: float,
    negatives: Negatives,
    self_term: bool,
    detach: bool,
) -> tuple[Tensor, Tensor]:
    """Return the terms of Eq. 7 as printed: n anchors, and two different softmaxes.

    Eq. 3 recognises the augmented image among the n images. Eq. 4 is the probability that image j
    is recognised as image i, within the first view; its denominator has j itself in it as printed.

    Args:
        first: (n, d) fp32 or wider, L2-normalised: the images.
        second: (n, d): the augmented images.
        temperature: divides the cosines, above 0.
        negatives: see `select`.
        self_term: an image's similarity to itself counts in Eq. 4's denominator.
        detach: no gradient to the images that are recognised, only to what is compared with them.

    Returns:
        -log P(i|augmented x_i) of Eq. 3, (n,), and log(1 - P(i|x_j)) of Eq. 4 for the m other i of
        each j, (n, m).
    """
    targets = first.detach() if detach else first  # (n, d)
    others = other_instances(len(first), 1, first.device)  # (n, n - 1)
    plain = similarity(first, targets, temperature)  # (n, n) row j: image j
    augmented = similarity(second, targets, temperature)  # (n, n) row i: augmented image i
    positive = augmented.diagonal().unsqueeze(1)  # (n, 1)
    rivals = select(augmented.gather(1, others), negatives)  # (n, m)
    invariance = (torch.cat([rivals, positive], 1) - positive).logsumexp(1)  # (n,)
    pushed = select(plain.gather(1, others), negatives)  # (n, m)
    itself = [plain.diagonal().unsqueeze(1)] if self_term else []
    return invariance, log_one_minus_softmax(pushed, itself)


def select(logits: Tensor, negatives: Negatives) -> Tensor:
    """Return all (a, k) logits of the negatives, or the k // 2 + 1 largest or smallest of each row.

    For the k = 2n - 2 negatives of n pairs that is n of them: 128 of 254 at batch size 128, as in
    Table 8 of Ye et al.

    Args:
        logits: (a, k) similarities of anchors to their negatives.
        negatives: "all", "hard" (the most similar) or "easy" (the least similar).
    """
    if negatives == "all":
        return logits
    kept = min(logits.shape[1], logits.shape[1] // 2 + 1)
    return logits.topk(kept, largest=negatives == "hard", sorted=False).values  # (a, kept)


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
