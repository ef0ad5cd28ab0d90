import pytest
import torch
import torch.nn.functional as F

from benchmarks.backbones import resnet
from benchmarks.backbones.sobel import (
    SobelNetwork,
    resnet10_16_sobel,
    resnet10_16_sobel2,
    resnet18_sobel,
    resnet18_sobel2,
    resnet34_sobel,
)

EVERY = (resnet18_sobel2, resnet10_16_sobel2, resnet18_sobel, resnet10_16_sobel, resnet34_sobel)
NARROW = (resnet10_16_sobel2, resnet10_16_sobel)
BODY_18 = 11_689_512 - 513_000 - 64 * 3 * 49
"""torchvision's ResNet-18 without its classifier and its stem's convolution."""
BODY_34 = 21_797_672 - 513_000 - 64 * 3 * 49


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def edges(images: torch.Tensor) -> torch.Tensor:
    """The released code's filters: the mean of the channels, then two 3 x 3 convolutions."""
    kernels = torch.tensor(
        [[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]]
    )
    return F.conv2d(images.mean(1, keepdim=True), kernels[:, None], padding=1)


@pytest.mark.parametrize("build", EVERY, ids=lambda build: build.__name__)
@pytest.mark.parametrize("size", [16, 32])
def test_it_is_an_encoder(build, size):
    network = build(6).eval()
    images = torch.randn(3, 3, size, size)
    with torch.no_grad():
        features = network.features(images)
        assert features.shape == (3, network.feature_size)
        assert network(images).shape == (3, network.embedding_size) == (3, 6)
        assert torch.equal(network.head(features), network(images))
        alone = network.features(images[:1])
    torch.testing.assert_close(alone, features[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "features", "parameters"),
    [
        (resnet18_sobel2, 1024, 2 * BODY_18 + 64 * 9 * (3 + 2) + 1024 * 128 + 128),
        (resnet18_sobel, 512, BODY_18 + 64 * 9 * 2 + 512 * 128 + 128),
        (resnet34_sobel, 512, BODY_34 + 64 * 9 * 2 + 512 * 128 + 128),
    ],
)
def test_sizes_are_those_of_the_released_codes(build, features, parameters):
    network = build()
    assert network.feature_size == features
    assert network.embedding_size == 128
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert all(p.requires_grad for p in network.parameters())  # the filters are no parameters


def test_colours_come_first_then_edges():
    network = resnet10_16_sobel2(8).eval()
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        colours, shapes = network.features(images).split(128, dim=1)
        torch.testing.assert_close(colours, network.colours.features(images))
        torch.testing.assert_close(shapes, network.edges.features(edges(images)))
        assert not torch.allclose(colours, shapes)


def test_a_tower_is_the_suites_resnet():
    """With the same weights both give the same features."""
    network, plain = resnet10_16_sobel2(8).eval(), resnet.resnet10_16(8).eval()
    missing, unexpected = plain.load_state_dict(network.colours.state_dict(), strict=False)
    assert set(missing) == {"head.weight", "head.bias"}
    assert unexpected == []
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = plain.features(images)
        torch.testing.assert_close(network.features(images)[:, :128], expected)


def test_edges_alone_see_no_colour():
    """What leaves the mean of the channels as it is changes nothing but where colours are seen."""
    images = torch.randn(2, 3, 16, 16)
    mixed = images.roll(1, dims=1)
    with torch.no_grad():
        alone, both = resnet10_16_sobel(8).eval(), resnet10_16_sobel2(8).eval()
        torch.testing.assert_close(alone(mixed), alone(images), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(both(mixed), both(images), rtol=1e-2)


@pytest.mark.parametrize("build", NARROW, ids=lambda build: build.__name__)
def test_every_weight_learns(build):
    network = build(8)
    network(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("build", NARROW, ids=lambda build: build.__name__)
def test_it_is_saved_and_loaded_to_the_bit(build):
    network, other = build(8).eval(), build(8).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert not torch.equal(network(images), other(images))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(images), other(images))


@pytest.mark.parametrize(("size", "side"), [(32, 3), (96, 7)])
def test_the_maps_of_iic(size, side):
    """The sides that its code's average pooling takes whole."""
    network: SobelNetwork = resnet34_sobel(8).eval()
    maps = []
    network.edges.stages.register_forward_hook(lambda _, __, output: maps.append(output))
    with torch.no_grad():
        features = network.features(torch.randn(1, 3, size, size))
    assert maps[0].shape == (1, 512, side, side)
    torch.testing.assert_close(features, F.avg_pool2d(maps[0], side, stride=1).flatten(1))
