import threading
import time
from dataclasses import replace

import pytest
import torch
from filelock import FileLock

from benchmarks.common.errors import OutOfTime
from benchmarks.data import datasets
from benchmarks.runs.execute import RunContext, execute
from benchmarks.runs.executors import local
from benchmarks.runs.executors.local import execute_all
from benchmarks.runs.lock import LOCK
from benchmarks.runs.plan import choose, make_plan
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read


@pytest.fixture(scope="module")
def digits():
    return datasets.get("digits").load(datasets.default_root())


def planned(data, tiny_recipe, words):
    recipe = read(str(tiny_recipe)).recipe
    return make_plan(choose(words), lambda size, split: data, recipe, 1, {}, "fp32")


def test_after_the_deadline_finished_runs_are_reused_and_the_others_left(
    digits, tiny_recipe, tmp_path
):
    place = RunContext(tmp_path, torch.device("cpu"), PlainProgress(lambda line: None))
    first, second = planned(digits, tiny_recipe, ["random-cnn", "triplet"])
    execute(first, place)
    outcome = execute_all([first, second], replace(place, deadline=time.monotonic()))
    assert (outcome.reused, outcome.left) == ([first], [second])
    assert (outcome.done, outcome.failed) == ([], {})
    assert outcome.total == 2
    assert not place.folder(second).exists()
    assert execute_all([first, second], place).done == [second]


def test_a_run_that_is_stopped_by_the_clock_is_left_and_no_failure(
    digits, tiny_recipe, tmp_path, monkeypatch
):
    def stopped(run, place):
        raise OutOfTime("stopped after epoch 1 of 3")

    said: list[str] = []
    monkeypatch.setattr(local, "execute", stopped)
    runs = planned(digits, tiny_recipe, ["nce"])
    place = RunContext(tmp_path, torch.device("cpu"), PlainProgress(said.append))
    outcome = execute_all(runs, place)
    assert (outcome.left, outcome.failed) == (runs, {})
    assert said == ["left: nce (noise=64) s0: stopped after epoch 1 of 3"]


def test_nobody_waits_for_another_process_after_the_deadline(digits, tiny_recipe, tmp_path):
    said: list[str] = []
    place = RunContext(
        tmp_path, torch.device("cpu"), PlainProgress(said.append), deadline=time.monotonic()
    )
    (run,) = planned(digits, tiny_recipe, ["nce"])
    place.folder(run).mkdir(parents=True)
    lock = FileLock(place.folder(run) / LOCK, thread_local=False)
    with lock:
        assert execute_all([run], place).left == [run]
    assert said == []


def test_run_of_another_process_is_waited_for_and_reused(
    digits, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(local, "POLL_SECONDS", 0.05)
    said: list[str] = []
    place = RunContext(tmp_path, torch.device("cpu"), PlainProgress(said.append))
    first, second = planned(digits, tiny_recipe, ["random-cnn", "triplet"])
    folder = place.folder(first)
    folder.mkdir(parents=True)
    lock = FileLock(folder / LOCK, thread_local=False)
    lock.acquire()  # as another process would

    def other_process() -> None:
        while not any("waiting" in line for line in said):
            threading.Event().wait(0.02)
        execute(first, replace(place, progress=PlainProgress(lambda line: None)))
        lock.release()

    thread = threading.Thread(target=other_process)
    thread.start()
    outcome = execute_all([first, second], place)
    thread.join()
    assert [run.method.name for run in outcome.done] == ["triplet"]
    assert [run.method.name for run in outcome.reused] == ["random-cnn"]
    assert any("waiting for another process that works on: random-cnn" in line for line in said)
