"""VICReg: invariance, a floor under the variance, no covariance (Bardes et al., ICLR 2022)."""

import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_count
from methods.base import Batch, View, feature_size
from methods.blocks.heads import mlp
from methods.blocks.logits import as_one_type, similarity
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views


def vicreg_loss(
    first: Array,
    second: Array,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """Return the weighted sum of the three terms, Eq. 6 in the scale of the authors' code.

    The code differs from the print in two factors, on which the published weights rest: its
    invariance is a mean over the d features too, where Eq. 5 sums them, and the variance term is
    the mean of both views', where Eq. 6 adds them.

    Args:
        first: (n, d) projections of one view, n at least 2; not normalised.
        second: (n, d) projections of another view.
        invariance: lambda.
        variance: mu.
        covariance: nu.
    """
    first, second = as_one_type(*as_two_views(first, second, least=2))
    spread = (variance_term(first) + variance_term(second)) / 2
    redundancy = covariance_term(first) + covariance_term(second)
    return invariance * F.mse_loss(first, second) + variance * spread + covariance * redundancy


def variance_term(features: Array, target: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """Return the mean over features of max(0, target - sqrt(Var + epsilon)), Eqs. 1 and 2.

    Args:
        features: (n, d), n at least 2.
        target: gamma, the standard deviation from which there is no loss.
        epsilon: keeps the slope finite where a feature is constant.
    """
    features = as_floats(features, "features", "n", "d")
    return F.relu(target - (features.var(0) + epsilon).sqrt()).mean()


def covariance_term(features: Array) -> Tensor:
    """Return the sum of the squared covariances between features, divided by d, Eqs. 3 and 4.

    Args:
        features: (n, d), n at least 2.
    """
    features = as_floats(features, "features", "n", "d")
    centred = features - features.mean(0)
    covariance = similarity(centred.T, centred.T) / (len(features) - 1)  # (d, d)
    between = covariance - covariance.diagonal().diag()
    return between.square().sum() / features.shape[1]


class VICReg(ProjectedMethod):
    """Views agree, each feature varies over the batch, and no two features do so together.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        invariance: lambda, at least 0.
        variance: mu, at least 0.
        covariance: nu, at least 0.
        size: d of the projections and width of the projector.
        layers: of the projector.
    """

    name = "vicreg"
    paper = "Bardes et al., ICLR 2022"
    family = "siamese"
    views = (View(), View(changes={"solarize": 0.2}))

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        size: int = 2048,
        layers: int = 2,
    ) -> None:
        widths = [feature_size(encoder), *[size] * check_count(layers, "layers")]
        super().__init__(encoder, instances, mlp(widths, ending="linear-no-bias"))
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, weight in self.weights.items():
            if not weight >= 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {weight!r}")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = self.project_views(batch)  # (b, d) each
        return vicreg_loss(first, second, **self.weights)
