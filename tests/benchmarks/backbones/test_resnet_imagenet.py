import pytest
import torch
import torchvision

from benchmarks.backbones.resnet_imagenet import resnet18_imagenet


def renamed(name: str) -> str:
    """Return torchvision's name of an entry of the suite's state."""
    parts = name.split(".")
    if parts[0] != "stages":
        heads = {"conv": "conv1", "bn": "bn1", "head": "fc"}
        return ".".join([heads[parts[0]], *parts[1:]])
    block = int(parts[1])
    rest = ".".join(parts[2:]).replace("shortcut", "downsample")
    return f"layer{block // 2 + 1}.{block % 2}.{rest}"


@pytest.mark.parametrize("size", [224, 227])
def test_it_is_torchvisions_resnet18(size):
    torch.manual_seed(0)
    network = resnet18_imagenet(16).eval()
    reference = torchvision.models.resnet18(num_classes=16).eval()
    reference.load_state_dict({renamed(k): v for k, v in network.state_dict().items()})
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference(images))
        assert network.features(images).shape == (2, 512)
    assert network.embedding_size == 16
