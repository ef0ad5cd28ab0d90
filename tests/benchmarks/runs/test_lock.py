"""Locks, failures of other processes, and output that goes away: what several processes share."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
import torch
from filelock import FileLock

from benchmarks.commands.list import runs as list_runs
from benchmarks.common.errors import RunFailed
from benchmarks.data import datasets
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext
from benchmarks.runs.executors import local
from benchmarks.runs.executors.local import execute_all
from benchmarks.runs.lock import LOCK
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read


@pytest.fixture
def run(tiny_recipe) -> RunSpec:
    data = datasets.get("digits").load(datasets.default_root())
    recipe = read(str(tiny_recipe)).recipe
    (planned,) = make_plan(choose(["random-cnn"]), lambda *_: data, recipe, 1, {}, "fp32")
    return planned


def place_of(results: Path, said: list[str] | None = None) -> RunContext:
    lines = [] if said is None else said
    return RunContext(results, torch.device("cpu"), PlainProgress(lines.append))


def test_finished_run_is_reused_without_writing(run, tmp_path, monkeypatch):
    place = place_of(tmp_path)
    execute_all([run], place)
    folder = place.folder(run)
    (folder / LOCK).unlink()
    (folder / LOCK).mkdir()  # cannot be locked

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert execute_all([run], place).reused == [run]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOLCK, "No locks available"),
        NotImplementedError("no locks here"),
    ],
)
def test_lock_that_cannot_be_had_is_one_line(run, tmp_path, monkeypatch, error):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    outcome = execute_all([run], place_of(tmp_path))
    (message,) = outcome.failed.values()
    assert "cannot lock" in message
    assert "--results" in message
    assert len(message.splitlines()) == 1
    assert not (place_of(tmp_path).folder(run) / store.FAILED).exists()


def test_lock_that_is_a_folder_is_one_line(run, tmp_path):
    place = place_of(tmp_path)
    (place.folder(run) / LOCK).mkdir(parents=True)
    (message,) = execute_all([run], place).failed.values()
    assert "cannot lock" in message


def test_lock_of_a_process_that_died_holds_nobody_up(run, tmp_path):
    place = place_of(tmp_path)
    place.folder(run).mkdir(parents=True)
    (place.folder(run) / LOCK).write_text("12345")
    assert execute_all([run], place).done == [run]


def _fail_as_another_process(run: RunSpec, place: RunContext, key: str) -> None:
    folder = place.folder(run)
    with store.atomic_path(folder / store.FAILED) as part:
        part.write_text(json.dumps({"key": key, "message": "loss is nan"}))


@pytest.mark.parametrize("same", [True, False])
def test_run_that_fails_in_another_process_meanwhile_is_not_repeated(
    run, tmp_path, monkeypatch, same
):
    monkeypatch.setattr(local, "POLL_SECONDS", 0.05)
    said: list[str] = []
    place = place_of(tmp_path, said)
    folder = place.folder(run)
    folder.mkdir(parents=True)
    lock = FileLock(folder / LOCK, thread_local=False)
    lock.acquire()

    def other_process() -> None:
        while not any("waiting" in line for line in said):
            time.sleep(0.02)
        _fail_as_another_process(run, place, run.key if same else "0" * 64)
        lock.release()

    thread = threading.Thread(target=other_process)
    thread.start()
    outcome = execute_all([run], place)
    thread.join()
    if same:
        assert "loss is nan" in outcome.failed[run.title]
        assert "next command tries again" in outcome.failed[run.title]
    assert outcome.done == ([] if same else [run])


def test_a_later_command_tries_a_failed_run_again(run, tmp_path, monkeypatch):
    place = place_of(tmp_path)
    _fail_as_another_process(run, place, run.key)
    assert execute_all([run], place).done == [run]
    assert not (place.folder(run) / store.FAILED).exists()


def test_a_failure_keeps_its_key(run, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise RunFailed("no")

    monkeypatch.setattr("benchmarks.runs.execute._train_and_evaluate", fail)
    place = place_of(tmp_path)
    assert execute_all([run], place).failed
    assert store.read_failure(place.folder(run))["key"] == run.key


def test_a_record_of_a_newer_version_is_not_overwritten(run, tmp_path):
    place = place_of(tmp_path)
    execute_all([run], place)
    path = place.folder(run) / store.RECORD
    content = json.loads(path.read_text()) | {"schema_version": store.SCHEMA_VERSION + 1}
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    (message,) = execute_all([run], place).failed.values()
    assert "newer version" in message
    assert path.read_bytes() == before
    assert "newer version" in list_runs(tmp_path)[0]


def test_damaged_epochs_are_set_aside_and_made_anew(run, tmp_path):
    said: list[str] = []
    place = place_of(tmp_path, said)
    execute_all([run], place)
    folder = place.folder(run)
    (folder / store.EPOCHS).write_bytes(b"PAR1 cut")
    assert execute_all([run], place).done == [run]
    assert any("epochs.parquet.damaged" in line for line in said)
    assert len(store.read_epochs(folder)) == 1
    (folder / store.EPOCHS).unlink()
    assert execute_all([run], place).done == [run]


def test_list_tells_who_works_and_changes_nothing(run, tmp_path):
    folder = place_of(tmp_path).folder(run)
    folder.mkdir(parents=True)
    assert "interrupted, no epoch done" in list_runs(tmp_path)[0]
    with FileLock(folder / LOCK):
        assert "in progress, no epoch done" in list_runs(tmp_path)[0]
    before = sorted(tmp_path.rglob("*"))
    (folder / store.FAILED).write_text('{"message": "a\\nb"}')
    assert list_runs(tmp_path)[0].endswith("failed: a b")
    for content in ("", "{", "[]", "{}", '{"message": 3}'):
        (folder / store.FAILED).write_text(content)
        assert "failed.json cannot be read" in list_runs(tmp_path)[0]
    (folder / store.FAILED).unlink()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", ["| head -1", "> /dev/full", "2>&-", ">&- 2>&-", "2> /dev/full"])
def test_lost_output_decides_no_run(tiny_recipe, tmp_path, words):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = f"'{sys.executable}' -m benchmarks run --methods nce --recipe '{tiny_recipe}'"
    command += f" --results '{tmp_path}/r' {words}"
    process = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert len(process.stderr.splitlines()) <= 1
    assert "Traceback" not in process.stderr
    (folder,) = store.run_folders(tmp_path / "r")
    assert store.read_record(folder) is not None
    assert not (folder / store.FAILED).exists()
