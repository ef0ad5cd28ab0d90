"""Super-AND: AND with augmentation and unification-entropy terms (Han et al., ECCV 2020).

Source: "Mitigating Embedding and Class Assignment Mismatch in Unsupervised Image Classification",
its first stage, and the released code where the two differ.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_choice, check_positive
from methods.and_ import NeighbourhoodMethod, neighbourhood_loss_of_logits
from methods.base import Batch
from methods.blocks.logits import similarity
from methods.blocks.views import as_two_views
from methods.invaspread import instance_spread_loss, spread_loss_of_logits

Augmentation = Literal["rows", "embeddings"]


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
    return instance_spread_loss(F.normalize(first), F.normalize(second), temperature)


def bank_augmentation_loss(
    first: Array, second: Array, bank: Array, temperature: float = 0.1
) -> Tensor:
    """Return `row_augmentation_loss` of two views' similarities, without rows as long as the bank.

    The inner product of two rows x V^T and y V^T is x (V^T V) y^T: one (d, d) matrix of the bank
    stands for its n columns.

    Args:
        first: (b, d) embeddings of one view.
        second: (b, d) those of another view.
        bank: (n, d) remembered embeddings V; get no gradient.
        temperature: of the loss, above 0.
    """
    check_positive(temperature, "temperature")
    first, second = as_two_views(first, second, least=2)
    images = torch.cat([first, second])  # (2b, d), view by view
    bank = as_floats(bank, "bank", "n", images.shape[1]).detach().to(images.dtype)
    with torch.autocast(images.device.type, enabled=False):
        gram = bank.T @ bank  # (d, d)
        # the squared length of each row; the smallest number keeps 1 / sqrt and its slope finite
        squared = ((images @ gram) * images).sum(1, keepdim=True)  # (2b, 1)
        unit = images * squared.clamp(min=torch.finfo(images.dtype).tiny).rsqrt()  # (2b, d)
        logits = (unit @ gram) @ unit.detach().T / temperature  # (2b, 2b)
    return spread_loss_of_logits(logits)


def super_and_loss(
    first: Array,
    second: Array,
    bank: Array,
    index: Array,
    neighbour: Array,
    *,
    weight: float,
    temperature: float = 0.1,
    augmentation: Augmentation = "rows",
) -> Tensor:
    """Return L_and + L_aug + w(t) L_ue, the loss of the first stage.

    L_and and L_ue are means over both views' images.

    Args:
        first: (b, d) L2-normalised embeddings of one view.
        second: (b, d) embeddings of another view.
        bank: (n, d) remembered embeddings; get no gradient.
        index: (b,) row of the bank that remembers each instance.
        neighbour: (b,) row of each anchor's neighbour; below 0 for an instance that is none.
        weight: w(t), `unification_weight`.
        temperature: of all three, above 0.
        augmentation: what L_aug compares, "rows" of similarities as in the code, or "embeddings".
    """
    check_positive(temperature, "temperature")
    check_choice(augmentation, "augmentation", Augmentation)
    first, second = as_two_views(first, second, least=2)
    bank = as_floats(bank, "bank", "n", first.shape[1])
    index = as_index(index, "index", len(first)).repeat(2)
    neighbour = as_index(neighbour, "neighbour", len(first)).repeat(2)
    rows = similarity(torch.cat([first, second]), bank.detach(), temperature)  # (2b, n)
    discovered = neighbourhood_loss_of_logits(rows, index, neighbour)
    if augmentation == "rows":
        invariant = bank_augmentation_loss(first, second, bank, temperature)
    else:
        invariant = instance_spread_loss(first, second, temperature)
    if weight == 0:  # the first 2/5 of a round: spare the entropy of 2b rows of n
        return discovered + invariant
    return discovered + invariant + weight * unification_entropy(rows, index)


class SuperAND(NeighbourhoodMethod):
    """AND on two views, with an augmentation term and, later in a round, unification entropy.

    The published results are those of a network of two towers, the backbone `resnet18-sobel2`.
    The memory gets the mean of an image's two views, where the released code keeps whichever of
    the two is written last.

    Args:
        encoder: see `Method`.
        instances: see `Method`, at least 2.
        temperature: of all three terms, above 0.
        momentum: of the memory bank, from 0 to below 1.
        rounds: at least 1.
        augmentation: what the augmentation term compares, "rows" of similarities to the bank as in
            the code, or "embeddings" as the paper's equation reads.
        entropy_step: what is added to the weight of the unification entropy each time, at least
            0; the weight starts from 0 in every round.
        entropy_share: of a round between two additions, above 0.

    Raises:
        ValueError: if there is a single instance, or a value is out of its range.
    """

    name = "super-and"
    paper = "Han et al., ECCV 2020"
    views = 2
    drop_last = True

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        momentum: float = 0.5,
        rounds: int = 5,
        augmentation: Augmentation = "rows",
        entropy_step: float = 0.2,
        entropy_share: float = 0.4,
    ) -> None:
        super().__init__(
            encoder, instances, temperature=temperature, momentum=momentum, rounds=rounds
        )
        self.augmentation = check_choice(augmentation, "augmentation", Augmentation)
        if not 0 <= entropy_step < math.inf:
            raise ValueError(f"entropy_step: expected a number of at least 0, got {entropy_step!r}")
        self.entropy_step = entropy_step
        self.entropy_share = check_positive(entropy_share, "entropy_share")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = self.embed_views(batch)  # (b, d) each
        # one row an image: two writes to one row would come in an order that a GPU leaves open
        self._seen = ((first + second) / 2).detach()
        return super_and_loss(
            first,
            second,
            self.bank,
            batch.index,
            self.neighbour[batch.index],
            weight=unification_weight(batch.clock.fraction, self.entropy_step, self.entropy_share),
            temperature=self.temperature,
            augmentation=self.augmentation,
        )
