"""LeJEPA: predict between views, embeddings an isotropic Gaussian (Balestriero, LeCun, 2025).

Source: arXiv:2511.08544.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.base import Batch, feature_size, normalise
from methods.blocks.heads import mlp
from methods.blocks.logits import similarity
from methods.blocks.projected import ProjectedMethod


def random_directions(
    slices: int, width: int, generator: torch.Generator | None = None, device: str = "cpu"
) -> Tensor:
    """Return (slices, width) unit rows, uniform on the sphere, to be drawn anew in every step.

    Args:
        slices: directions.
        width: d of the embeddings.
        generator: source of the draws, on the device; None for torch's own.
        device: where the directions lie.
    """
    shape = check_count(slices, "slices"), check_count(width, "width")
    return normalise(torch.randn(shape, generator=generator, device=device))


def epps_pulley(samples: Tensor, points: int = 17, limit: float = 5.0) -> Tensor:
    """Return each slice's distance from the standard normal, the Epps-Pulley statistic.

    n times the integral over t of |phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2), by the trapezoidal
    rule, phi being the empirical characteristic function. Slopes stay bounded for any sample,
    which moments do not give; the cost is linear in n.

    Args:
        samples: (n, s) real samples, a column per slice.
        points: of the rule, at least 2, from -limit to limit.
        limit: above 0.

    Returns:
        (s,) at least 0; 1.06 on average for normal samples of any n, growing as n for others.
    """
    if check_count(points, "points") < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    check_positive(limit, "limit")
    samples = as_floats(samples, "samples", "n", "s")
    # the integrand is even and 0 at t = 0, so that the points above 0, counted twice, are enough
    t = torch.linspace(-limit, limit, points, dtype=samples.dtype, device=samples.device)
    t = t[(points + 1) // 2 :]  # (p,)
    weights = torch.full_like(t, 4 * limit / (points - 1))
    weights[-1] /= 2  # the ends of the trapezoidal rule
    normal = torch.exp(-t.square() / 2)  # of the standard normal, and the window
    angles = samples.unsqueeze(2) * t  # (n, s, p)
    real, imaginary = angles.cos().mean(0), angles.sin().mean(0)  # (s, p)
    squared = (real - normal).square() + imaginary.square()
    return len(samples) * (squared * (normal * weights)).sum(1)


def sigreg(embeddings: Array, directions: Array, points: int = 17, limit: float = 5.0) -> Tensor:
    """Return the mean Epps-Pulley statistic over random slices of the embeddings (SIGReg).

    Small only if the embeddings are distributed as N(0, I): nothing collapses, without negatives,
    momentum network or stopped gradient.

    Args:
        embeddings: (n, d) of one view, not normalised.
        directions: (s, d) unit rows, `random_directions`.
        points: see `epps_pulley`.
        limit: see `epps_pulley`.
    """
    embeddings = as_floats(embeddings, "embeddings", "n", "d")
    directions = as_floats(directions, "directions", "s", embeddings.shape[1])
    return epps_pulley(similarity(embeddings, directions), points, limit).mean()  # (n, s)


def prediction_loss(views: Sequence[Tensor], global_views: int | None = None) -> Tensor:
    """Return the mean squared distance, per feature, of all views from the global views' mean.

    Args:
        views: each (n, d), the global views first; at least 2, or 1 global among several.
        global_views: how many of the views are whole images, whose mean is predicted; None for
            all. The mean takes part in the gradient.
    """
    if len(views) < 2:
        raise ValueError(f"views: expected at least 2, got {len(views)}")
    targets = len(views) if global_views is None else check_count(global_views, "global_views")
    if targets > len(views):
        raise ValueError(f"global_views: expected at most {len(views)}, got {targets}")
    first = as_floats(views[0], "views[0]", "n", "d")
    shape = first.shape
    stacked = torch.stack([as_floats(v, f"views[{i}]", *shape) for i, v in enumerate(views)])
    centre = stacked[:targets].mean(0)  # (v, n, d) to (n, d)
    return (stacked - centre).square().mean()


class LeJEPA(ProjectedMethod):
    """Views agree, and embeddings are distributed as an isotropic Gaussian on random slices.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        weight: of the distribution's term beside the prediction's, at least 0.
        slices: random directions of a step.
        points: of the integral, see `epps_pulley`.
        limit: of the integral, see `epps_pulley`.
        hidden: width of the projector's hidden layer.
        size: d of the projections.
    """

    name = "lejepa"
    paper = "Balestriero and LeCun, arXiv:2511.08544"
    family = "siamese"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        weight: float = 10.0,
        slices: int = 256,
        points: int = 10,
        limit: float = 3.0,
        hidden: int = 2048,
        size: int = 128,
    ) -> None:
        super().__init__(encoder, instances, mlp([feature_size(encoder), hidden, size]))
        if not weight >= 0:
            raise ValueError(f"weight: expected a number of at least 0, got {weight!r}")
        self.weight, self.size = weight, size
        self.slices = check_count(slices, "slices")
        self.points, self.limit = check_count(points, "points"), check_positive(limit, "limit")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two or more views."""
        views = self.project_views(batch)  # (b, d) each
        directions = random_directions(self.slices, self.size).to(batch.index.device)
        spread = torch.stack([sigreg(v, directions, self.points, self.limit) for v in views])
        return prediction_loss(views) + self.weight * spread.mean() / len(views[0])
