import json
import os
import time

import pytest
from PIL import Image

from benchmarks.data.sources import survey as module
from benchmarks.data.sources.decode import inspect
from benchmarks.data.sources.survey import SourceFile, survey


@pytest.fixture
def files(tmp_path):
    """Forty images of different content."""
    made = []
    for number in range(40):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (10, 9), (number, 0, 0)).save(path)
        made.append(SourceFile(path.name, path))
    return made


@pytest.fixture
def record(tmp_path):
    return tmp_path / "cache" / "files.json"


@pytest.fixture
def reads(monkeypatch):
    """How many files were read."""
    counted = []
    monkeypatch.setattr(module, "inspect", lambda content: counted.append(1) or inspect(content))
    return counted


@pytest.fixture
def _settled(monkeypatch):
    monkeypatch.setattr(module, "SETTLED", -1)


def ignore(done, total):
    """Show nothing."""


def test_each_file_is_looked_at_in_order(files, record):
    steps = []
    seen = survey(files, record, lambda *step: steps.append(step))
    assert seen == [inspect(file.path.read_bytes()) for file in files]
    assert len({facts.digest for facts in seen}) == 40
    assert steps == [(16, 40), (32, 40), (40, 40)]
    assert survey(files, None, ignore) == seen


@pytest.mark.usefixtures("_settled")
def test_unchanged_files_are_not_read_again(files, record, reads):
    first = survey(files, record, ignore)
    reads.clear()
    assert survey(files, record, pytest.fail) == first
    assert survey(files[5:9], record, pytest.fail) == first[5:9]
    assert reads == []


def rewrite(file: SourceFile) -> None:
    """Change the content and keep name, size and time of modification."""
    status = file.path.stat()
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-1] + b"!")
    os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(file: SourceFile) -> None:
    """Put another file in its place."""
    other = file.path.with_name("other")
    Image.new("RGB", (10, 9), (0, 99, 0)).save(other, "PNG")
    other.replace(file.path)


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("change", [rewrite, replace])
def test_a_changed_file_is_read_again_and_only_that(files, record, reads, change):
    first = survey(files, record, ignore)
    time.sleep(0.02)  # the clock of a file system may have ticks of 10 ms
    change(files[7])
    reads.clear()
    second = survey(files, record, ignore)
    assert len(reads) == 1
    assert [row for row in range(40) if first[row].digest != second[row].digest] == [7]


def test_a_file_that_has_just_changed_is_read_each_time(files, record, reads):
    survey(files, record, ignore)
    assert json.loads(record.read_text())["files"] == {}
    reads.clear()
    survey(files, record, ignore)
    assert len(reads) == 40


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize(
    "damage", ["", "null", "[]", '{"format": 1}', '{"format": 1, "decoder": "x", "files": []}']
)
def test_a_damaged_record_costs_time_alone(files, record, reads, damage):
    first = survey(files, record, ignore)
    record.write_text(damage)
    reads.clear()
    assert survey(files, record, ignore) == first
    assert len(reads) == 40


@pytest.mark.usefixtures("_settled")
def test_another_decoder_looks_again(files, record, reads, monkeypatch):
    survey(files, record, ignore)
    monkeypatch.setattr(module, "DECODER", "3, Pillow 99")
    reads.clear()
    survey(files, record, ignore)
    assert len(reads) == 40


@pytest.mark.usefixtures("_settled")
def test_what_was_seen_before_an_interruption_is_kept(files, record, reads):
    def interrupt(done, total):
        if done > 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(files, record, interrupt)
    reads.clear()
    survey(files, record, ignore)
    assert 0 < len(reads) < 40


def test_a_record_that_cannot_be_written_is_no_error(files, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(survey(files, tmp_path / "file" / "files.json", ignore)) == 40


@pytest.mark.usefixtures("_settled")
def test_a_file_that_cannot_be_read_now_may_be_later(files, record, monkeypatch):
    content = files[3].path.read_bytes()

    def denied(path):
        if path == files[3].path:
            raise PermissionError(13, "Permission denied")
        return content

    with monkeypatch.context() as patch:
        patch.setattr(module.Path, "read_bytes", denied)
        assert survey(files, record, ignore)[3].flaw == "no permission"
    assert survey(files, record, ignore)[3].flaw is None


def test_a_machine_without_affinity_uses_its_cores(monkeypatch):
    assert module.cores() >= 1
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert module.cores() == 7
