"""PIRL: an image and its shuffled patches share an embedding (Misra, van der Maaten, CVPR 2020).

Four things that a public re-implementation has otherwise, with 17.4 % on ten classes as its
result: both terms compare with a memory bank of all images, not with a queue; the positive is the
image's own row of the bank, which the noise is drawn apart from; the second term compares the
image's embedding with its memory, not with itself; patches are encoded one by one, not as one
shuffled image.
"""

import torch
from torch import Tensor, nn

from evaluation.arrays import Array, check_count
from methods.base import normalise
from methods.nce import nce_loss
from methods.shared.arguments import as_floats, as_index
from methods.shared.memory import remembered_similarities

GRID = 3
"""Cells of an image in each direction."""


def jigsaw_patches(
    images: Tensor, generator: torch.Generator | None = None, patch: int | None = None
) -> Tensor:
    """Return nine patches of each image, one from a random place in each cell, in random order.

    Section 3.2: the gap between patches keeps a network from matching their edges. Cropping and
    colours are the augmentation's, before this.

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
    cell = torch.tensor([height // GRID, width // GRID], device=images.device)
    smallest = min(height, width) // GRID
    side = round(0.75 * smallest) if patch is None else check_count(patch, "patch")
    if not 1 <= side <= smallest:
        raise ValueError(f"patch: expected 1 to {smallest}, the side of a cell, got {side}")
    places = batch, GRID * GRID
    uniform = torch.rand(*places, 3, generator=generator, device=images.device)
    # the order of random numbers is a uniformly random permutation of the nine cells
    cells = uniform[..., 0].argsort(1)  # (b, 9)
    corner = torch.stack([cells // GRID, cells % GRID], 2) * cell  # (b, 9, 2) of the cell
    slack = cell - side + 1  # offsets 0 to cell - side, both included
    # a uniform number can round up to 1 after the product, hence the minimum
    offset = torch.minimum((uniform[..., 1:] * slack).long(), slack - 1)
    start = corner + offset
    along = torch.arange(side, device=images.device)
    rows = (start[..., 0, None] + along)[:, :, None, :, None]  # (b, 9, 1, p, 1)
    columns = (start[..., 1, None] + along)[:, :, None, None, :]  # (b, 9, 1, 1, p)
    image = torch.arange(batch, device=images.device).view(-1, 1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, 1, -1, 1, 1)
    return images[image, channel, rows, columns]


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


def draw_noise(index: Tensor, instances: int, noise: int) -> Tensor:
    """Return (b, 1 + k) rows of the bank: each image's own, then k uniform ones.

    With replacement, and the own row is not excluded: it comes k / n times on average.

    Args:
        index: (b,) rows of the images.
        instances: n.
        noise: k.
    """
    index = as_index(index, "index", len(index))
    shape = len(index), check_count(noise, "noise")
    drawn = torch.randint(check_count(instances, "instances"), shape, device=index.device)
    return torch.cat([index.unsqueeze(1), drawn], 1)


def memory_scores(embeddings: Array, bank: Array, rows: Tensor, temperature: float) -> Tensor:
    """Return (b, 1 + k) exp(cosine / temperature) to the own memory and to the noise's.

    Args:
        embeddings: (b, d) L2-normalised embeddings, of the image or of its patches.
        bank: (n, d) memories of the images; get no gradient.
        rows: (b, 1 + k), `draw_noise`.
        temperature: at least 0.012, as exp(1 / temperature) must fit fp32; the paper's is 0.07.
    """
    if not temperature >= 0.012:
        raise ValueError(f"temperature: expected a number of at least 0.012, got {temperature!r}")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    bank = as_floats(bank, "bank", "n", embeddings.shape[1])
    return remembered_similarities(embeddings, bank, rows, temperature).exp()


def pirl_loss(
    image: Array,
    patches: Array,
    normaliser: float | Tensor,
    instances: int,
    weight: float = 0.5,
) -> Tensor:
    """Return w NCE(m_I, g(patches)) + (1 - w) NCE(m_I, f(image)), Eq. 7.

    The bank m is moved by the image's embedding only, after both terms (section 3.3).

    Args:
        image: (b, 1 + k) `memory_scores` of the images' embeddings.
        patches: (b, 1 + k) those of the patches' embeddings.
        normaliser: Z of the NCE; the released code keeps the first batch's mean score times n.
        instances: n, what the noise is drawn from.
        weight: w, from 0 to 1.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight: expected a number from 0 to 1, got {weight!r}")
    image = as_floats(image, "image", "b", "k")
    patches = as_floats(patches, "patches", len(image), "k")
    terms = (nce_loss(s[:, 0], s[:, 1:], normaliser, instances) for s in (patches, image))
    transformed, itself = terms
    return weight * transformed + (1 - weight) * itself
