import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.basics import silent
from benchmarks.data.datasets import archive as module
from benchmarks.data.datasets.archive import ArchiveDataset, ArchiveFacts

FACTS = ArchiveFacts(
    folder="words",
    archive="words.tgz",
    archive_md5="0" * 32,
    archive_size=1,
    mirrors=("https://words.example/words.tgz",),
    source="Its page is https://words.example.",
)


class Words(ArchiveDataset):
    """A list of words, which has to begin with "one"."""

    facts = FACTS
    marker_files = ("list.txt",)

    def read(self, root, options):
        raise NotImplementedError

    def fetch(self, root, report=silent):
        raise NotImplementedError

    def check(self, target, root):
        super().check(target, root)
        if not (target / "list.txt").read_text().startswith("one"):
            raise DataProblem(f"{target} is damaged.")


Words.name = "words"  # after the class is made, so that it is not registered


@pytest.fixture
def packed(tmp_path, offer, mirror) -> Callable[..., tuple[Words, bytes]]:
    """packed(text, **facts) returns the data set with this list, and its archive."""

    def pack(text: str = "one two", **facts: object) -> tuple[Words, bytes]:
        source = tmp_path / "source" / Path(FACTS.folder, facts.get("archive_holds", "")).name
        source.mkdir(parents=True)
        (source / "list.txt").write_text(text)
        changed = dataclasses.replace(offer(FACTS, source, "whole"), **facts)
        return type("Packed", (Words,), {"facts": changed})(), mirror.files["archive"]

    return pack


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".words.lock")


@pytest.mark.parametrize("holds", ["", "inner"])
def test_the_archive_lies_beside_what_it_holds(packed, root, mirror, holds):
    dataset, archive = packed(archive_holds=holds)
    place = root / "words" if holds else root
    place.mkdir(exist_ok=True)
    (place / "words.tgz").write_bytes(archive)
    assert dataset.unpack(root) == root / "words"
    assert (dataset.target(root) / "list.txt").read_text() == "one two"
    assert visible(place) == sorted([holds or "words", "words.tgz"])
    assert dataset.bring(root, silent) == root / "words"
    assert mirror.log == []


@pytest.mark.parametrize("holds", ["", "inner"])
def test_it_is_downloaded_to_the_same_place(packed, root, mirror, holds):
    dataset, archive = packed(archive_holds=holds)
    lines = []
    assert dataset.bring(root / "new", lines.append) == root / "new" / "words"
    assert lines == [f"words: not in {root / 'new'} yet"]
    place = root / "new" / "words" if holds else root / "new"
    assert (place / "words.tgz").read_bytes() == archive
    assert dataset.unpack(root / "new") == root / "new" / "words"


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_root_may_be_the_folder_that_is_still_to_come(packed, root, by_hand):
    dataset, archive = packed()
    if by_hand:
        (root / "words.tgz").write_bytes(archive)
        assert dataset.unpack(root / "words") == root / "words"
    else:
        assert dataset.bring(root / "words", silent) == root / "words"
    assert visible(root) == ["words", "words.tgz"]
    assert visible(root / "words") == ["list.txt"]


def test_a_damaged_folder_of_any_name_is_repaired(packed, root):
    dataset, _ = packed()
    folder = root / "renamed"
    folder.mkdir()
    (folder / "list.txt").write_text("two")
    (folder / "mine.txt").write_text("keep me")
    lines = []
    assert dataset.bring(folder, lines.append) == folder
    assert lines == [f"{folder} is damaged."]
    assert (folder / "list.txt").read_text() == "one two"
    assert (folder / "mine.txt").read_text() == "keep me"
    assert visible(root) == ["renamed", "words.tgz"]


def test_only_fetching_repairs(packed, root, mirror):
    dataset, _ = packed()
    (root / "words").mkdir()
    (root / "words" / "list.txt").write_text("two")
    assert dataset.unpack(root) == root / "words"
    assert (root / "words" / "list.txt").read_text() == "two"
    assert mirror.log == []


def test_what_the_archive_holds_is_checked_before_it_is_moved(packed, root):
    dataset, archive = packed("two")
    (root / "words.tgz").write_bytes(archive)
    for get in (dataset.unpack, lambda root: dataset.bring(root, silent)):
        with pytest.raises(DataProblem, match="words is damaged"):
            get(root)
        assert visible(root) == ["words.tgz"]


def test_of_several_at_once_one_unpacks(packed, root, monkeypatch):
    dataset, archive = packed()
    (root / "words.tgz").write_bytes(archive)
    times, ready, real = [], threading.Barrier(3), module.exclusive

    def exclusive(*args):
        ready.wait(10)
        return real(*args)

    def unpacked(path):
        times.append(path)
        return real_unpacked(path)

    real_unpacked = module.unpacked
    monkeypatch.setattr(module, "exclusive", exclusive)
    monkeypatch.setattr(module, "unpacked", unpacked)
    threads = [threading.Thread(target=dataset.unpack, args=(root,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times == [root / "words.tgz"]
    assert visible(root) == ["words", "words.tgz"]


@pytest.mark.parametrize(
    ("mirrors", "advice"),
    [
        (FACTS.mirrors, "Run `bench data words --data {root}`, or put the official files there."),
        ((), "Put the official files there."),
    ],
)
def test_what_is_absent_is_told_with_what_to_do(packed, root, mirrors, advice):
    dataset, _ = packed(mirrors=mirrors)
    expected = (
        f"words is not here: looked for {root / 'words'} and {root / 'words.tgz'}. "
        f"{advice.format(root=root)} Its page is https://words.example."
    )
    with pytest.raises(DataProblem) as problem:
        dataset.unpack(root)
    assert str(problem.value) == expected
    assert visible(root) == []
    if not mirrors:
        with pytest.raises(DataProblem) as problem:
            dataset.bring(root, silent)
        assert str(problem.value) == expected


@pytest.mark.parametrize(
    ("mirrors", "advice"),
    [
        (FACTS.mirrors, "run `bench data words --data {root}` to fetch it again."),
        ((), "bring the official files."),
    ],
)
def test_a_damaged_archive_is_told_with_what_to_do(packed, root, mirrors, advice):
    dataset, archive = packed(mirrors=mirrors)
    (root / "words.tgz").write_bytes(archive[:-1])
    with pytest.raises(DataProblem) as problem:
        dataset.unpack(root)
    assert str(problem.value).startswith(f"{root / 'words.tgz'} is damaged: expected MD5")
    assert str(problem.value).endswith(f"Delete it and {advice.format(root=root)}")
    assert visible(root) == ["words.tgz"]
