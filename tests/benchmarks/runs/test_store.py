import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import BenchError
from benchmarks.runs import store as records
from benchmarks.runs.store import RunRecord, StoredRun
from helpers.records import METHOD, make_record, measured


def store(results: Path, record: RunRecord) -> Path:
    folder = records.runs_folder(results) / record.folder
    records.write_epochs(folder, pd.DataFrame({"epoch": [1, 2], "knn": [60.0, 50.0]}))
    records.write_record(folder, record)
    return folder


def test_record_survives_the_disk(tmp_path):
    record = make_record()
    folder = store(tmp_path, record)
    assert records.read_record(folder) == record
    (stored,) = records.read_all(tmp_path, pytest.fail)
    assert isinstance(stored, StoredRun)
    assert stored.epochs["knn"].tolist() == [60.0, 50.0]
    assert folder.name == "digits-invaspread-tiny-s0-abababab"


def test_unfinished_run_has_no_record(tmp_path):
    assert records.read_record(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99}', "\x00\xff", "[" * 10_000],
)
def test_record_that_is_none_is_named_left_as_it_is_and_the_rest_is_read(tmp_path, content):
    store(tmp_path, make_record())
    bad = store(tmp_path, make_record(key="cd" * 32))
    (bad / records.RECORD).write_text(content)
    said = []
    stored = records.read_all(tmp_path, said.append)
    assert [run.record.key for run in stored] == ["ab" * 32]
    assert len(said) == 1
    assert str(bad / records.RECORD) in said[0]
    assert (bad / records.RECORD).read_text() == content
    assert {file.name for file in bad.iterdir()} == {records.RECORD, records.EPOCHS}


@pytest.mark.parametrize(
    ("part", "name", "value", "word"),
    [
        ("final", "measurements", measured(knn=150.0), "percentage"),
        ("final", "measurements", measured(knn="Infinity"), "finite"),
        ("final", "measurements", measured(nmi=-3.0), "percentage"),
        ("final", "measurements", measured(loss=float("nan")), "finite"),
        ("best", "value", 101.0, "percentage"),
        ("dataset", "classes", -1, "whole number"),
        ("dataset", "classes", 10**30, "whole number"),
        ("seconds", "train", -1.0, "seconds"),
        ("recipe", "name", None, "name"),
        ("recipe", "name", ["a"], "name"),
        ("recipe", "augmentation", None, "augmentation"),
        ("recipe", "methods", ["a"], "methods"),
        ("recipe", "epochs", "many", "epochs"),
        ("method", "hyper_parameters", {"x": "\ud800"}, "Unicode"),
    ],
)
def test_values_that_no_run_leaves_are_named(tmp_path, part, name, value, word):
    folder = store(tmp_path, make_record())
    content = json.loads((folder / records.RECORD).read_text())
    content[part][name] = value
    (folder / records.RECORD).write_text(json.dumps(content))
    said = []
    assert records.read_all(tmp_path, said.append) == []
    (line,) = said
    assert word in line
    assert "\n" not in line


def test_unusual_values_of_a_finished_run_are_read(tmp_path):
    record = make_record(
        final={"epoch": 2, "measurements": measured(knn=100.00000000000001, loss=1e30, own=-5.0)},
        method={**METHOD, "name": "m", "paper": "p", "hyper_parameters": {"rate": float("inf")}},
    )
    folder = store(tmp_path, record)
    assert records.read_record(folder).final == record.final


@pytest.mark.parametrize(
    "changes",
    [
        {"knn": ["a", "b"]},
        {"knn": [50.0, np.inf]},
        {"knn": [50.0, 150.0]},
        {"epoch": [1, 7]},
        {"epoch": [np.nan, 2]},
        {"epoch": ["1", "2"]},
    ],
)
def test_epochs_that_no_run_leaves_are_damaged(tmp_path, changes):
    frame = pd.DataFrame({"epoch": [1, 2], "knn": [60.0, 50.0], **changes})
    records.write_epochs(tmp_path, frame)
    with pytest.raises(records.DamagedRecord, match=r"epochs\.parquet"):
        records.read_epochs(tmp_path)


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame({"epoch": []})])
def test_epochs_without_a_row_are_damaged(tmp_path, empty):
    records.write_epochs(tmp_path, empty)
    with pytest.raises(records.DamagedRecord, match="row per epoch"):
        records.read_epochs(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O"), OSError(errno.EMFILE, "many"),
                                   PermissionError(errno.EACCES, "no"), MemoryError()])  # fmt: skip
@pytest.mark.parametrize("name", [records.RECORD, records.EPOCHS])
def test_file_that_cannot_be_read_just_now_is_no_damaged_one(tmp_path, monkeypatch, error, name):
    folder = store(tmp_path, make_record())
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == name:
            raise error
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    said = []
    assert records.read_all(tmp_path, said.append) == []
    assert "cannot be read just now" in said[0]
    with pytest.raises(records.Unreadable):
        (records.read_record if name == records.RECORD else records.read_epochs)(folder)


def test_record_of_a_newer_version_is_no_damaged_one(tmp_path):
    folder = store(tmp_path, make_record())
    content = json.loads((folder / records.RECORD).read_text())
    content["schema_version"] = records.SCHEMA_VERSION + 1
    (folder / records.RECORD).write_text(json.dumps(content))
    with pytest.raises(records.NewerRecord, match=r"newer version.*upgrade.*--results"):
        records.read_record(folder)


def test_folder_of_runs_that_is_none(tmp_path):
    assert records.read_all(tmp_path, pytest.fail) == []
    (tmp_path / "runs").write_text("")
    with pytest.raises(BenchError, match="cannot be read"):
        records.read_all(tmp_path, pytest.fail)


def test_further_files_that_are_damaged_are_told_once(tmp_path):
    folder = store(tmp_path, make_record())
    said = []
    (run,) = records.read_all(tmp_path, pytest.fail, said.append)
    assert run.frame(records.PREDICTIONS) is None
    assert run.arrays(records.EMBEDDINGS) is None
    assert said == []  # an older record has none
    (folder / records.EMBEDDINGS).write_bytes(b"PK cut")
    (folder / records.PREDICTIONS).write_bytes(b"PAR1")
    for _ in range(2):
        assert run.frame(records.PREDICTIONS) is None
        assert run.arrays(records.EMBEDDINGS) is None
    assert len(said) == 2


def test_damaged_epochs_leave_the_run_out(tmp_path):
    folder = store(tmp_path, make_record())
    (folder / records.EPOCHS).write_bytes(b"PAR1 nothing")
    said = []
    assert records.read_all(tmp_path, said.append) == []
    assert "epochs.parquet" in said[0]


def test_set_aside_never_overwrites(tmp_path):
    for _ in range(3):
        (tmp_path / "x").write_text("damaged")
        records.set_aside(tmp_path / "x")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path, monkeypatch, code):
    target = tmp_path / "run.json"
    target.write_text("old")

    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with (
        pytest.raises(BenchError, match=r"disk full while writing .*run.json"),
        records.atomic_path(target) as part,
    ):
        part.write_text("new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]  # nothing half-written stays


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="--results"):
        records.write_record(tmp_path / "file" / "below", make_record())


def test_embeddings_are_stored_in_half_precision(tmp_path):
    records.write_embeddings(tmp_path, bank=np.eye(3, dtype=np.float32), labels=np.arange(3))
    with np.load(tmp_path / records.EMBEDDINGS) as content:
        assert content["bank"].dtype == np.float16
        assert content["labels"].dtype == np.int64
        assert np.array_equal(content["bank"], np.eye(3))


def test_schema_refuses_unknown_fields(tmp_path):
    folder = store(tmp_path, make_record())
    content = json.loads((folder / records.RECORD).read_text())
    content["accuracy"] = 99
    (folder / records.RECORD).write_text(json.dumps(content))
    with pytest.raises(records.DamagedRecord, match="accuracy"):
        records.read_record(folder)


def test_what_is_undefined_survives_the_file(tmp_path):
    nothing = {"epoch": 2, "measurements": {}}
    record = make_record(
        undefined={"nmi@features": "one class"}, caveats={"knn@features": "8 vote"},
        representation="features", final=nothing,
    )  # fmt: skip
    folder = store(tmp_path, record)
    assert records.read_record(folder) == record
    assert record.headline == "kNN not measured"
    undefined = make_record(final=nothing, undefined={"knn@embedding": "one class"})
    assert undefined.headline == "kNN undefined: one class"


def test_a_bare_name_means_the_headline_representation():
    values = {"knn@embedding": 40.0, "knn@features": 60.0, "loss": 1.5, "loss@features": 2.5}
    final = {"epoch": 2, "measurements": {
        k: {"value": v, "unit": "", "protocol": ""} for k, v in values.items()}}  # fmt: skip
    record = make_record(final=final, representation="features")
    assert (record.value("knn"), record.value("knn@embedding")) == (60.0, 40.0)
    assert (record.value("loss"), record.value("loss@embedding")) == (2.5, None)
    assert record.value("knn@memory") is None
    assert record.headline == "kNN (features) 60.0"
    assert make_record(final=final).value("loss") == 1.5
