import errno
import zipfile

import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.common.files import Unreadable
from benchmarks.training import checkpoint
from methods import get

CPU = torch.device("cpu")
KEY = "0f" * 32


def history(epochs: int = 2) -> pd.DataFrame:
    rows = range(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": list(rows),
            "images_seen": [100 * e for e in rows],
            "knn": [0.1 + 0.2 * e if e > 1 else float("nan") for e in rows],
            "train_seconds": [1.5 * e for e in rows],
            "evaluate_seconds": [0.5 * e for e in rows],
        }
    )


class Encoder(nn.Linear):
    """The smallest one: a linear layer that states its width."""

    @property
    def embedding_size(self) -> int:
        return self.out_features


def trained(name: str = "npsoftmax"):
    torch.manual_seed(0)
    method = get(name)(Encoder(3, 4), instances=6)
    optimizer = torch.optim.SGD(method.parameter_groups(), lr=0.1, momentum=0.9)
    for _ in range(2):
        method.encoder(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return method, optimizer


def test_round_trip_is_exact(tmp_path):
    method, optimizer = trained()
    checkpoint.save(tmp_path, KEY, method, optimizer, history())
    found = checkpoint.load(tmp_path, KEY, CPU)
    assert found.epochs_done == 2
    pd.testing.assert_frame_equal(found.history, history(), check_exact=True)
    other, other_optimizer = trained()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    checkpoint.restore(found, other, other_optimizer)
    for name, tensor in method.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    for one, two in zip(method.parameters(), other.parameters(), strict=True):
        first, second = optimizer.state[one], other_optimizer.state[two]
        assert torch.equal(first["momentum_buffer"], second["momentum_buffer"])


def test_holds_tensors_only(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for child in value.values() for leaf in leaves(child)]
        return [value]

    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves(content))


def test_no_checkpoint(tmp_path):
    assert checkpoint.load(tmp_path, KEY, CPU) is None


def test_damaged_checkpoints(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(checkpoint.DamagedCheckpoint, match=r"checkpoint\.pt: cannot be loaded"):
            checkpoint.load(tmp_path, KEY, CPU)
    path.write_bytes(whole)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="belongs to run 0f0f0f0f"):
        checkpoint.load(tmp_path, "aa" * 32, CPU)


def test_checkpoint_of_another_network(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    other = get("npsoftmax")(Encoder(3, 5), instances=6)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="does not fit npsoftmax"):
        checkpoint.restore(checkpoint.load(tmp_path, KEY, CPU), other, None)


def test_bit_that_turned_is_found_by_its_checksum(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    path = tmp_path / "checkpoint.pt"
    with zipfile.ZipFile(path) as archive:
        place = next(i for i in archive.infolist() if i.filename.endswith("data/1"))
    content = bytearray(path.read_bytes())
    start = place.header_offset + 26  # the lengths of the name and of the padding
    name, extra = int.from_bytes(content[start : start + 2], "little"), content[start + 2 :]
    begin = place.header_offset + 30 + name + int.from_bytes(extra[:2], "little")
    content[begin] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # does not notice
    with pytest.raises(checkpoint.DamagedCheckpoint, match="wrong checksum"):
        checkpoint.load(tmp_path, KEY, CPU)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EMFILE, "Too many open files"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: you tried to"),
        RuntimeError("CUDA error: unspecified launch failure"),
    ],
)
def test_checkpoint_that_cannot_be_read_just_now_is_no_damaged_one(tmp_path, monkeypatch, error):
    checkpoint.save(tmp_path, KEY, *trained(), history())

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(Unreadable, match="cannot be read just now"):
        checkpoint.load(tmp_path, KEY, CPU)


def test_checkpoint_that_may_not_be_opened_is_no_damaged_one(tmp_path, monkeypatch):
    (tmp_path / "checkpoint.pt").mkdir()  # even root cannot read a folder as a file
    with pytest.raises(Unreadable):
        checkpoint.load(tmp_path, KEY, CPU)


def test_content_that_is_no_checkpoint(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    whole = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for part, value in [
        ("key", torch.zeros(2)),
        ("history", {}),
        ("history", {**whole["history"], "epoch": torch.tensor([1.0, 5.0])}),
        ("history", {k: v for k, v in whole["history"].items() if k != "train_seconds"}),
        ("optimizer", {0: {"momentum_buffer": 1}}),
        ("method", 3),
    ]:
        torch.save({**whole, part: value}, tmp_path / "checkpoint.pt")
        with pytest.raises(checkpoint.DamagedCheckpoint):
            checkpoint.load(tmp_path, KEY, CPU)


def test_momentum_of_another_shape_does_not_fit(tmp_path):
    checkpoint.save(tmp_path, KEY, *trained(), history())
    found = checkpoint.load(tmp_path, KEY, CPU)
    found.optimizer[0]["momentum_buffer"] = torch.zeros(7)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="expected shape"):
        checkpoint.restore(found, *trained())
