import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import records
from benchmarks.errors import BenchError
from benchmarks.records import RunRecord, StoredRun


def make_record(**changes) -> RunRecord:
    content = {
        "key": "ab" * 32,
        "method": {"name": "invaspread", "paper": "Ye et al., CVPR 2019"},
        "dataset": {
            "name": "digits", "digest": "d", "train_images": 10, "test_images": 5, "classes": 10,
            "image_size": 8, "labelled": True,
        },
        "recipe": {"name": "tiny", "epochs": 2},
        "seed": 0,
        "protocols": {"knn": "knn-200-0.1"},
        "final": {"epoch": 2, "knn": 50.0},
        "best": {"epoch": 1, "knn": 60.0},
        "images_seen": 40,
        "seconds": {"train": 1.0, "evaluate": 0.5},
        "environment": {
            "python": "3.11", "platform": "Linux", "device": "cpu", "precision": "fp32",
            "threads": 1, "packages": {},
        },
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
    }  # fmt: skip
    return RunRecord.model_validate({**content, **changes})


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
    ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99}', "\x00\xff"],
)
def test_damaged_record_is_named_set_aside_and_the_rest_is_read(tmp_path, content):
    store(tmp_path, make_record())
    bad = store(tmp_path, make_record(key="cd" * 32))
    (bad / records.RECORD).write_text(content)
    said = []
    stored = records.read_all(tmp_path, said.append)
    assert [run.record.key for run in stored] == ["ab" * 32]
    assert len(said) == 1
    assert str(bad / records.RECORD) in said[0]
    assert (bad / "run.json.damaged").exists()
    assert not (bad / records.RECORD).exists()
    said.clear()
    assert len(records.read_all(tmp_path, said.append)) == 1  # told once
    assert said == []


def test_damaged_epochs_set_the_record_aside(tmp_path):
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


def test_full_disk_for_real():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        full.write_text("x")  # the error that atomic_path turns into a sentence


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


def test_how_images_were_read_does_not_tell_them_apart():
    facts = {"name": "folder", "digest": "ab", "train_images": 5, "test_images": 2, "classes": 2,
             "image_size": 32, "labelled": True}  # fmt: skip
    plain = records.DatasetFacts(**facts)
    told = records.DatasetFacts(
        **facts, understood=("x",), notes=("y",), left_out={"empty": 1}, path="/a"
    )
    assert plain != told
    assert plain.identity() == told.identity()
    assert records.DatasetFacts(**facts | {"digest": "cd"}).identity() != plain.identity()
