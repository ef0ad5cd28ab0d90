import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks import checkpoints
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
        }
    )


def trained(name: str = "npsoftmax"):
    torch.manual_seed(0)
    method = get(name)(nn.Linear(3, 4), instances=6)
    optimizer = torch.optim.SGD(method.parameter_groups(), lr=0.1, momentum=0.9)
    for _ in range(2):
        method.encoder(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return method, optimizer


def test_round_trip_is_exact(tmp_path):
    method, optimizer = trained()
    checkpoints.save(tmp_path, KEY, method, optimizer, history())
    found = checkpoints.load(tmp_path, KEY, CPU)
    assert found.epochs_done == 2
    pd.testing.assert_frame_equal(found.history, history(), check_exact=True)
    other, other_optimizer = trained()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    checkpoints.restore(found, other, other_optimizer)
    for name, tensor in method.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    for one, two in zip(method.parameters(), other.parameters(), strict=True):
        first, second = optimizer.state[one], other_optimizer.state[two]
        assert torch.equal(first["momentum_buffer"], second["momentum_buffer"])


def test_holds_tensors_only(tmp_path):
    checkpoints.save(tmp_path, KEY, *trained(), history())
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for child in value.values() for leaf in leaves(child)]
        return [value]

    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves(content))


def test_no_checkpoint(tmp_path):
    assert checkpoints.load(tmp_path, KEY, CPU) is None


def test_damaged_checkpoints(tmp_path):
    checkpoints.save(tmp_path, KEY, *trained(), history())
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(
            checkpoints.DamagedCheckpoint, match=r"checkpoint\.pt: cannot be loaded"
        ):
            checkpoints.load(tmp_path, KEY, CPU)
    path.write_bytes(whole)
    with pytest.raises(checkpoints.DamagedCheckpoint, match="belongs to run 0f0f0f0f"):
        checkpoints.load(tmp_path, "aa" * 32, CPU)


def test_checkpoint_of_another_network(tmp_path):
    checkpoints.save(tmp_path, KEY, *trained(), history())
    other = get("npsoftmax")(nn.Linear(3, 5), instances=6)
    with pytest.raises(checkpoints.DamagedCheckpoint, match="does not fit npsoftmax"):
        checkpoints.restore(checkpoints.load(tmp_path, KEY, CPU), other, None)
