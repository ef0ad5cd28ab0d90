"""NCE: noise-contrastive estimation of the non-parametric softmax (Wu et al., CVPR 2018)."""

from typing import Literal

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_choice, check_count, check_momentum
from methods.base import Batch
from methods.blocks.memory_bank import MemoryMethod, remembered_similarities

Normaliser = Literal["first-batch", "moving-average"]


def nce_loss(positive: Array, noise: Array, normaliser: float | Tensor, instances: int) -> Tensor:
    """Return the mean of -log h(positive) - sum log(1 - h(noise)), Eq. 7 of Wu et al. (2018).

    h = p / (p + k Pn) with p = x / Z and Pn = 1 / n.

    Args:
        positive: (b,) x = exp(similarity / temperature) to each sample's own memory.
        noise: (b, k) the same to its k noise instances.
        normaliser: Z, above 0.
        instances: n, the number of instances that the noise is drawn from.

    Returns:
        A scalar of at least 0, in nats.

    Raises:
        ValueError: if shapes or the number of instances do not fit.
    """
    positive = as_floats(positive, "positive", "b")
    noise = as_floats(noise, "noise", len(positive), "k")
    # k Pn: how much noise is expected for each sample of the data
    expected = noise.shape[1] / check_count(instances, "instances")
    margin = 1e-7  # in both denominators, as the authors have it
    # -log h = log(1 + k Pn / p), and -log(1 - h) = log(1 + p / (k Pn))
    recognised = torch.log1p((expected + margin) * normaliser / positive)  # (b,)
    rejected = torch.log1p(noise * (1 / (normaliser * expected)) + margin / expected)  # (b, k)
    return (recognised + rejected.sum(1)).mean()


def draw_noise(index: Tensor, instances: int, noise: int, exclude_own: bool = False) -> Tensor:
    """Return (b, 1 + k) rows of the bank: that of each instance, then of its noise.

    Uniform, with replacement; unless it is excluded the own row comes k / n times on average.

    Args:
        index: (b,) int64 rows of the instances.
        instances: n, the rows of the bank; at least 2 to exclude one.
        noise: k.
        exclude_own: never draw an instance as its own noise.
    """
    rows = torch.randint(instances - exclude_own, (len(index), 1 + noise), device=index.device)
    if exclude_own:  # drawn from n - 1 rows: those from the own one on move up by one
        rows += rows >= index.unsqueeze(1)  # (b, 1 + k)
    rows[:, 0] = index
    return rows


class NCE(MemoryMethod):
    """Tell each instance's memory from noise that is drawn uniformly from all memories.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        temperature: divides the similarities, at least 0.012: exp(1 / temperature) must fit fp32.
        momentum: of the memory bank, from 0 to below 1.
        noise: k, the noise instances of each sample, drawn with replacement.
        normaliser: Z is estimated from the first batch and kept ("first-batch", as the authors
            do), or follows the batches ("moving-average"). The first batch meets a random memory,
            so its Z is too small for what follows, and training on few images diverges.
        normaliser_momentum: of the moving average, from 0 to below 1; 0.9 suits few images.
        exclude_positive: never draw a sample's own instance as its noise.
    """

    name = "nce"
    paper = "Wu et al., CVPR 2018"
    partition: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        momentum: float = 0.5,
        noise: int = 4096,
        normaliser: Normaliser = "first-batch",
        normaliser_momentum: float = 0.99,
        exclude_positive: bool = False,
    ) -> None:
        super().__init__(encoder, instances, momentum=momentum)
        if not temperature >= 0.012:
            raise ValueError(f"temperature: expected a number of at least 0.012, got {temperature}")
        if exclude_positive and instances < 2:
            raise ValueError("exclude_positive: expected at least 2 training images, got 1")
        self.temperature = temperature
        self.noise = check_count(noise, "noise")
        self.normaliser = check_choice(normaliser, "normaliser", Normaliser)
        self.normaliser_momentum = check_momentum(normaliser_momentum, "normaliser_momentum")
        self.exclude_positive = exclude_positive
        self.register_buffer("partition", torch.zeros(()))  # Z; 0 until the first batch

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        rows = self.draw(batch.index)
        embeddings = self.embed_batch(batch)
        scores = remembered_similarities(embeddings, self.bank, rows, self.temperature).exp()
        normaliser = self.estimate_partition(scores.detach())
        positive, noise = scores.split_with_sizes([1, self.noise], 1)
        return nce_loss(positive.squeeze(1), noise, normaliser, self.instances)

    def draw(self, index: Tensor) -> Tensor:
        """Return (b, 1 + k) rows of the bank: that of each (b,) instance, then of its noise."""
        return draw_noise(index, self.instances, self.noise, self.exclude_positive)

    def estimate_partition(self, scores: Tensor) -> Tensor:
        """Return Z, updated from the (b, 1 + k) scores of a batch: their mean times n."""
        estimate = scores.mean() * self.instances
        kept = self.normaliser_momentum if self.normaliser == "moving-average" else 1.0
        updated = kept * self.partition + (1 - kept) * estimate
        normaliser = torch.where(self.partition == 0, estimate, updated)
        self.partition.copy_(normaliser)
        return normaliser
