import json
import os
from hashlib import sha256

import pytest

from benchmarks.runs import store
from benchmarks.runs.code_changes import (
    CODE,
    changed_since,
    code_facts,
    with_newest_code,
    write_code,
)
from helpers.records import METHOD, make_record
from methods import Method
from methods.base.code import Code, known
from methods.base.registry import get

CONFIGURATION = "c0ffee" * 10 + "abcd"


def method(digest="1" * 64, revision=1, version=None):
    """Return a class of a plug-in's file, or of a package if it has a version."""
    found = type("Mine", (Method,), {"name": "mine", "paper": "x", "revision": revision})
    known[found] = Code("mine.py", digest, version and "pack", version)
    return found


@pytest.fixture
def made(tmp_path):
    """Return what makes a folder of a run: its code as stated, and what it has reached."""

    def make(key, of=(), result=store.RECORD, configuration=CONFIGURATION, name="d-mine-r-s0"):
        folder = tmp_path / f"{name}-{key * 8}"
        folder.mkdir()
        if of is not None:
            write_code(folder, configuration, method(*of))
        if result:
            (folder / result).write_text("{}")
        return folder

    return make


def said_of(folder, *now):
    """Return what is said of a run of the same configuration with a method's code as it is now."""
    return changed_since(folder, CONFIGURATION, method(*now))


def test_the_facts_of_an_own_method_are_those_of_its_file():
    facts = code_facts(get("nce"))
    assert (facts["file"], facts["package"]) == ("methods/nce.py", "instbench")
    import methods.nce

    with open(methods.nce.__file__, "rb") as file:
        assert facts["sha256"] == sha256(file.read()).hexdigest()


def test_the_code_is_stated_in_the_folder(made):
    stated = json.loads((made("a") / CODE).read_text())
    assert stated == {
        "revision": 1, "file": "mine.py", "sha256": "1" * 64, "package": None, "version": None,
        "configuration": CONFIGURATION,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ((), ("2" * 64,), "mine.py has changed (11111111 became 22222222)"),
        ((), ("1" * 64, 2), "revision 1 became 2"),
        (("1" * 64, 1, "1.0"), ("2" * 64, 1, "1.1"), "pack 1.0 became 1.1"),
        ((), (), "the code below mine.py has changed"),
    ],
)
@pytest.mark.parametrize(
    ("result", "state"), [(store.RECORD, "finished run"), (store.CHECKPOINT, "checkpoint")]
)
def test_what_has_changed_is_said_with_the_run_that_is_not_used(
    made, tmp_path, before, now, words, result, state
):
    old = made("a", before, result)
    said = said_of(tmp_path / "d-mine-r-s0-bbbbbbbb", *now)
    assert said == (
        f"{words} since the {state} {old.name}, which is kept and not used; this run starts anew"
    )


def test_a_run_from_before_digests_were_recorded_may_have_changed(made, tmp_path):
    folder = made("a", None)
    folder.rename(tmp_path / f"d-mine-r-s0-{CONFIGURATION[:8]}")
    assert "mine.py may have changed" in said_of(tmp_path / "d-mine-r-s0-bbbbbbbb")


@pytest.mark.parametrize(
    "options",
    [
        {"configuration": "d" * 64},
        {"result": None},
        {"of": None},
        {"name": "d-mine-r-s1"},
    ],
    ids=["another configuration", "no result", "no code stated", "another seed"],
)
def test_other_runs_are_no_change_of_code(made, tmp_path, options):
    made("a", **options)
    assert said_of(tmp_path / "d-mine-r-s0-bbbbbbbb", "2" * 64) is None


def test_a_run_that_goes_on_from_its_own_checkpoint_says_nothing(made):
    made("a")
    assert said_of(made("b", ("2" * 64,), store.CHECKPOINT), "2" * 64) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 10**5, "\ud800".encode("utf-8", "replace")])
def test_damaged_code_is_no_code(made, tmp_path, text):
    path = made("a") / CODE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert said_of(tmp_path / "d-mine-r-s0-bbbbbbbb") is None


def test_of_several_the_latest_is_named(made, tmp_path):
    folders = [made("a", ("3" * 64,)), made("b", ("4" * 64,))]
    for folder, time in zip(folders, (2_000_000_000, 1_000_000_000), strict=True):
        os.utime(folder, (time, time))
    assert "33333333 became 11111111" in said_of(tmp_path / "d-mine-r-s0-cccccccc")


def test_names_with_wildcards_are_meant_literally(made, tmp_path):
    made("a", name="d-mine-rx-s0")
    now = "2" * 64
    assert said_of(tmp_path / "d-mine-r?-s0-bbbbbbbb", now) is None
    old = made("a", name="d-mine-r[x]-s0")
    assert old.name in said_of(tmp_path / "d-mine-r[x]-s0-bbbbbbbb", now)


def stored(folder, finished, seed=0, **facts):
    name = {"name": "mine", "paper": "x"}
    record = make_record(method={**METHOD, **name, **facts}, finished=finished, seed=seed)
    return store.StoredRun(folder, record, None)


def test_runs_of_earlier_code_are_left_out_and_named(tmp_path):
    runs = [
        stored(tmp_path / "new", "2026-01-03", sha256="2" * 64),
        stored(tmp_path / "old", "2026-01-01", sha256="1" * 64),
        stored(tmp_path / "also-new", "2026-01-02", seed=1, sha256="2" * 64),
    ]
    said: list[str] = []
    assert with_newest_code(runs, said.append) == [runs[0], runs[2]]
    (line,) = said
    assert line.startswith("left out: old: mine was made with other code than its latest run new")


def test_of_the_suites_own_methods_the_revision_alone_counts(tmp_path):
    facts = {"package": "instbench"}
    runs = [
        stored(tmp_path / "a", "2026-01-02", sha256="1" * 64, version="1", **facts),
        stored(tmp_path / "b", "2026-01-01", sha256="2" * 64, version="2", **facts),
        stored(tmp_path / "c", "2026-01-01", revision=2, seed=1, **facts),
    ]
    assert with_newest_code(runs[:2], pytest.fail) == runs[:2]
    said: list[str] = []
    assert with_newest_code(runs, said.append) == runs[:2]
    assert len(said) == 1


def test_another_recipe_is_not_put_beside_it(tmp_path):
    run = stored(tmp_path / "a", "2026-01-02", sha256="1" * 64)
    other = stored(tmp_path / "b", "2026-01-01", sha256="2" * 64)
    recipe = {"name": "other"}
    other = store.StoredRun(other.folder, other.record.model_copy(update={"recipe": recipe}), None)
    assert with_newest_code([run, other], pytest.fail) == [run, other]
