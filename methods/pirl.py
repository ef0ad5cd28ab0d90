"""PIRL: an image and its shuffled patches share an embedding (Misra, van der Maaten, CVPR 2020).

Four things that a public re-implementation, with 17.4 % on ten classes, does otherwise: both
terms compare with a memory bank of all images, not with a queue; an image's own row is not among
its negatives in every step, only as often as chance draws it; the second term compares the
image's embedding with its memory, not with itself; patches are encoded one by one, not as one
shuffled image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.base import normalise
from methods.blocks.memory_bank import remembered_similarities
from methods.nce import nce_loss

GRID = 3
"""Cells of an image in each direction."""


def jigsaw_patches(
    images: Tensor, generator: torch.Generator | None = None, patch: int | None = None
) -> Tensor:
    """Return nine patches of each image, one from a random place in each cell, in random order.

    The gaps between patches keep a network from matching their edges. Cropping and colours are the
    augmentation's, before this.

    Args:
        images: (b, c, h, w), h and w divisible by 3.
        generator: source of the draws, on the images' device; None for torch's own.
        patch: side p of a patch, at most that of a cell; None for 3/4 of a cell, rounded: 64 of
            85 pixels as published, 9 of 12.

    Returns:
        (b, 9, c, p, p). Each image has its own order and its own places.
    """
    batch, channels, height, width = images.shape
    if height % GRID or width % GRID:
        raise ValueError(
            f"images: expected height and width divisible by {GRID}, got {height} x {width}; "
            "crop to such a size"
        )
    smallest = min(height, width) // GRID
    side = round(0.75 * smallest) if patch is None else check_count(patch, "patch")
    if not 1 <= side <= smallest:
        raise ValueError(f"patch: expected 1 to {smallest}, the side of a cell, got {side}")
    uniform = torch.rand(batch, GRID**2, 3, generator=generator, device=images.device)
    # the order of random numbers is a uniformly random permutation of the nine cells
    cells = uniform[..., 0].argsort(1)  # (b, 9)
    rows = _places(cells // GRID, height // GRID, uniform[..., 1], side)  # (b, 9, p)
    columns = _places(cells % GRID, width // GRID, uniform[..., 2], side)
    image = torch.arange(batch, device=images.device).view(-1, 1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, 1, -1, 1, 1)
    # indices of shapes (b, 1, 1, 1, 1), (1, 1, c, 1, 1), (b, 9, 1, p, 1) and (b, 9, 1, 1, p)
    return images[image, channel, rows[:, :, None, :, None], columns[:, :, None, None, :]]


def _places(cells: Tensor, length: int, uniform: Tensor, side: int) -> Tensor:
    """Return (b, 9, p) pixels, in one direction, of patches at random places in their cells.

    Args:
        cells: (b, 9) which cell, 0 to 2.
        length: of a cell.
        uniform: (b, 9) random numbers from 0 to below 1.
        side: p; the offset in a cell is 0 to length - p, both included.
    """
    # a product of fp32 can round up to the next whole number, hence the bound
    offset = (uniform * (length - side + 1)).long().clamp(max=length - side)
    along = torch.arange(side, device=cells.device)
    return (cells * length + offset).unsqueeze(2) + along


class JigsawHead(nn.Module):
    """One embedding from the features of nine patches: project each, concatenate, project.

    Linear layers without batch normalisation or ReLU, as the released head.

    Args:
        features: f, the width of a patch's features.
        width: d, of the embedding and of each projected patch.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.each = nn.Linear(features, width)
        self.together = nn.Linear(GRID * GRID * width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return (b, d) unit embeddings from (b * 9, f), the patches of an image in sequence."""
        projected: Tensor = self.each(features)  # (b * 9, d)
        joined: Tensor = self.together(projected.view(-1, self.together.in_features))
        return normalise(joined)  # (b, d)


def memory_logits(embeddings: Array, bank: Array, rows: Tensor, temperature: float) -> Tensor:
    """Return (b, 1 + k) cosines / temperature to the own memory and to the noise's.

    Args:
        embeddings: (b, d) L2-normalised embeddings, of the image or of its patches.
        bank: (n, d) memories of the images; get no gradient.
        rows: (b, 1 + k), `methods.nce.draw_noise`: one draw for each of the two terms. The released
            code does not exclude the own row, the paper does.
        temperature: above 0; the paper's is 0.07.
    """
    check_positive(temperature, "temperature")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    bank = as_floats(bank, "bank", "n", embeddings.shape[1])
    return remembered_similarities(embeddings, bank, rows, temperature)


def memory_scores(embeddings: Array, bank: Array, rows: Tensor, temperature: float) -> Tensor:
    """Return (b, 1 + k) exp of `memory_logits`, which NCE compares with its normaliser.

    Args:
        embeddings: see `memory_logits`.
        bank: see `memory_logits`.
        rows: see `memory_logits`.
        temperature: at least 0.012, as exp(1 / temperature) must fit fp32.
    """
    if not temperature >= 0.012:
        raise ValueError(f"temperature: expected a number of at least 0.012, got {temperature!r}")
    return memory_logits(embeddings, bank, rows, temperature).exp()


def pirl_loss(
    image: Array,
    patches: Array,
    normaliser: float | Tensor,
    instances: int,
    weight: float = 0.5,
) -> Tensor:
    """Return w NCE(m_I, g(patches)) + (1 - w) NCE(m_I, f(image)), the loss of PIRL.

    The bank m is moved by the image's embedding only, after both terms.

    Args:
        image: (b, 1 + k) `memory_scores` of the images' embeddings.
        patches: (b, 1 + k) those of the patches' embeddings.
        normaliser: Z of the NCE; the released code keeps the first batch's mean score times n.
        instances: n, what the noise is drawn from.
        weight: w, from 0 to 1.
    """
    image, patches = _both(image, patches, weight)
    terms = (nce_loss(s[:, 0], s[:, 1:], normaliser, instances) for s in (patches, image))
    transformed, itself = terms
    return weight * transformed + (1 - weight) * itself


def pirl_info_nce_loss(image: Array, patches: Array, weight: float = 0.5) -> Tensor:
    """Return the same sum with a softmax over the 1 + k rows in the place of NCE (InfoNCE).

    The released code has it as an option, PyContrast as its only form. It has no normaliser to
    estimate, on which NCE fails where images are few.

    Args:
        image: (b, 1 + k) `memory_logits` of the images' embeddings.
        patches: (b, 1 + k) those of the patches' embeddings.
        weight: of the patches' term, from 0 to 1.
    """
    image, patches = _both(image, patches, weight)
    own = torch.zeros(len(image), dtype=torch.int64, device=image.device)  # the first column
    return weight * F.cross_entropy(patches, own) + (1 - weight) * F.cross_entropy(image, own)


def _both(image: Array, patches: Array, weight: float) -> tuple[Tensor, Tensor]:
    """Return both terms' (b, 1 + k) rows, checked with the weight between them."""
    if not 0 <= weight <= 1:
        raise ValueError(f"weight: expected a number from 0 to 1, got {weight!r}")
    image = as_floats(image, "image", "b", "k")
    return image, as_floats(patches, "patches", len(image), "k")
