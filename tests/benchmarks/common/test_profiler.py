import pytest
import torch

from benchmarks.common import profiler
from benchmarks.common.profiler import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    moments = iter([10.0, 11.0, 11.5, 14.0, 20.0, 20.25])
    monkeypatch.setattr(profiler.time, "perf_counter", lambda: next(moments))
    return Stopwatch(torch.device("cpu"))


def test_laps_of_a_phase_add_up(clock):
    for phase in ("load", "train", "load"):
        clock.lap(phase)
    assert clock.seconds() == {"load": 1.0 + 2.5, "train": 0.5}


def test_start_forgets(clock):
    clock.lap("load")
    clock.start()
    clock.lap("train")
    assert clock.seconds() == {"train": 2.5}


def test_without_a_device_nothing_is_measured():
    clock = Stopwatch()
    clock.lap("load")
    assert clock.seconds() == {}
