import pytest
import torch

from benchmarks.backbones import BACKBONES, resnet


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("size", [8, 32])
def test_shapes(name, size):
    network = BACKBONES[name](16)
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
