"""One run's life: a kill in the middle of an epoch, damaged files, failures."""

import itertools
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.common.errors import OutOfTime, RunFailed
from benchmarks.data import datasets
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext, execute, finished_record
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read
from helpers.old_records import RECORD_1
from methods import Method, names

CPU = torch.device("cpu")
TIMES = {"train_seconds", "evaluate_seconds", "images_per_second"}


def killed_at_step(run: RunSpec, context: RunContext, step: int) -> int:
    """Execute a run in a child process that dies after a step; return the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            _die_after(run.method, step)
            execute(run, context)
        finally:
            os._exit(0)  # it lived on
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _die_after(method: type[Method], step: int) -> None:
    """Let this process be killed when a method has taken so many steps."""
    steps, after_step = itertools.count(1), method.after_step

    def counting(self, batch):
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        after_step(self, batch)

    method.after_step = counting


def plan_one(tiny_recipe: Path, name: str, **recipe) -> RunSpec:
    data = datasets.get("digits").load(datasets.default_root())
    settings = {"recipe": recipe}
    (run,) = make_plan(
        choose([name]), lambda *_: data, read(str(tiny_recipe)).recipe, 1, settings, "fp32"
    )
    return run


def context_of(results: Path, said: list[str] | None = None) -> RunContext:
    lines = said if said is not None else []
    return RunContext(results, CPU, PlainProgress(lines.append))


def outcome_of(folder: Path) -> tuple[dict, dict, dict]:
    """Everything of a finished run that must not depend on what happened on the way."""
    record = json.loads((folder / store.RECORD).read_text())
    for name in ("seconds", "started", "finished", "environment", "slices"):
        record.pop(name)
    content = torch.load(folder / store.CHECKPOINT, weights_only=True)
    state = {**content["method"]}
    for index, slots in content["optimizer"].items():
        state |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    epochs = store.read_epochs(folder)
    columns = {c: epochs[c].to_numpy() for c in epochs if c not in TIMES}
    return record, state, columns


def assert_same_bits(first: Path, second: Path) -> None:
    record, state, columns = outcome_of(first)
    other_record, other_state, other_columns = outcome_of(second)
    assert record == other_record
    assert state.keys() == other_state.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other_state[name]), name
    assert columns.keys() == other_columns.keys()
    for name, column in columns.items():
        assert np.array_equal(column, other_columns[name], equal_nan=True), name
    with (
        np.load(first / store.EMBEDDINGS) as one,
        np.load(second / store.EMBEDDINGS) as two,
    ):
        assert set(one) == set(two)
        assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("name", [n for n in names() if n != "random-cnn"])
def test_kill_in_an_epoch_then_the_same_command_gives_the_same_bits(name, tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, name)
    folder = context_of(tmp_path / "killed").folder(run)
    # 6 or 7 steps an epoch; MOM takes three times as many, Cyclic twice
    step = {"mom": 30, "cyclic": 20}.get(name, 10)
    assert killed_at_step(run, context_of(tmp_path / "killed"), step) == signal.SIGKILL
    assert len(store.read_epochs(folder)) == 1  # it died in epoch 2
    assert not (folder / store.RECORD).exists()

    execute(run, context_of(tmp_path / "killed"))
    execute(run, context_of(tmp_path / "undisturbed"))
    assert_same_bits(folder, context_of(tmp_path / "undisturbed").folder(run))


def test_finished_training_without_record_is_only_recorded(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "nce")
    context = context_of(tmp_path)
    record = execute(run, context)
    folder = context.folder(run)
    (folder / store.RECORD).unlink()  # as if the disk had been full at the last write
    (folder / store.EMBEDDINGS).unlink()
    again = execute(run, context)
    assert again.final == record.final
    assert again.seconds.train == record.seconds.train  # nothing was trained


def test_damaged_checkpoint_is_named_set_aside_and_the_run_starts_anew(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "invaspread")
    context = context_of(tmp_path)
    expected = execute(run, context)
    folder = context.folder(run)
    (folder / store.RECORD).unlink()
    (folder / store.CHECKPOINT).write_bytes(b"cut short")
    said: list[str] = []
    again = execute(run, context_of(tmp_path, said))
    assert again.final == expected.final
    assert any("checkpoint.pt: cannot be loaded" in line for line in said)
    assert (folder / "checkpoint.pt.damaged").exists()


def test_damaged_record_is_completed_from_the_checkpoint(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "invaspread")
    context = context_of(tmp_path)
    expected = execute(run, context)
    (context.folder(run) / store.RECORD).write_text("{}")
    said: list[str] = []
    assert finished_record(context.folder(run), context_of(tmp_path, said).progress) is None
    assert "set aside as run.json.damaged" in said[0]
    assert execute(run, context).final == expected.final


def test_record_keeps_everything_that_was_declared(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "npsoftmax", epochs=1)
    context = context_of(tmp_path)
    record = execute(run, context)
    assert record.method.hyper_parameters == dict(run.hyper_parameters)
    assert record.recipe["epochs"] == 1
    assert record.recipe_changed == {"epochs": 1}
    assert record.protocols["knn@embedding"] == "knn-20-0.1@embedding"
    assert record.environment.packages["torch"]
    assert record.images_seen == 200  # one view, last batch kept
    assert {"knn@memory", "knn@features"} <= record.final.measurements.keys()
    assert record.best.value == record.value("knn")
    assert store.read_record(context.folder(run)) == record
    with np.load(context.folder(run) / store.EMBEDDINGS) as arrays:
        assert arrays["bank"].shape == (200, 16)
        assert arrays["test"].shape == (450, 16)
        assert arrays["bank_labels"].shape == (200,)


def test_infinite_loss_stops_the_run_and_keeps_the_last_checkpoint(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "exemplar", lr_factors={0: 1.0, 1: 1e30})
    context = context_of(tmp_path)
    with pytest.raises(RunFailed, match=r"loss is (nan|inf) at epoch 2, step \d"):
        execute(run, context)
    folder = context.folder(run)
    assert len(store.read_epochs(folder)) == 1
    failed = json.loads((folder / "failed.json").read_text())
    assert failed["method"] == "exemplar"
    assert "epoch 2" in failed["message"]
    state = torch.load(folder / store.CHECKPOINT, weights_only=True)["method"]
    assert all(torch.isfinite(tensor.float()).all() for tensor in state.values())


def test_mistake_in_a_method_is_one_line_with_the_traceback_on_disk(tiny_recipe, tmp_path):
    class Mistaken(Method):
        paper = "none"

        def loss(self, batch):
            return self.encoder(batch.views[2])  # there are only two

    Mistaken.name = "mistaken"  # set later: this one is not registered
    run = replace(plan_one(tiny_recipe, "triplet"), method=Mistaken, hyper_parameters={})
    context = context_of(tmp_path)
    with pytest.raises(
        RunFailed, match=r"IndexError: tuple index out of range \(test_execute.py:\d+\)"
    ):
        execute(run, context)
    assert "views[2]" in (context.folder(run) / "traceback.txt").read_text()


def interrupted(run: RunSpec, results: Path, said: list[str] | None = None) -> Path:
    """Stop a run after its next epoch; return its folder."""
    context = replace(context_of(results, said), deadline=0.0)
    with pytest.raises(OutOfTime):
        execute(run, context)
    return context.folder(run)


def test_going_on_under_the_same_conditions_gives_the_same_bits_without_a_word(
    tiny_recipe, tmp_path
):
    run, said = plan_one(tiny_recipe, "mom"), []
    folder = interrupted(run, tmp_path / "resumed")
    record = execute(run, context_of(tmp_path / "resumed", said))
    assert not any("resumed" in line for line in said)
    assert [(part.first_epoch, part.last_epoch) for part in record.slices] == [(1, 1), (2, 3)]
    seconds = sum(part.seconds for part in record.slices)
    assert seconds == pytest.approx(record.seconds.train + record.seconds.evaluate, abs=0.01)
    execute(run, context_of(tmp_path / "whole"))
    assert_same_bits(folder, context_of(tmp_path / "whole").folder(run))


def test_going_on_with_other_threads_is_said_and_the_record_lists_both(tiny_recipe, tmp_path):
    run, said = plan_one(tiny_recipe, "nce"), []
    interrupted(run, tmp_path)
    torch.set_num_threads(2)
    interrupted(run, tmp_path, said)
    torch.set_num_threads(1)
    record = execute(run, context_of(tmp_path, said))
    told = [line for line in said if "under other conditions" in line]
    assert ["threads 1, now 2" in line for line in told] == [True, False]
    assert "threads 2, now 1" in told[1]
    found = [(part.first_epoch, part.last_epoch, part.threads) for part in record.slices]
    assert found == [(1, 1, 1), (2, 2, 2), (3, 3, 1)]
    assert store.read_record(context_of(tmp_path).folder(run)) == record


def test_a_checkpoint_without_slices_goes_on(tiny_recipe, tmp_path):
    run, said = plan_one(tiny_recipe, "nce"), []
    path = interrupted(run, tmp_path) / store.CHECKPOINT
    content = torch.load(path, weights_only=True)
    del content["slices"]  # as older versions wrote it
    torch.save(content, path)
    record = execute(run, context_of(tmp_path, said))
    assert any("does not say with which device" in line for line in said)
    assert [(part.first_epoch, part.last_epoch) for part in record.slices] == [(2, 3)]


def test_a_record_without_slices_is_read(tmp_path):
    (tmp_path / store.RECORD).write_text(json.dumps(RECORD_1))
    assert store.read_record(tmp_path).slices == ()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.00 GiB for an array"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3 bytes."),
    ],
)
def test_memory_that_is_not_enough_is_one_line_without_a_traceback(
    error, tiny_recipe, tmp_path, monkeypatch
):
    run = plan_one(tiny_recipe, "invaspread")

    def loss(self, batch):
        raise error

    monkeypatch.setattr(run.method, "loss", loss)
    with pytest.raises(RunFailed, match=r"memory: 3.* were asked for at once; set a smaller batch"):
        execute(run, context_of(tmp_path))
    folder = context_of(tmp_path).folder(run)
    assert "memory" in json.loads((folder / store.FAILED).read_text())["message"]
    assert not (folder / "traceback.txt").exists()
