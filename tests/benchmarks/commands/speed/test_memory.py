import sys

import numpy as np
import pytest
import torch

from benchmarks.commands.speed import memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_counts_what_was_used_and_is_forgotten():
    device = torch.device("cpu")
    memory.forget_peak(device)
    before = memory.peak(device)
    block = np.ones(1 << 28, np.uint8)  # 256 MiB
    del block
    during = memory.peak(device)
    memory.forget_peak(device)
    assert during - before > 200 << 20
    assert memory.peak(device) < during - (100 << 20)


def test_without_proc_there_is_no_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_FORGET", tmp_path / "none" / "either")
    memory.forget_peak(torch.device("cpu"))
    assert np.isnan(memory.peak(torch.device("cpu")))
