import json

import pytest

from benchmarks.runs import store
from benchmarks.runs.failures import read_failures
from helpers.records import make_record

DATASET = {
    "name": "digits", "digest": "d", "train_images": 10, "test_images": 5, "classes": 10,
    "image_size": 8, "labelled": True,
}  # fmt: skip
CONTENT = {
    "method": "nce",
    "hyper_parameters": {"noise": 64},
    "changed": {},
    "dataset": DATASET,
    "recipe": {"name": "tiny"},
    "recipe_changed": {},
    "seed": 3,
    "message": "the loss became nan",
}


def put(results, content, name="digits-nce"):
    folder = store.runs_folder(results) / name
    folder.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / store.FAILED).write_text(text)
    return folder


def test_every_failed_run_is_read_in_the_order_of_the_folders(tmp_path):
    put(tmp_path, CONTENT, "b")
    put(tmp_path, CONTENT | {"seed": 4}, "a")
    (store.runs_folder(tmp_path) / "c").mkdir()  # neither finished nor failed
    found = read_failures(tmp_path, pytest.fail)
    assert [failure.seed for failure in found] == [4, 3]
    assert found[1].message == "the loss became nan"
    assert found[1].hyper_parameters == {"noise": 64}


def test_facts_that_a_failure_leaves_out_are_the_usual_ones(tmp_path):
    put(tmp_path, CONTENT)
    (found,) = read_failures(tmp_path, pytest.fail)
    assert found.dataset == make_record().dataset


def test_a_run_that_finished_after_all_has_not_failed(tmp_path):
    folder = put(tmp_path, CONTENT)
    store.write_record(folder, make_record())
    assert read_failures(tmp_path, pytest.fail) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "[" * 10**5, '{"method": "nce"}', json.dumps(CONTENT | {"seed": "x"}),
     json.dumps(CONTENT | {"dataset": DATASET | {"train_images": -1}})],
    ids=["empty", "cut", "list", "null", "deep", "fields lack", "a wrong type", "a wrong value"],
)  # fmt: skip
def test_a_damaged_failure_is_left_out_in_one_line_and_the_others_are_read(tmp_path, content):
    put(tmp_path, content, "a")
    put(tmp_path, CONTENT, "b")
    said: list[str] = []
    assert [failure.seed for failure in read_failures(tmp_path, said.append)] == [3]
    (line,) = said
    assert line.startswith("left out: ")
    assert str(store.runs_folder(tmp_path) / "a" / store.FAILED) in line
    assert "\n" not in line


def test_a_results_folder_that_does_not_exist_has_no_failures(tmp_path):
    assert read_failures(tmp_path / "nowhere", pytest.fail) == []
