"""What an author of a backbone can check with one call, as `check_method` does for methods."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from benchmarks.backbones.base import Backbone
from methods.base.encoder import Encoder, check_encoder

T = TypeVar("T")
EMBEDDING_SIZE = 6
IMAGES = 4


class BackboneCheckError(AssertionError):
    """A backbone breaks its contract; the message says where, what was expected and found."""


def check_backbone(
    backbone: type[Backbone] | Backbone, image_size: int = 32, embedding_size: int = EMBEDDING_SIZE
) -> None:
    """Check that a backbone gives an encoder with which every method can be trained.

    Args:
        backbone: the class, which is made without arguments, or an instance.
        image_size: height and width in pixels of images that the network can take.
        embedding_size: d to build it with.

    Raises:
        BackboneCheckError: it does not keep the contract.
    """
    backbone = _made(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _network(backbone, embedding_size)
        images = torch.randn(IMAGES, 3, image_size, image_size)
        check_outputs(network, images)
        _check_gradients(network, images)
        _check_training_changes_no_shape(network, images)
        _check_seeded(backbone, embedding_size)
        _check_other_sizes(backbone, embedding_size)
        _check_state(backbone, network, images, embedding_size)


def check_outputs(network: nn.Module, images: Tensor) -> None:
    """Check what an encoder returns for images, in evaluation mode; it is left as it was.

    Args:
        network: the encoder.
        images: (b, 3, h, w).

    Raises:
        BackboneCheckError: a shape is wrong, a value is not finite, or `network(images)` is not
            `head(features(images))` to the bit.
    """
    encoder = _step("contract", lambda: check_encoder(network))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            features, embeddings = _outputs(encoder, images)
            whole = _step("forward", lambda: network(images))
    finally:
        network.train(training)
    for name, values in (("features", features), ("head", embeddings)):
        if not torch.isfinite(values).all():
            raise BackboneCheckError(f"{name}: expected finite values, found others")
    _check_shape("forward", whole, (len(images), encoder.embedding_size))
    if not torch.equal(whole, embeddings):
        raise BackboneCheckError(
            "forward: expected network(images) to be head(features(images)) to the bit, found a "
            f"difference of up to {float((whole - embeddings).abs().max()):.3g}"
        )


def _outputs(encoder: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return features and embeddings, their shapes checked."""
    features = _step("features", lambda: encoder.features(images))
    _check_shape("features", features, (len(images), encoder.feature_size))
    embeddings = _step("head", lambda: encoder.head(features))
    _check_shape("head", embeddings, (len(images), encoder.embedding_size))
    return features, embeddings


def _check_shape(name: str, found: object, expected: tuple[int, int]) -> None:
    if not isinstance(found, Tensor) or tuple(found.shape) != expected:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        sizes = "feature_size" if name == "features" else "embedding_size"
        raise BackboneCheckError(f"{name}: expected (b, {sizes}) = {expected}, found {shape}")


def _made(backbone: type[Backbone] | Backbone) -> Backbone:
    if isinstance(backbone, type):
        backbone = _step("constructor", backbone)
    if not isinstance(getattr(backbone, "name", None), str):
        raise BackboneCheckError("name: expected a name by which recipes state it, found none")
    if backbone.needs_weights and backbone.weights is None:
        raise BackboneCheckError("weights: expected what a network with needs_weights starts from")
    return backbone


def _network(backbone: Backbone, embedding_size: int) -> nn.Module:
    network = _step("build", lambda: backbone.build(embedding_size))
    if not isinstance(network, nn.Module):
        raise BackboneCheckError(f"build: expected an nn.Module, found {type(network).__name__}")
    encoder = _step("contract", lambda: check_encoder(network))
    if encoder.embedding_size != embedding_size:
        raise BackboneCheckError(
            f"embedding_size: expected {embedding_size}, as build was asked for, found "
            f"{encoder.embedding_size}"
        )
    if backbone.weights is not None:
        _step("trunk, which weights fill", lambda: network.get_submodule("trunk"))
    return network


def _check_gradients(network: nn.Module, images: Tensor) -> None:
    """Every parameter that can be trained must be part of the embedding."""
    network.train()
    network.zero_grad()
    embeddings = _step("forward in training mode", lambda: network(images))
    # Not the sum, whose gradient by what comes before a normalisation is zero.
    _step("backward", lambda: embeddings.square().sum().backward())
    lost = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    if lost:
        raise BackboneCheckError(
            f"backward: expected a gradient for every parameter, found none for {lost[0]} and "
            f"{len(lost) - 1} more; remove what is not used, or set requires_grad to False"
        )


def _check_training_changes_no_shape(network: nn.Module, images: Tensor) -> None:
    """A step in training mode, as batch normalisation has, keeps the outputs in shape."""
    for count in (1, 2):
        network.eval()
        some = images[:count]
        with torch.no_grad():
            found = _step(f"forward of {count} images", partial(network, some))
        _check_shape("head", found, (count, int(found.shape[1])))


def _check_seeded(backbone: Backbone, embedding_size: int) -> None:
    """One seed of torch's generator is one start, so that methods start from the same network."""
    states = []
    for _ in range(2):
        torch.manual_seed(1)
        states.append(backbone.build(embedding_size).state_dict())
    torch.manual_seed(2)
    other = backbone.build(embedding_size).state_dict()
    first, second = states
    if first.keys() != second.keys() or any(not torch.equal(first[k], second[k]) for k in first):
        raise BackboneCheckError(
            "build: expected the same weights from the same seed of torch.manual_seed, found "
            "others; draw them from torch's generator alone"
        )
    if all(torch.equal(first[k], other[k]) for k in first):
        raise BackboneCheckError(
            "build: expected other weights from another seed, found the same; do not seed in build"
        )


def _check_other_sizes(backbone: Backbone, embedding_size: int) -> None:
    other = _step("build", lambda: backbone.build(embedding_size + 1))
    found = getattr(other, "embedding_size", None)
    if found != embedding_size + 1:
        raise BackboneCheckError(
            f"build({embedding_size + 1}): expected that embedding_size, found {found}"
        )


def _check_state(
    backbone: Backbone, network: nn.Module, images: Tensor, embedding_size: int
) -> None:
    """What a checkpoint keeps must be all that the network is."""
    copy = backbone.build(embedding_size)
    _step("load_state_dict", lambda: copy.load_state_dict(network.state_dict()))
    network.eval(), copy.eval()
    with torch.no_grad():
        if not torch.equal(network(images), copy(images)):
            raise BackboneCheckError(
                "state_dict: expected a network filled from it to give the same embeddings, found "
                "others; keep what changes in parameters and buffers"
            )


def _step(what: str, call: Callable[[], T]) -> T:
    """Return what a call returns, or say in which step it failed."""
    try:
        return call()
    except BackboneCheckError:
        raise
    except Exception as error:
        raise BackboneCheckError(f"{what}: {type(error).__name__}: {error}") from error
