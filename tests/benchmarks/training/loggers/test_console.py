import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks.training.loggers.console import BarProgress, PlainProgress, duration

ROW = {"epoch": 1, "loss": 2.5, "knn": 41.25, "images_per_second": 2034.4}


def drive(progress) -> None:
    with progress:
        progress.run_started("invaspread s0")
        progress.epoch_started(1, 2, 10)
        progress.stepped(10, 2.5)
        progress.evaluating()
        progress.epoch_ended(ROW)
        progress.epoch_started(2, 2, 10)
        progress.stepped(10, 2.0)
        progress.epoch_ended({**ROW, "epoch": 2, "knn": np.nan})
        progress.run_ended("done: invaspread s0")


def test_plain_lines_hold_loss_knn_speed_and_time_left():
    lines: list[str] = []
    drive(PlainProgress(lines.append))
    assert lines[0].startswith("invaspread s0  epoch 1/2  loss 2.5000  kNN 41.2  2,034 images/s")
    assert "left 0:0" in lines[0]
    assert "kNN" not in lines[1]  # not evaluated: nothing is claimed
    assert lines[2] == "done: invaspread s0"


def test_bars_draw_in_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    drive(BarProgress(1, console))
    drawn = console.file.getvalue()
    assert "invaspread s0" in drawn
    assert "kNN 41.2" in drawn
    assert "1/1" in drawn


def test_run_without_training_has_no_time_left():
    lines: list[str] = []
    progress = PlainProgress(lines.append)
    progress.run_started("random-cnn s0")
    progress.epoch_ended({"epoch": 0, "loss": np.nan, "knn": 30.0})
    assert lines == ["random-cnn s0  epoch 0/0  kNN 30.0  left 0:00"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3661.4, "1:01:01")])
def test_duration(seconds, text):
    assert duration(seconds) == text
