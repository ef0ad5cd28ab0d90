"""timm's networks as backbones; nothing is downloaded."""

import sys

import pytest
import torch

from benchmarks import backbones
from benchmarks.backbones.testing import check_backbone
from benchmarks.common.errors import DataProblem, UsageProblem

try:
    import timm
except ImportError:
    timm = None

needs_timm = pytest.mark.skipif(timm is None, reason="timm is not installed")


@needs_timm
@pytest.mark.parametrize(
    ("network", "side"),
    [("resnet10t", 32), ("mobilenetv3_small_050", 32), ("vit_tiny_patch16_224", 224)],
)
def test_its_networks_keep_the_contract(network, side):
    check_backbone(backbones.get(f"timm:{network}"), side)


@needs_timm
def test_features_are_what_timms_classifier_takes():
    torch.manual_seed(0)
    network = backbones.get("timm:resnet10t")(8).eval()
    torch.manual_seed(0)
    theirs = timm.create_model("resnet10t", num_classes=0, pretrained=False).eval()
    images = torch.randn(2, 3, 40, 40)
    assert torch.equal(network.features(images), theirs(images))
    assert network.feature_size == theirs.num_features


@needs_timm
def test_its_version_is_a_part_of_a_runs_key():
    assert backbones.get("timm:resnet10t").code == [f"timm {timm.__version__}"]
    assert backbones.get("resnet18").code == []


@needs_timm
@pytest.mark.parametrize("name", ["resnt18", "resnet18.no_such", ""])
def test_an_unknown_name_gets_near_matches(name):
    with pytest.raises(UsageProblem, match=r"Unknown network of timm .*list_models\(\)") as raised:
        backbones.get(f"timm:{name}")
    assert "\n" not in str(raised.value)
    if name:
        assert "timm:resnet18" in str(raised.value)


@needs_timm
def test_images_of_a_size_that_a_transformer_cannot_take_are_one_line():
    network = backbones.get("timm:vit_tiny_patch16_224")(8)
    with pytest.raises(UsageProblem, match=r"timm:vit_tiny.*32 x 32 pixels.*recipe\.image_size"):
        network(torch.randn(2, 3, 32, 32))


@needs_timm
def test_weights_of_a_file_fill_the_trunk_on_their_own_scale_of_pixels(tmp_path):
    torch.manual_seed(1)
    theirs = timm.create_model("resnet10t", pretrained=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    backbone = backbones.get("timm:resnet10t")
    facts = backbone.identify(tmp_path / "w.pth").facts
    assert (facts.file, facts.published) == ("w.pth", False)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    network = backbone(8, tmp_path / "w.pth", (mean, std)).eval()
    pixels = torch.rand(2, 3, 32, 32)

    def normalised(mean, std):
        centre, deviation = torch.tensor([mean, std]).view(2, 3, 1, 1)
        return (pixels - centre) / deviation

    config = theirs.pretrained_cfg
    expected = theirs.forward_head(
        theirs.forward_features(normalised(config["mean"], config["std"])), pre_logits=True
    )
    found = network.features(normalised(mean, std))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@needs_timm
def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataProblem, match="of another network"):
        backbones.get("timm:resnet10t")(8, tmp_path / "w.pth")


def test_without_the_package_there_is_one_line_that_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageProblem, match=r"pip install 'instbench\[timm\]'") as raised:
        backbones.get("timm:resnet18")
    assert "\n" not in str(raised.value)


@needs_timm
def test_a_run_trains_one(bench, tmp_path):
    small = ["--set", "recipe.backbone=timm:test_resnet", "--epochs", "1"]
    words = ["--methods", "invaspread", "--recipe", str(tmp_path / "tiny.yaml"), *small]
    assert "done: invaspread" in bench("run", *words).output
    wrong = ["--methods", "invaspread", "--set", "recipe.backbone=timm:resnt18"]
    assert "Did you mean timm:resnet18" in bench("run", *wrong, status=2).output
