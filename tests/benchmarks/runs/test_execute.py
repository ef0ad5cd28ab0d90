"""One run's life: a kill in the middle of an epoch, damaged files, failures."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.common.errors import OutOfTime, RunFailed
from benchmarks.data import datasets
from benchmarks.runs import store
from benchmarks.runs.execute import Run, Workplace, carry_out, finished_record
from benchmarks.runs.plan import choose, make_plan
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read
from methods import Method, names

CPU = torch.device("cpu")
TIMES = {"train_seconds", "evaluate_seconds", "images_per_second"}

KILLED_IN_EPOCH_2 = """
import os, signal, sys
from benchmarks.training.trainer import Trainer
from benchmarks.commands.cli import main

class Kill:
    steps = 0

def after_step(self, batch, hook=None):
    Kill.steps += 1
    if Kill.steps == {steps}:
        os.kill(os.getpid(), signal.SIGKILL)
    hook(batch)

build = Trainer.__init__
def patched(self, method, *args, **options):
    hook = method.after_step
    object.__setattr__(method, "after_step", lambda batch: after_step(method, batch, hook))
    build(self, method, *args, **options)

Trainer.__init__ = patched
sys.argv = ["bench", *{words!r}]
main()
"""


def plan_one(tiny_recipe: Path, name: str, **recipe) -> Run:
    data = datasets.get("digits").load(datasets.default_root())
    settings = {"recipe": recipe}
    (run,) = make_plan(
        choose([name]), lambda *_: data, read(str(tiny_recipe)).recipe, 1, settings, "fp32"
    )
    return run


def workplace(results: Path, said: list[str] | None = None) -> Workplace:
    lines = said if said is not None else []
    return Workplace(results, CPU, PlainProgress(lines.append))


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
@pytest.mark.parametrize("name", [n for n in names() if n != "random-cnn"])
def test_kill_in_an_epoch_then_the_same_command_gives_the_same_bits(name, tiny_recipe, tmp_path):
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("this system cannot kill a process so")
    words = ["run", "--methods", name, "--recipe", str(tiny_recipe), "--precision", "fp32",
             "--device", "cpu", "--results", str(tmp_path / "killed")]  # fmt: skip
    steps = 30 if name == "mom" else 10  # 6 or 7 steps an epoch; MOM takes three times as many
    script = KILLED_IN_EPOCH_2.format(steps=steps, words=words)
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run = plan_one(tiny_recipe, name)
    folder = workplace(tmp_path / "killed").folder(run)
    assert len(store.read_epochs(folder)) == 1  # it died in epoch 2
    assert not (folder / store.RECORD).exists()

    carry_out(run, workplace(tmp_path / "killed"))
    carry_out(run, workplace(tmp_path / "undisturbed"))
    assert_same_bits(folder, workplace(tmp_path / "undisturbed").folder(run))


def test_finished_training_without_record_is_only_recorded(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "nce")
    place = workplace(tmp_path)
    record = carry_out(run, place)
    folder = place.folder(run)
    (folder / store.RECORD).unlink()  # as if the disk had been full at the last write
    (folder / store.EMBEDDINGS).unlink()
    again = carry_out(run, place)
    assert again.final == record.final
    assert again.seconds.train == record.seconds.train  # nothing was trained


def test_damaged_checkpoint_is_named_set_aside_and_the_run_starts_anew(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "invaspread")
    place = workplace(tmp_path)
    expected = carry_out(run, place)
    folder = place.folder(run)
    (folder / store.RECORD).unlink()
    (folder / store.CHECKPOINT).write_bytes(b"cut short")
    said: list[str] = []
    again = carry_out(run, workplace(tmp_path, said))
    assert again.final == expected.final
    assert any("checkpoint.pt: cannot be loaded" in line for line in said)
    assert (folder / "checkpoint.pt.damaged").exists()


def test_damaged_record_is_completed_from_the_checkpoint(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "invaspread")
    place = workplace(tmp_path)
    expected = carry_out(run, place)
    (place.folder(run) / store.RECORD).write_text("{}")
    said: list[str] = []
    assert finished_record(place.folder(run), workplace(tmp_path, said).progress) is None
    assert "set aside as run.json.damaged" in said[0]
    assert carry_out(run, place).final == expected.final


def test_record_keeps_everything_that_was_declared(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "npsoftmax", epochs=1)
    place = workplace(tmp_path)
    record = carry_out(run, place)
    assert record.method.hyper_parameters == dict(run.hyper_parameters)
    assert record.recipe["epochs"] == 1
    assert record.recipe_changed == {"epochs": 1}
    assert record.protocols["knn@embedding"] == "knn-20-0.1@embedding"
    assert record.environment.packages["torch"]
    assert record.images_seen == 200  # one view, last batch kept
    assert {"knn@memory", "knn@features"} <= record.final.measurements.keys()
    assert record.best.value == record.value("knn")
    assert store.read_record(place.folder(run)) == record
    with np.load(place.folder(run) / store.EMBEDDINGS) as arrays:
        assert arrays["bank"].shape == (200, 16)
        assert arrays["test"].shape == (450, 16)
        assert arrays["bank_labels"].shape == (200,)


def test_infinite_loss_stops_the_run_and_keeps_the_last_checkpoint(tiny_recipe, tmp_path):
    run = plan_one(tiny_recipe, "exemplar", lr_factors={0: 1.0, 1: 1e30})
    place = workplace(tmp_path)
    with pytest.raises(RunFailed, match=r"loss is (nan|inf) at epoch 2, step \d"):
        carry_out(run, place)
    folder = place.folder(run)
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
    run = plan_one(tiny_recipe, "triplet")
    object.__setattr__(run, "method", Mistaken)
    object.__setattr__(run, "hyper_parameters", {})
    place = workplace(tmp_path)
    with pytest.raises(
        RunFailed, match=r"IndexError: tuple index out of range \(test_execute.py:\d+\)"
    ):
        carry_out(run, place)
    assert "views[2]" in (place.folder(run) / "traceback.txt").read_text()


def interrupted(run: Run, results: Path, said: list[str] | None = None) -> Path:
    """Stop a run after its next epoch; return its folder."""
    place = replace(workplace(results, said), deadline=0.0)
    with pytest.raises(OutOfTime):
        carry_out(run, place)
    return place.folder(run)


def test_going_on_under_the_same_conditions_gives_the_same_bits_without_a_word(
    tiny_recipe, tmp_path
):
    run, said = plan_one(tiny_recipe, "mom"), []
    folder = interrupted(run, tmp_path / "resumed")
    record = carry_out(run, workplace(tmp_path / "resumed", said))
    assert not any("resumed" in line for line in said)
    assert [(part.first_epoch, part.last_epoch) for part in record.slices] == [(1, 1), (2, 3)]
    seconds = sum(part.seconds for part in record.slices)
    assert seconds == pytest.approx(record.seconds.train + record.seconds.evaluate, abs=0.01)
    carry_out(run, workplace(tmp_path / "whole"))
    assert_same_bits(folder, workplace(tmp_path / "whole").folder(run))


def test_going_on_with_other_threads_is_said_and_the_record_lists_both(tiny_recipe, tmp_path):
    run, said = plan_one(tiny_recipe, "nce"), []
    interrupted(run, tmp_path)
    torch.set_num_threads(2)
    interrupted(run, tmp_path, said)
    torch.set_num_threads(1)
    record = carry_out(run, workplace(tmp_path, said))
    told = [line for line in said if "under other conditions" in line]
    assert ["threads 1, now 2" in line for line in told] == [True, False]
    assert "threads 2, now 1" in told[1]
    found = [(part.first_epoch, part.last_epoch, part.threads) for part in record.slices]
    assert found == [(1, 1, 1), (2, 2, 2), (3, 3, 1)]
    assert store.read_record(workplace(tmp_path).folder(run)) == record


def test_a_checkpoint_without_slices_goes_on(tiny_recipe, tmp_path):
    run, said = plan_one(tiny_recipe, "nce"), []
    path = interrupted(run, tmp_path) / store.CHECKPOINT
    content = torch.load(path, weights_only=True)
    del content["slices"]  # as older versions wrote it
    torch.save(content, path)
    record = carry_out(run, workplace(tmp_path, said))
    assert any("does not say with which device" in line for line in said)
    assert [(part.first_epoch, part.last_epoch) for part in record.slices] == [(2, 3)]


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
        carry_out(run, workplace(tmp_path))
    folder = workplace(tmp_path).folder(run)
    assert "memory" in json.loads((folder / store.FAILED).read_text())["message"]
    assert not (folder / "traceback.txt").exists()
