import pytest
import torch

from benchmarks import backbones
from benchmarks.common.errors import DataProblem, UsageProblem

PRETRAINED = ["googlenet", "googlenet-torchvision"]


@pytest.fixture(params=PRETRAINED)
def pretrained(request, tmp_path):
    """A pre-trained backbone, a file of weights for it, and the network they were taken from."""
    backbone = backbones.get(request.param)
    torch.manual_seed(5)  # other weights than those of the tests' own networks
    source, path = backbone.build(8), tmp_path / "weights.pt"
    torch.save(source.trunk.state_dict(), path)
    return backbone, path, source


def test_names_are_the_keys():
    assert all(backbones.get(name).name == name for name in backbones.names())
    assert {name for name in backbones.names() if backbones.get(name).weights} == {*PRETRAINED}


def test_only_torchvisions_googlenet_is_not_comparable():
    marked = {name for name in backbones.names() if not backbones.get(name).comparable}
    assert marked == {"googlenet-torchvision"}


@pytest.mark.parametrize("name", PRETRAINED)
def test_missing_weights_are_an_error_and_no_random_start(name):
    backbone = backbones.get(name)
    words = (
        f"{name} starts from pre-trained weights, and none are given. Get {backbone.weights.file}"
    )
    with pytest.raises(DataProblem, match=f"{words} from https://.* with --weights FILE"):
        backbone(128)


def test_weights_fill_all_but_the_head(pretrained):
    backbone, path, source = pretrained
    torch.manual_seed(1)
    network = backbone(8, path)
    for name, values in source.trunk.state_dict().items():
        assert torch.equal(network.trunk.state_dict()[name], values), name
    assert network.head.weight.shape == (8, 1024)
    assert not torch.equal(network.head.weight, source.head.weight)
    torch.manual_seed(1)
    assert torch.equal(backbone(8, path).head.weight, network.head.weight)  # by the seed alone


def test_pretrained_networks_are_told_the_normalisation(pretrained):
    backbone, path, _ = pretrained
    pixels = torch.rand(2, 3, 4, 4)

    def seen(network: torch.nn.Module, mean: tuple, std: tuple) -> torch.Tensor:
        centre, deviation = torch.tensor([mean, std]).view(2, 3, 1, 1)
        return network.pixels((pixels - centre) / deviation)

    other = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    told, untold = backbone(8, path, normalisation=other), backbone(8, path)
    imagenet = seen(untold, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(seen(told, *other), imagenet, rtol=0, atol=1e-3)
    assert not torch.allclose(seen(untold, *other), imagenet, atol=0.1)


def test_weights_for_a_network_that_takes_none(tmp_path):
    with pytest.raises(UsageProblem, match=r"resnet18: expected no --weights, .* found .*x.pth"):
        backbones.get("resnet18")(8, tmp_path / "x.pth")


def test_networks_from_scratch_need_no_normalisation():
    network = backbones.get("resnet10-16")(8, normalisation=((0.5,) * 3, (0.5,) * 3))
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 8)
