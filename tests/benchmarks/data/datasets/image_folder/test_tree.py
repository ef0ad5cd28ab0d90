import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.image_folder.tree import counted, summary, text, walk


def touch(path: Path, content: bytes = b"?") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_everything_is_an_image_or_has_a_reason(tmp_path):
    for name in ("a/1.png", "a/deep/er/2.JPG", "b/3.webp", "0.tif", "Labels.CSV"):
        touch(tmp_path / name)
    for name in (".hidden.png", ".git/x.png", "a/._1.png", "Thumbs.db", "__MACOSX/1.png",
                 "a/notes.txt", "b/photo.heic", "b/labels.csv"):  # fmt: skip
        touch(tmp_path / name)
    touch(tmp_path / "a" / "zero.png", b"")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    touch(tmp_path / "docs" / "more" / "text.md")
    (tmp_path / "empty.png").mkdir()
    tree = walk(tmp_path)
    assert [image.name for image in tree.images] == [
        "0.tif", "a/1.png", "a/deep/er/2.JPG", "a/zero.png", "b/3.webp"
    ]  # fmt: skip
    assert tree.flaws == {tmp_path / "a/zero.png": "empty"}
    assert [file.name for file in tree.labels] == ["Labels.CSV"]
    assert dict(tree.left_out) == {
        ".hidden.png": "hidden",
        ".git/": "hidden",
        "a/._1.png": "hidden",
        "Thumbs.db": "file or folder of the operating system",
        "__MACOSX/": "file or folder of the operating system",
        "a/notes.txt": "unknown kind of file",
        "b/photo.heic": "unknown kind of file",
        "b/labels.csv": "labels.csv below the top",
        "gone.png": "link to nothing",
        "self.png": "link that leads back to itself",
        "a/up/": "link to a folder that is read already",
        "pipe.png": "neither file nor folder",
        "docs/": "folder without an image",
        "docs/more/text.md": "unknown kind of file",
        "empty.png/": "folder without an image",
    }
    assert counted(tree.left_out)["hidden"] == 3
    assert "3 (hidden, such as .git/)" in summary(tree.left_out)
    assert "1 (link to nothing: gone.png)" in summary(tree.left_out)


@pytest.mark.parametrize("file", ["run.json", "failed.json", "checkpoint.pt"])
def test_results_of_the_suite_are_no_images(tmp_path, file):
    touch(tmp_path / "train/1.png")
    touch(tmp_path / "out/runs/digits-nce-s0" / file)
    touch(tmp_path / "out/report/plot.png")
    tree = walk(tmp_path)
    assert [image.name for image in tree.images] == ["train/1.png"]
    assert dict(tree.left_out) == {"out/": "results of this suite"}


def test_a_class_may_be_called_runs(tmp_path):
    touch(tmp_path / "runs/1.png")
    touch(tmp_path / "runs/deep/2.png")
    assert len(walk(tmp_path).images) == 2


def test_a_folder_is_known_by_its_own_name_not_by_a_link(tmp_path):
    touch(tmp_path / "train/a/1.png")
    (tmp_path / "all").symlink_to(tmp_path / "train")
    tree = walk(tmp_path)
    assert [image.name for image in tree.images] == ["train/a/1.png"]
    assert dict(tree.left_out) == {"all/": "link to a folder that is read already"}


def test_a_thousand_folders_deep_is_no_problem(tmp_path):
    deep = tmp_path
    for _ in range(1000):
        deep = deep / "d"
        deep.mkdir()
    image = touch(deep / "1.png")
    try:
        assert len(walk(tmp_path).images) == 1
    finally:  # pytest cannot remove so deep a folder
        image.unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent


def test_names_become_one_line():
    assert text("a\nb\x1b[31m\u2028") == r"a\nb\x1b[31m\u2028"
    assert text(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert text("été 猫") == "été 猫"


READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from benchmarks.data.datasets.image_folder.tree import walk
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    tree = walk(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
else:
    print(len(tree.images), sorted(tree.left_out), sorted(map(str, tree.flaws.values())))
"""


@pytest.fixture
def as_nobody(tmp_path_factory):
    """Call `walk` with the rights of nobody; root may read everything."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("needs root, to give up its rights")
    root = tmp_path_factory.getbasetemp()
    while root != root.parent:
        root.chmod(root.stat().st_mode | 0o055)
        root = root.parent

    def call(folder: Path) -> str:
        words = [sys.executable, "-c", READ_AS_NOBODY, str(folder)]
        found = subprocess.run(words, capture_output=True, text=True, check=False)
        assert not found.stderr
        return found.stdout.strip()

    return call


def test_what_may_not_be_read_is_left_out(tmp_path, as_nobody):
    for name in ("a/1.png", "b/2.png", "c/3.png", "c/4.png"):
        touch(tmp_path / name)
    tmp_path.chmod(0o755)
    (tmp_path / "a").chmod(0o644)  # its names may be read, what is behind them may not
    (tmp_path / "b").chmod(0)
    (tmp_path / "c/3.png").chmod(0)
    try:
        found = as_nobody(tmp_path)
        assert "3 [" in found
        assert "LeftOut(name='b/', reason='no permission')" in found
        assert found.endswith("['no permission', 'no permission']")
        assert "DataProblem" in as_nobody(tmp_path / "b")
        assert "Permission denied" in as_nobody(tmp_path / "b" / "below")
    finally:
        for name in "ab":
            (tmp_path / name).chmod(0o755)


def test_a_root_that_is_none_is_named(tmp_path):
    with pytest.raises(DataProblem, match=r"absent: expected a folder of images, found nothing"):
        walk(tmp_path / "absent")
    with pytest.raises(DataProblem, match=r"x\.png: expected a folder of images, found a file"):
        walk(touch(tmp_path / "x.png"))
