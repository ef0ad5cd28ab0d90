"""AND: anchor neighbourhood discovery (Huang et al., ICML 2019)."""

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_count, check_positive
from methods.base import Batch, Clock, TrainingSet
from methods.blocks.logits import similarity
from methods.blocks.memory_bank import MemoryMethod
from methods.blocks.neighbourhoods import discover
from methods.npsoftmax import nonparametric_softmax_loss


def anchor_count(instances: int, round_index: int, rounds: int = 5) -> int:
    """Return how many of n instances are anchors in a round: int(n r / (rounds - 1)).

    None in round 0, which is NPSoftmax; all in the last one.

    Args:
        instances: n.
        round_index: r, from 0 to below `rounds`.
        rounds: 5 in the paper, hence a quarter more in each.
    """
    if not 0 <= round_index < check_count(rounds, "rounds"):
        raise ValueError(f"round_index: expected 0 to {rounds - 1}, got {round_index!r}")
    return 0 if round_index == 0 else int(instances * (round_index / (rounds - 1)))


def anchor_neighbours(nearest: Array, entropy: Array, anchors: int) -> Tensor:
    """Return (n,) each anchor's neighbour, and -1 for instances that are no anchors.

    Anchors are the instances of the lowest entropy: those whose neighbourhood is the surest. Of
    equal entropies the lower index comes first.

    Args:
        nearest: (n,) int64 nearest other instance, `Neighbourhoods.nearest`.
        entropy: (n,) `Neighbourhoods.entropy`.
        anchors: how many, from 0 to n.
    """
    entropy = as_floats(entropy, "entropy", "n")
    nearest = as_index(nearest, "nearest", len(entropy))
    if not 0 <= anchors <= len(entropy):
        raise ValueError(f"anchors: expected 0 to {len(entropy)}, got {anchors!r}")
    chosen = entropy.argsort(stable=True)[:anchors]
    return torch.full_like(nearest, -1).index_copy(0, chosen, nearest[chosen])


def neighbourhood_loss(
    embeddings: Array, bank: Array, index: Array, neighbour: Array, temperature: float
) -> Tensor:
    """Return the mean of -log(p_i + p_neighbour) for anchors and -log p_i for the others.

    The loss L_and of Han et al. (2020), whose sum is a mean here as in both released codes. p is
    the softmax over the bank. Without anchors this is NPSoftmax.

    Args:
        embeddings: (b, d) L2-normalised embeddings.
        bank: (n, d) remembered embeddings; get no gradient.
        index: (b,) row of the bank that remembers each instance.
        neighbour: (b,) row of each anchor's neighbour; below 0 for an instance that is none.
        temperature: divides the similarities, above 0.
    """
    check_positive(temperature, "temperature")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    bank = as_floats(bank, "bank", "n", embeddings.shape[1])
    scores = similarity(embeddings, bank.detach(), temperature)  # (b, n)
    return neighbourhood_loss_of_logits(scores, index, neighbour)


def neighbourhood_loss_of_logits(scores: Tensor, index: Array, neighbour: Array) -> Tensor:
    """Return `neighbourhood_loss` from (b, n) similarities divided by the temperature."""
    index = as_index(index, "index", len(scores))
    neighbour = as_index(neighbour, "neighbour", len(scores))
    own = scores.gather(1, index.unsqueeze(1)).squeeze(1)  # (b,)
    near = scores.gather(1, neighbour.clamp(min=0).unsqueeze(1)).squeeze(1)
    # exp(-inf) adds nothing for instances without a neighbour: log(p_i + 0)
    near = near.masked_fill(neighbour < 0, -torch.inf)
    return (scores.logsumexp(1) - torch.logaddexp(own, near)).mean()


class NeighbourhoodMethod(MemoryMethod):
    """A method of several rounds, before each of which anchors' neighbours are discovered.

    Before round r the int(n r / (rounds - 1)) instances whose similarities in the memory bank have
    the lowest entropy become anchors, each with its nearest other instance as its neighbour. The
    network and the bank are carried over.

    Args:
        encoder: see `Method`.
        instances: see `Method`, at least 2.
        temperature: divides the similarities, above 0.
        momentum: of the memory bank, from 0 to below 1.
        rounds: at least 1; 1 leaves no anchors.

    Raises:
        ValueError: if there is a single instance, which has no neighbour, or a value is out of
            its range.
    """

    neighbour: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        momentum: float = 0.5,
        rounds: int = 5,
    ) -> None:
        super().__init__(encoder, instances, momentum=momentum)
        if instances < 2:
            raise ValueError(f"instances: expected at least 2 for a neighbour, got {instances}")
        self.temperature = check_positive(temperature, "temperature")
        self.rounds = check_count(rounds, "rounds")
        # each anchor's neighbour; -1 for an instance that is no anchor
        self.register_buffer("neighbour", torch.full((instances,), -1))

    def start_round(self, clock: Clock, train: TrainingSet) -> None:
        """Choose the round's anchors and their neighbours from the memory bank."""
        anchors = anchor_count(self.instances, clock.round, self.rounds)
        if anchors == 0:
            self.neighbour.fill_(-1)
            return
        found = discover(self.bank, self.temperature)
        self.neighbour.copy_(anchor_neighbours(found.nearest, found.entropy, anchors))

    def metrics(self) -> dict[str, float]:
        """Return the share of instances that are anchors, from 0 to 1."""
        return {"anchors": float((self.neighbour >= 0).float().mean())}


class AND(NeighbourhoodMethod):
    """NPSoftmax, then rounds in which an anchor may be taken for its neighbour.

    The options are those of `NeighbourhoodMethod`, with the released code's values. The first round
    is NPSoftmax to the bit.
    """

    name = "and"
    paper = "Huang et al., ICML 2019"

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        embeddings = self.embed_batch(batch)
        if anchor_count(self.instances, batch.clock.round, self.rounds) == 0:
            return nonparametric_softmax_loss(embeddings, self.bank, batch.index, self.temperature)
        neighbour = self.neighbour[batch.index]  # (b,)
        return neighbourhood_loss(embeddings, self.bank, batch.index, neighbour, self.temperature)
