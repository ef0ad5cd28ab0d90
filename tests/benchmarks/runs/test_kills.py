"""Sixty processes killed at random moments leave what one undisturbed process leaves."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.data import datasets
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext
from benchmarks.runs.executors.local import execute_all
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read

KILLS = 60
CPU = torch.device("cpu")
UNLIKE = {"seconds", "started", "finished", "slices"}
"""What a record says of time, and of the processes that worked on the run."""


def _plan(tiny_recipe: Path) -> list[RunSpec]:
    data = datasets.get("digits").load(datasets.default_root())
    settings = {"recipe": {"epochs": 12, "evaluate_every": 6, "train_images": 64}}
    recipe = read(str(tiny_recipe)).recipe
    return make_plan(choose(["nce"]), lambda *_: data, recipe, 1, settings, "fp32")


def _place(results: Path) -> RunContext:
    return RunContext(results, CPU, PlainProgress(lambda line: None))


def _left(results: Path) -> dict[str, object]:
    """Return all that finished runs left, but for the times."""
    found: dict[str, object] = {}
    for folder in store.run_folders(results):
        record = store.read_record(folder)
        assert record is not None
        found[f"{folder.name} record"] = record.model_dump(exclude=UNLIKE)
        state = torch.load(folder / store.CHECKPOINT, weights_only=True)
        tensors = dict(state["method"])
        for index, slots in state["optimizer"].items():
            tensors |= {f"{index} {name}": slot for name, slot in slots.items()}
        arrays = store.read_arrays(folder, store.EMBEDDINGS) or {}
        arrays |= {name: tensor.numpy() for name, tensor in tensors.items()}
        for name, array in arrays.items():
            found[f"{folder.name} {name}"] = (array.dtype.str, array.shape, array.tobytes())
        epochs = store.read_epochs(folder)
        for name in set(epochs) - {"train_seconds", "evaluate_seconds", "images_per_second"}:
            found[f"{folder.name} {name}"] = epochs[name].to_numpy().tobytes()
    return found


def _work_and_be_killed(runs: list[RunSpec], results: Path, after: float) -> bool:
    """Let a child work on the plan and kill it after some seconds; return whether it lived on."""
    child = os.fork()
    if child == 0:
        try:
            execute_all(runs, _place(results))
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.skipif(sys.platform != "linux", reason="kills processes that it forks")
def test_random_kills_change_no_bit_and_leave_nothing_behind(tiny_recipe, tmp_path):
    runs = _plan(tiny_recipe)
    started = time.monotonic()
    execute_all(runs, _place(tmp_path / "undisturbed"))
    taken = time.monotonic() - started
    draws = random.Random(0)

    results, died, rounds = tmp_path / "killed", 0, 0
    while died < KILLS:
        # Each lives for a part of the work; when one finishes it, another folder is begun.
        finished = _work_and_be_killed(runs, results, draws.uniform(0.0, 0.4) * min(taken, 3.0))
        died += not finished
        if finished:
            rounds += 1
            assert not list(results.rglob("*.part"))
            assert _left(results) == _left(tmp_path / "undisturbed")
            results = tmp_path / f"killed-{rounds}"
    outcome = execute_all(runs, _place(results))
    assert not outcome.failed
    assert not list(results.rglob("*.part"))
    assert not list(results.rglob("*.damaged*"))
    assert not list(results.rglob(store.FAILED))
    assert _left(results) == _left(tmp_path / "undisturbed")
