import pytest

from benchmarks.common.errors import BenchError
from benchmarks.runs import store
from benchmarks.runs.anew import adopt, folder_anew


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a finished run, with a failure of a later attempt."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (store.RECORD, store.EPOCHS, store.FAILED):
        (folder / name).write_text("old")
    return folder


def make(folder, *names):
    folder_anew(folder).mkdir(exist_ok=True)
    for name in names:
        (folder_anew(folder) / name).write_text("new")


def texts(folder):
    return {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}


def test_a_finished_result_replaces_the_old_one_and_its_failure(folder):
    make(folder, store.RECORD, store.EPOCHS, store.EMBEDDINGS)
    assert adopt(folder)
    assert texts(folder) == dict.fromkeys((store.RECORD, store.EPOCHS, store.EMBEDDINGS), "new")
    assert not folder_anew(folder).exists()


def test_an_unfinished_result_replaces_nothing_and_is_kept(folder):
    make(folder, store.EPOCHS, store.CHECKPOINT)
    before = texts(folder)
    assert not adopt(folder)
    assert texts(folder) == before
    assert set(texts(folder_anew(folder))) == {store.EPOCHS, store.CHECKPOINT}


def test_without_a_new_result_nothing_happens(folder):
    before = texts(folder)
    assert not adopt(folder)
    assert texts(folder) == before


def test_a_file_that_cannot_be_moved_is_an_error_in_one_line_and_the_record_comes_last(folder):
    make(folder, store.RECORD, store.EPOCHS)
    (folder / store.EPOCHS).unlink()
    (folder / store.EPOCHS).mkdir()  # in the way
    with pytest.raises(BenchError, match="the same command tries again") as caught:
        adopt(folder)
    assert "\n" not in str(caught.value)
    assert (folder / store.RECORD).read_text() == "old"
    (folder / store.EPOCHS).rmdir()
    assert adopt(folder)
    assert (folder / store.RECORD).read_text() == (folder / store.EPOCHS).read_text() == "new"


def test_what_a_kill_interrupted_is_completed(folder):
    make(folder, store.RECORD)
    (folder / store.EPOCHS).write_text("new")  # was moved before the kill
    assert adopt(folder)
    assert texts(folder) == {store.RECORD: "new", store.EPOCHS: "new"}
