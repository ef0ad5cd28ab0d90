"""Thousands of damaged files of runs: no traceback, nothing renamed but damage, and by `run`."""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.commands.collect import collect
from benchmarks.commands.list import runs as list_runs
from benchmarks.common.errors import BenchError
from benchmarks.data import datasets
from benchmarks.report.build import build
from benchmarks.report.write import write_report
from benchmarks.runs import store as records
from benchmarks.runs.execute import RunContext, execute, finished_record, reusable_record
from benchmarks.runs.failures import read_failures
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training import checkpoint
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read

SECONDS = 5.0
"""After so long no further case of a kind is tried, however slow the machine is."""
CASES = 1500
CPU = torch.device("cpu")
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2, 10**30, -(10**30), 1e308, float("inf"), float("nan"), "", "x", "1",
    "Infinity", "\ud800", "a\r\nb`|<b>${", [], [1], {}, {"a": {"b": []}}, "long " * 300,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[RunSpec, Path]:
    """Return a plan's run and a results folder with it, with another one and with a failed one."""
    results = tmp_path_factory.mktemp("whole")
    place = RunContext(results, CPU, PlainProgress(lambda line: None))
    data = datasets.get("digits").load(datasets.default_root())
    recipe = {"recipe": {"epochs": 1, "train_images": 64, "embedding_size": 8, "batch_size": 32}}
    plan = make_plan(
        choose(["triplet", "random-cnn"]), lambda *_: data, read("digits").recipe, 1, recipe, "fp32"
    )
    for run in plan:
        execute(run, place)
    first = place.folder(plan[0])
    record = json.loads((first / records.RECORD).read_text())
    failure = {k: record[k] for k in ("dataset", "recipe", "recipe_changed", "seed", "key")}
    failure |= {"method": "nce", "hyper_parameters": {}, "changed": {}, "message": "loss is nan"}
    failed = records.runs_folder(results) / "digits-nce-digits-s0-failed"
    failed.mkdir()
    (failed / records.FAILED).write_text(json.dumps(failure))
    return plan[0], results


# Mutations


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all values inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [place, *(p for key, part in inner for p in _places(part, (*place, key)))]


def _mutate_json(content: bytes, draws: random.Random) -> bytes:
    value = json.loads(content)
    for _ in range(draws.choice((1, 1, 1, 2, 4))):
        place = draws.choice(_places(value)[1:])
        holder = value
        for key in place[:-1]:
            holder = holder[key]
        kind = draws.randrange(4)
        if kind == 0 and isinstance(holder, dict):
            del holder[place[-1]]
        elif kind == 1 and isinstance(holder, dict):
            holder[draws.choice(("extra", "a`b|", "schema_version"))] = draws.choice(ODD)
        else:
            holder[place[-1]] = draws.choice(ODD)
        if len(_places(value)) < 2:
            break
    return json.dumps(value).encode()


def _mutate_bytes(content: bytes, draws: random.Random) -> bytes:
    changed = bytearray(content)
    kind = draws.randrange(4)
    if kind == 0:
        return bytes(changed[: draws.randrange(len(changed))])
    if kind == 1:
        return bytes(draws.randrange(256) for _ in range(draws.randrange(200)))
    for _ in range(draws.choice((1, 8, 64))):
        changed[draws.randrange(len(changed))] = draws.randrange(256)
    return bytes(changed)


def _mutate_table(path: Path, draws: random.Random) -> None:
    frame = pd.read_parquet(path)
    column = draws.choice(list(frame))
    kind = draws.randrange(5)
    if kind == 0:
        frame = frame.drop(columns=column)
    elif kind == 1:
        frame = frame.iloc[:0]
    elif kind == 2:
        frame[column] = draws.choice(("text", np.inf, -1e300, np.nan, True))
    elif kind == 3:
        frame["extra"] = draws.choice(("text", np.inf, 1.0))
    else:
        frame[column] = frame[column].astype(str)
    frame.to_parquet(path, index=False)


def _mutate_arrays(path: Path, draws: random.Random) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    name = draws.choice(list(arrays))
    array = arrays[name]
    kind = draws.randrange(6)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = array[: len(array) // 2]
    elif kind == 2:
        arrays[name] = array.astype(str)
    elif kind == 3:
        arrays[name] = array[..., None]
    elif kind == 4 and array.dtype.kind in "fi":
        arrays[name] = np.full_like(array, np.inf if array.dtype.kind == "f" else 2**62)
    else:
        arrays["extra"] = np.zeros(3)
    np.savez(path, **arrays)


def _mutate_checkpoint(path: Path, draws: random.Random) -> None:
    content = torch.load(path, weights_only=True)
    part = draws.choice(["key", "method", "optimizer", "history"])
    odd = (torch.tensor([np.inf, 1e300]), torch.zeros(0), torch.zeros(3, 3), 3, "x", None, {})
    inner = content[part]
    kind = draws.randrange(4)
    if kind == 0:
        del content[part]
    elif kind == 1 or not isinstance(inner, dict) or not inner:
        content[part] = draws.choice(odd)
    elif kind == 2:
        inner[draws.choice(list(inner))] = draws.choice(odd)
    else:
        del inner[draws.choice(list(inner))]
    torch.save(content, path)


_BY_VALUE: dict[str, Callable[[Path, random.Random], None]] = {
    records.RECORD: lambda p, d: _rewrite(p, _mutate_json(p.read_bytes(), d)),
    records.FAILED: lambda p, d: _rewrite(p, _mutate_json(p.read_bytes(), d)),
    records.EPOCHS: _mutate_table,
    records.PREDICTIONS: _mutate_table,
    records.SIMILARITIES: _mutate_table,
    records.EMBEDDINGS: _mutate_arrays,
    records.CHECKPOINT: _mutate_checkpoint,
}


def _rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _damage_bytes(path: Path, draws: random.Random) -> None:
    path.write_bytes(_mutate_bytes(path.read_bytes(), draws))


def _damage(path: Path, draws: random.Random) -> None:
    (_BY_VALUE[path.name] if draws.random() < 0.6 else _damage_bytes)(path, draws)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _cases(
    results: Path,
    names: tuple[str, ...],
    seed: int,
    cases: int = CASES,
    damage: Callable[[Path, random.Random], None] = _damage,
):
    """Damage one file after the other, and mend it; yields the file and its damaged content."""
    draws, until = random.Random(seed), time.monotonic() + SECONDS
    files = sorted(p for p in records.runs_folder(results).rglob("*") if p.name in names)
    assert files
    for _ in range(cases):
        if time.monotonic() > until:
            return
        path = draws.choice(files)
        whole = path.read_bytes()
        damage(path, draws)
        yield path, path.read_bytes()
        path.write_bytes(whole)


# What is held


@pytest.fixture
def results(store, tmp_path) -> Path:
    shutil.copytree(store[1], tmp_path / "results")
    return tmp_path / "results"


def test_readers_leave_out_and_change_nothing(results):
    names, tried, left_out = (records.RECORD, records.FAILED, records.EPOCHS), 0, 0
    for path, damaged in _cases(results, names, seed=1):
        before = sorted(results.rglob("*"))
        said: list[str] = []
        stored = records.read_all(results, said.append)
        failures = read_failures(results, said.append)
        lines = list_runs(results)
        assert sorted(results.rglob("*")) == before
        assert path.read_bytes() == damaged
        assert len(stored) + len(failures) + len(said) >= 3, "left out without a word"
        assert all(len(line.splitlines()) == 1 and "Traceback" not in line for line in said)
        assert len(lines) == 3
        tried, left_out = tried + 1, left_out + bool(said)
    assert left_out > tried / 4 > 0


def test_reports_come_out_of_what_is_left(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = tuple(set(_BY_VALUE) - {records.CHECKPOINT})
    for number, (path, damaged) in enumerate(_cases(results, names, seed=2, cases=400)):
        before = _content(records.runs_folder(results)) if number % 40 == 0 else None
        said: list[str] = []
        stored = records.read_all(results, said.append, said.append)
        build(stored, read_failures(results, said.append), said, results)
        if before is not None:
            assert write_report(results, warn=said.append)
            collect(results, tmp_path / "copy")
            assert _content(records.runs_folder(results)) == before
        assert path.read_bytes() == damaged


def test_run_reuses_what_is_whole_and_sets_aside_only_what_is_damaged(store, results):
    run, _ = store
    folder = RunContext(results, CPU, PlainProgress(print)).folder(run)
    for path, damaged in _cases(results, (records.RECORD, records.EPOCHS), seed=3):
        if path.parent != folder:
            continue
        said: list[str] = []
        try:
            reused = reusable_record(folder)
            found = finished_record(folder, PlainProgress(said.append))
        except records.NewerRecord:
            assert path.read_bytes() == damaged
            continue
        assert (reused is None) == (found is None)
        aside = list(folder.glob("*.damaged*"))
        assert len(aside) == len(said) == (found is None)
        for file in aside:
            assert file.name.startswith(path.name)
            assert file.read_bytes() == damaged
            file.unlink()


@pytest.mark.parametrize("damage", [_damage, _damage_bytes])
def test_checkpoints_are_loaded_whole_or_named(store, results, damage):
    run, _ = store
    folder = RunContext(results, CPU, PlainProgress(print)).folder(run)
    whole = checkpoint.load(folder, run.key, CPU)
    for path, damaged in _cases(results, (records.CHECKPOINT,), 4, 600, damage):
        if path.parent != folder:
            continue
        found, reason = None, ""
        try:
            found = checkpoint.load(folder, run.key, CPU)
        except BenchError as error:
            reason = str(error)
        assert (found is None) == ("checkpoint.pt" in reason)
        assert len(reason.splitlines()) == (found is None)
        if found is not None and damage is _damage_bytes:  # in a place that holds nothing
            assert found.method.keys() == whole.method.keys()
            assert all(torch.equal(v, whole.method[k]) for k, v in found.method.items())
        assert path.read_bytes() == damaged


def test_a_run_with_a_damaged_checkpoint_is_completed_to_the_same_bits(store, results):
    run, whole = store
    place = RunContext(results, CPU, PlainProgress(lambda line: None))
    folder = place.folder(run)
    expected = records.read_record(RunContext(whole, CPU, place.progress).folder(run)).final
    for path, _ in _cases(results, (records.CHECKPOINT,), 5, 20, _damage_bytes):
        if path.parent == folder:
            (folder / records.RECORD).unlink(missing_ok=True)
            assert execute(run, place).final == expected


def test_a_whole_archive_with_other_content_is_set_aside_or_gone_on_from(store, results):
    run, _ = store
    said: list[str] = []
    place = RunContext(results, CPU, PlainProgress(said.append))
    folder = place.folder(run)
    for path, _ in _cases(results, (records.CHECKPOINT,), 6, 20, _mutate_checkpoint):
        if path.parent == folder:
            (folder / records.RECORD).unlink(missing_ok=True)
            assert execute(run, place).final.epoch == 1
    assert any("set aside" in line for line in said)
