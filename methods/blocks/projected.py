"""What methods share that compare projections and throw the projector away."""

from collections.abc import Sequence

from torch import Tensor, nn

from methods.base import Batch, Method, normalise


class ProjectedMethod(Method):
    """A method whose loss sees `projector(features)` and whose features are evaluated.

    The encoder's own head takes no part. The projection is evaluated too, beside the features.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        projector: maps (b, feature_size) features to (b, d) projections.
    """

    def __init__(self, encoder: nn.Module, instances: int, projector: nn.Module) -> None:
        super().__init__(encoder, instances)
        self.projector = projector

    def project(self, images: Tensor) -> Tensor:
        """Return the (b, d) projections of (b, c, h, w) images, fp32 and not normalised."""
        projections: Tensor = self.projector(self.backbone.features(images))
        return projections.float()

    def project_views(self, batch: Batch) -> Sequence[Tensor]:
        """Return one (b, d) projection a view, each view encoded in a pass of its own.

        So batch normalisation sees one view at a time, as in the published code on one GPU.
        """
        return [self.project(view) for view in batch.views]

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features", the pooled output of the backbone, and "projection"."""
        features = self.backbone.features(images)  # (b, feature_size)
        return {
            "features": normalise(features),
            "projection": normalise(self.projector(features)),
        }
