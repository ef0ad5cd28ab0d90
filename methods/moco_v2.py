"""MoCo v2: MoCo with a projector of two layers and blur (Chen et al., arXiv:2003.04297)."""

from torch import Tensor, nn

from methods.base import View, as_encoder, feature_size, normalise
from methods.blocks.heads import mlp
from methods.moco import MoCo


class MoCoV2(MoCo):
    """MoCo whose queries and keys are projections of the features by two layers, of blurred views.

    Args:
        encoder: see `Method`; its head takes no part.
        instances: see `Method`.
        temperature: divides the cosines, above 0; the paper's is 0.2 on ImageNet, 0.1 is usual on
            CIFAR-10.
        queue: keys held; a multiple of the batch size.
        momentum: of the key network, from 0 to below 1.
        bn_groups: see `MoCo`.
        symmetric: average the loss over both assignments of views to query and key.
        size: d of the projections.
    """

    name = "moco-v2"
    paper = "Chen et al., arXiv:2003.04297"
    views = (View(changes={"blur": 0.5}), View(changes={"blur": 0.5}))

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.2,
        queue: int = 4096,
        momentum: float = 0.99,
        bn_groups: int = 8,
        symmetric: bool = False,
        size: int = 128,
    ) -> None:
        self.size = size
        super().__init__(
            encoder,
            instances,
            temperature=temperature,
            queue=queue,
            momentum=momentum,
            bn_groups=bn_groups,
            symmetric=symmetric,
        )

    def make_projector(self, encoder: nn.Module) -> tuple[nn.Module, int]:
        """Return two layers on the features, without batch normalisation."""
        width = feature_size(encoder)
        return mlp([width, width, self.size], hidden_bn=False), self.size

    def query(self, images: Tensor) -> Tensor:
        """Return (b, d) unit rows by the trained network."""
        return normalise(self.projector(self.backbone.features(images)))

    def key(self, images: Tensor) -> Tensor:
        """Return (b, d) unit rows by the momentum network."""
        return normalise(self.key_projector(as_encoder(self.key_encoder).features(images)))

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features", the pooled output of the backbone, and "projection"."""
        features = self.backbone.features(images)  # (b, feature_size)
        return {
            "features": normalise(features),
            "projection": normalise(self.projector(features)),
        }
