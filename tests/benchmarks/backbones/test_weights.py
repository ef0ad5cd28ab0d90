import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.backbones import weights
from benchmarks.backbones.googlenet import CaffeTrunk, googlenet_torchvision
from benchmarks.backbones.weight_files import load, read
from benchmarks.backbones.weights import GOOGLENET_CAFFE, GOOGLENET_TORCHVISION, identify
from benchmarks.common.errors import DataProblem

ANY_DIGEST = replace(GOOGLENET_CAFFE, digest="")


def write(state: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{name: values.numpy() for name, values in state.items()})
    elif path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    elif path.suffix == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, values in state.items():
                file[f"data_0/{name}/data_0"] = values.numpy()
    else:
        torch.save(state, path)
    return path


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


def assert_same(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    for name, values in network.state_dict().items():
        assert torch.equal(values, state[name]), name


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".pth", ".pt", ".safetensors"])
def test_what_is_written_is_read(tmp_path, suffix):
    source, target = CaffeTrunk(), CaffeTrunk()
    path = write(source.state_dict(), tmp_path / f"file{suffix}")
    facts = load(target, path, ANY_DIGEST)
    assert_same(target, source.state_dict())
    assert facts.file == path.name
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.published == (suffix == ".h5")


def test_quoted_names_of_later_hickles_are_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data/'conv1.7x7_s2.bias'/data"] = np.arange(3.0)
    found = read(tmp_path / "x.h5")
    assert found.keys() == {"conv1.7x7_s2.bias"}
    assert found["conv1.7x7_s2.bias"].tolist() == [0, 1, 2]


def test_classifiers_and_auxiliary_heads_are_left_out(tmp_path):
    source, target = googlenet_torchvision().trunk, googlenet_torchvision().trunk
    extra = {name: torch.zeros(2) for name in ("fc.weight", "aux1.conv.conv.weight", "aux2.x")}
    path = write(source.state_dict() | extra, tmp_path / "x.npz")
    load(target, path, GOOGLENET_TORCHVISION)
    assert_same(target, source.state_dict())


def test_counts_of_batches_may_be_missing(tmp_path):
    source, target = small(), small()
    state = {k: v for k, v in source.state_dict().items() if "batches" not in k}
    load(target, write(state, tmp_path / "x.npz"), ANY_DIGEST)
    assert_same(target, source.state_dict())


# Digests


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("digits", [8, None])
def test_published_file_is_known_by_its_digest(tmp_path, algorithm, digits):
    path = write(small().state_dict(), tmp_path / "x.pth")
    content = path.read_bytes()
    digest = hashlib.new(algorithm, content).hexdigest()[:digits]
    published = replace(ANY_DIGEST, file="y.pth", algorithm=algorithm, digest=digest)
    facts = load(small(), path, published)
    assert facts == weights.WeightsFacts("x.pth", hashlib.sha256(content).hexdigest(), True)
    path.write_bytes(content + b"\0")
    words = rf"expected {algorithm.upper()} {digest} \(y.pth\), found [0-9a-f]+ \([\d,]+ bytes\)"
    with pytest.raises(DataProblem, match=words):
        identify(path, published)


@pytest.mark.parametrize("published", [GOOGLENET_CAFFE, GOOGLENET_TORCHVISION])
def test_another_file_in_the_published_format_is_refused(tmp_path, published):
    path = tmp_path / published.file
    path.write_bytes(b"something else")
    with pytest.raises(DataProblem, match=f"expected .* {published.digest} .*--weights FILE"):
        load(small(), path, published)


# Errors: each leaves the network as it was


def refused(path: Path, words: str, published: weights.Published = ANY_DIGEST) -> None:
    network = small()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with pytest.raises(DataProblem, match=words):
        load(network, path, published)
    assert_same(network, before)


def test_missing_file_names_its_source_and_the_option(tmp_path):
    refused(
        tmp_path / "nowhere.h5",
        "nowhere.h5: no such file. Get googlenet.h5 from https://.* with --weights FILE",
    )


def test_unknown_format(tmp_path):
    path = tmp_path / "x.caffemodel"
    path.touch()
    refused(path, r"expected a file of .h5, .npz, .pth, .*, found '.caffemodel'")


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".pth", ".safetensors"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_file_cut_short(tmp_path, suffix, left):
    path = write(small().state_dict(), tmp_path / f"x{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    refused(path, rf"x{suffix}: cannot be read \(.+\)")


@pytest.mark.parametrize(("suffix", "package"), [(".h5", "h5py"), (".safetensors", "safetensors")])
def test_missing_package_is_named(tmp_path, monkeypatch, suffix, package):
    for name in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"x{suffix}"
    path.touch()
    refused(path, f"reading {suffix} needs the package {package}; pip install {package}")


class Planted:
    """Runs code when unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle was run')",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(2)], "expected a dictionary of tensors by name, found list"),
        ({"state_dict": {}, "epoch": 3}, "found other things under 'state_dict', 'epoch'"),
        ({"x": Planted()}, "cannot be read"),
    ],
)
def test_file_of_something_else(tmp_path, content, words):
    path = tmp_path / "x.pth"
    torch.save(content, path)
    refused(path, words)


def test_pickled_arrays_are_not_opened(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([Planted()], dtype=object))
    refused(tmp_path / "x.npz", "cannot be read")


def test_weights_of_another_network_name_the_first_entries(tmp_path):
    state = small().state_dict()
    state["0.weight"] = torch.zeros(2, 3, 5, 5)
    del state["1.bias"]
    state |= {f"layer{i}": torch.zeros(1) for i in range(5)}
    refused(
        write(state, tmp_path / "x.npz"),
        r"of another network; missing: 1\.bias; "
        r"not expected: layer0, layer1, layer2 and 2 more; of other shapes: 0\.weight "
        r"\(expected \(2, 3, 3, 3\), found \(2, 3, 5, 5\)\)\. Get .* --weights FILE",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tmp_path, value):
    state = small().state_dict()
    state["0.bias"][1] = value
    refused(write(state, tmp_path / "x.npz"), r"not finite: 0\.bias\.")


def test_the_two_googlenets_do_not_take_each_others_weights(tmp_path):
    path = write(CaffeTrunk().state_dict(), tmp_path / "x.npz")
    words = r"missing: conv1\.conv\.weight, .* more; not expected: conv1\.7x7_s2\.weight"
    with pytest.raises(DataProblem, match=words):
        load(googlenet_torchvision().trunk, path, GOOGLENET_TORCHVISION)
