"""The networks of timm (PyTorch Image Models) as backbones, by the name `timm:NAME`."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.backbones.base import Backbone, Normalisation
from benchmarks.backbones.googlenet import PixelScale
from benchmarks.backbones.weights import Published
from benchmarks.common.errors import UsageProblem, shown
from methods.base.registry import in_one_line


class TimmEncoder(nn.Module):
    """A network of timm without its classifier, and a linear embedding.

    Args:
        name: of the network, for messages.
        trunk: maps (b, 3, h, w) images to (b, feature_size) pooled features.
        feature_size: their width.
        embedding_size: d.
    """

    def __init__(self, name: str, trunk: nn.Module, feature_size: int, embedding_size: int) -> None:
        super().__init__()
        self.name, self.feature_size, self.embedding_size = name, feature_size, embedding_size
        self.pixels: nn.Module = nn.Identity()  # weights of others expect another scale
        self.trunk = trunk
        self.head = nn.Linear(feature_size, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to the (b, feature_size) that timm's classifier would take.

        Raises:
            UsageProblem: the network is made for images of another size.
        """
        try:
            pooled: Tensor = self.trunk(self.pixels(images))
        except AssertionError as error:  # how timm's transformers refuse a size
            raise UsageProblem(
                f"backbone timm:{self.name}: cannot take images of {images.shape[2]} x "
                f"{images.shape[3]} pixels ({in_one_line(error)}); set recipe.image_size and "
                "recipe.crop_size, or choose a network that takes any size"
            ) from error
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, d) embeddings, not normalised."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings


class TimmBackbone(Backbone):
    """A network that `timm.list_models()` names.

    It starts from random weights, or from a file that the user gives: nothing is downloaded.
    """

    def __init__(self, network: str) -> None:
        """Look the network up.

        Args:
            network: its name, with or without the tag of its weights, such as `resnet18.a1_in1k`.

        Raises:
            UsageProblem: timm is not installed, or has no such network.
        """
        timm = _timm()
        if not timm.is_model(network):
            raise _unknown(network, timm.list_models())
        try:
            facts = timm.get_pretrained_cfg(network, allow_unregistered=False)
        except RuntimeError as error:  # the network has no weights of this tag
            raise _unknown(network, [*timm.list_models(), *timm.list_pretrained()]) from error
        self.network, self.name = network, f"timm:{network}"
        self._mean, self._std = tuple(facts.mean), tuple(facts.std)
        classifier = facts.classifier or ()
        layers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        self.weights = Published(
            "model.safetensors",
            f"https://huggingface.co/{facts.hf_hub_id or f'timm/{network}'}",
            algorithm="",  # any file will do whose weights fit
            digest="",
            ignored=tuple(f"{layer}." for layer in layers),
        )

    @property
    def code(self) -> list[str | None]:
        """Name and version of the package: another one may draw other weights."""
        return [f"timm {_timm().__version__}"]

    def build(self, embedding_size: int) -> TimmEncoder:
        """Return the network with random weights.

        Raises:
            UsageProblem: timm cannot build it.
        """
        try:
            trunk = _timm().create_model(self.network, pretrained=False, num_classes=0)
        except Exception as error:  # some networks need packages of their own
            raise UsageProblem(
                f"backbone {self.name}: timm cannot build it ({in_one_line(error)}); choose "
                "another network"
            ) from error
        # Some networks have a layer between pooling and classifier, and state its width.
        width = getattr(trunk, "head_hidden_size", None) or trunk.num_features
        return TimmEncoder(self.network, trunk, int(width), embedding_size)

    def pretrain(
        self, network: nn.Module, weights: Path, normalisation: Normalisation | None
    ) -> None:
        """Fill the trunk, and turn the images into what the weights were trained on."""
        assert isinstance(network, TimmEncoder), "as build returns it"
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (self._mean, self._std))
        # (p - mean) / std of the weights' own images, as factor * p + offset.
        network.pixels = PixelScale((1 / std).tolist(), (-mean / std).tolist(), bgr=False)
        if normalisation is not None:
            network.pixels.set_normalisation(*normalisation)
        super().pretrain(network, weights, normalisation)


def _timm() -> Any:
    try:
        return import_module("timm")
    except ImportError as error:
        raise UsageProblem(
            f"backbones timm:NAME need the package timm ({in_one_line(error)}); "
            "pip install 'instbench[timm]'"
        ) from error


def _unknown(network: str, known: list[str]) -> UsageProblem:
    near = get_close_matches(network[:100], known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(f'timm:{name}' for name in near)}?" if near else ""
    return UsageProblem(
        f"Unknown network of timm {shown(network)}.{hint} timm.list_models() names all "
        f"{len(known):,}."
    )
