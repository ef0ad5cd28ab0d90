import pytest

from benchmarks.commands.collect import collect
from benchmarks.common.errors import UsageProblem
from benchmarks.runs.store import CHECKPOINT, EMBEDDINGS, EPOCHS, GALLERY, RECORD, SHARED


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results" / "runs" / "one"
    folder.mkdir(parents=True)
    for name in (*SHARED, CHECKPOINT, EMBEDDINGS, GALLERY):
        (folder / name).write_text(name)
    (tmp_path / "results" / "runs" / "unfinished").mkdir()
    (tmp_path / "results" / "runs" / "unfinished" / EPOCHS).write_text("so far")
    (tmp_path / "results" / "runs" / "empty").mkdir()
    return tmp_path / "results"


def test_only_small_files_are_copied(results, tmp_path):
    folders = collect(results, tmp_path / "shared")
    assert [folder.name for folder in folders] == ["one", "unfinished"]
    assert {file.name for file in folders[0].iterdir()} == set(SHARED)
    assert (folders[1] / EPOCHS).read_text() == "so far"


def test_copying_again_replaces(results, tmp_path):
    collect(results, tmp_path / "shared")
    (results / "runs" / "one" / RECORD).write_text("newer")
    folder, _ = collect(results, tmp_path / "shared")
    assert (folder / RECORD).read_text() == "newer"


def test_mistakes_are_named(results, tmp_path):
    with pytest.raises(UsageProblem, match="a folder other than"):
        collect(results, results)
    with pytest.raises(UsageProblem, match="no run below"):
        collect(tmp_path / "nothing", tmp_path / "shared")
