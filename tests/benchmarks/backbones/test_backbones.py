import pytest
import torch
import torch.nn.functional as F

from benchmarks import backbones
from benchmarks.backbones import resnet
from benchmarks.common.errors import UsageProblem

LARGE_ONLY = {"resnet18-topleft7"}
PRETRAINED = {name for name in backbones.names() if backbones.get(name).weights}


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("name", sorted({*backbones.names()} - LARGE_ONLY - PRETRAINED))
def test_shapes(name, size):
    check_shapes(name, size)


@pytest.mark.parametrize("name", sorted(LARGE_ONLY))
def test_shapes_of_larger_images(name):
    check_shapes(name, 56)


def check_shapes(name: str, size: int) -> None:
    network = backbones.get(name)(16)
    images = torch.randn(2, 3, size, size)
    assert network(images).shape == (2, 16)
    assert network.embedding_size == 16
    assert torch.allclose(network.head(network.features(images)), network(images), atol=1e-5)


def test_resnet18_is_the_cifar_network():
    network = resnet.resnet18()
    parameters = sum(p.numel() for p in network.parameters())
    # torchvision's ResNet-18 body without its classifier and with a 3 x 3 instead of a 7 x 7 stem
    assert parameters == 11_689_512 - 513_000 - 64 * 3 * (49 - 9) + 512 * 128 + 128
    maps = []
    network.stages.register_forward_hook(lambda module, inputs, output: maps.append(output.shape))
    network(torch.randn(1, 3, 32, 32))
    assert maps == [(1, 512, 4, 4)]  # stride 8: no stride in the stem, no max-pooling
    assert network.conv.kernel_size == (3, 3)
    assert network.conv.bias is None
    assert network.head.bias is not None


def test_narrow_network_has_16_to_128_channels():
    network = resnet.resnet10_16()
    assert [block.conv1.out_channels for block in network.stages] == [16, 32, 64, 128]


def test_top_left_pooling_is_the_authors_average_pooling():
    """Their avg_pool2d of 7 on 12 x 12 maps gives one value: the first 7 rows and columns."""
    torch.manual_seed(0)
    network = backbones.get("resnet18-topleft7")(128).eval()
    maps = []
    network.stages.register_forward_hook(lambda module, inputs, output: maps.append(output))
    with torch.no_grad():
        features = network.features(torch.randn(1, 3, 96, 96))
    assert maps[0].shape == (1, 512, 12, 12)
    expected = F.avg_pool2d(maps[0], 7)
    assert expected.shape == (1, 512, 1, 1)
    torch.testing.assert_close(features, expected.flatten(1))
    assert not torch.allclose(features, maps[0].mean((2, 3)), rtol=1e-2)


def test_only_the_pooling_differs():
    """A map that the window covers is pooled whole; the weights have the same names."""
    torch.manual_seed(0)
    window, whole = backbones.get("resnet18-topleft7")(8), backbones.get("resnet18")(8)
    whole.load_state_dict(window.state_dict())
    images = torch.randn(2, 3, 56, 56)
    torch.testing.assert_close(window.eval()(images), whole.eval()(images))


@pytest.mark.parametrize("shape", [(32, 32), (48, 96), (96, 48)])
def test_maps_smaller_than_the_window_are_refused(shape):
    network = backbones.get("resnet18-topleft7")(8).eval()
    words = rf"7 x 7 or more to pool, found .* from images of {shape[0]} x {shape[1]} pixels"
    with pytest.raises(UsageProblem, match=words):
        network(torch.randn(1, 3, *shape))
