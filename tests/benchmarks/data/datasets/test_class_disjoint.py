import dataclasses
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets import class_disjoint
from benchmarks.data.datasets.class_disjoint import Extent, read_table
from benchmarks.data.datasets.cub200 import CUB200, Cub200
from benchmarks.data.sources import image_files
from benchmarks.data.sources.download import md5_of

# Of four classes, two to train on; class 3 is listed before class 2 is done.
CLASSES = (1, 2, 3, 2, 1, 4, 3, 4, 4)
PATHS = [f"{number:03}.Bird/Bird_{row}.jpg" for row, number in enumerate(CLASSES)]
TRAIN = [path for path, number in zip(PATHS, CLASSES, strict=True) if number <= 2]
TEST = [path for path, number in zip(PATHS, CLASSES, strict=True) if number > 2]


def write_lists(folder, paths=PATHS, classes=CLASSES) -> None:
    lists = {
        "images.txt": enumerate(paths, 1),
        "image_class_labels.txt": enumerate(classes, 1),
        "classes.txt": ((number, f"{number:03}.Bird") for number in range(1, 5)),
    }
    for name, rows in lists.items():
        (folder / name).write_text("".join(f"{number} {value}\n" for number, value in rows))


@pytest.fixture
def folder(tmp_path, photos, monkeypatch):
    folder = tmp_path / "data" / "CUB_200_2011"
    photos(folder / "images", PATHS)
    write_lists(folder)
    facts = dataclasses.replace(
        CUB200,
        lists={name: md5_of(folder / name) for name in CUB200.lists},
        train=Extent(2, 4),
        test=Extent(2, 5),
    )
    monkeypatch.setattr(Cub200, "facts", facts)
    return folder


@pytest.fixture
def archive(folder, offer, mirror, monkeypatch) -> bytes:
    """The folder's content as the mirror's archive."""
    monkeypatch.setattr(Cub200, "facts", offer(Cub200.facts, folder, "whole"))
    return mirror.files["archive"]


def resized(file, side) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def test_classes_part_the_images_in_their_listed_order(folder):
    data = Cub200().load(folder.parent, 16)
    for split, paths in ((data.train, TRAIN), (data.test, TEST)):
        expected = [resized(folder / "images" / path, 16) for path in paths]
        np.testing.assert_array_equal(split.images, expected)
    assert data.train.labels.tolist() == [0, 1, 1, 0]
    assert data.test.labels.tolist() == [2, 3, 2, 3, 3]
    assert data.classes == ("001.Bird", "002.Bird", "003.Bird", "004.Bird")
    assert (data.mean, data.std) == (class_disjoint.MEAN, class_disjoint.STD)
    assert data.notes == ()
    facts = data.facts()
    assert facts["unseen"] is True
    assert "partial" not in facts


def test_256_pixels_unless_asked_otherwise(folder):
    assert Cub200().load(folder.parent).image_size == 256
    assert Cub200().load(folder.parent, 24).image_size == 24
    with pytest.raises(UsageProblem, match="expected at least 8 pixels, got 7"):
        Cub200().load(folder.parent, 7)


def test_images_are_decoded_once_into_the_cache(folder, monkeypatch, capsys):
    first = Cub200().load(folder, 16)
    assert "images resized into" in capsys.readouterr().err
    monkeypatch.setattr(class_disjoint, "decoder", None)
    with pytest.raises(TypeError):
        Cub200().load(folder, 17)
    monkeypatch.setattr(class_disjoint, "decoder", lambda paths, progress: None)
    monkeypatch.setattr(class_disjoint, "fits_in_memory", lambda size: False)
    again = Cub200().load(folder, 16)
    assert capsys.readouterr().err == ""
    assert first.digest == again.digest
    for one, other in ((first.train, again.train), (first.test, again.test)):
        assert isinstance(other.images, np.memmap)
        assert not isinstance(one.images, np.memmap)
        np.testing.assert_array_equal(one.images, other.images)


def test_a_folder_without_room_for_the_cache_costs_time_alone(folder, monkeypatch, capsys):
    expected = Cub200().load(folder, 16)
    for path in folder.glob("cub200-*"):
        path.unlink()
    capsys.readouterr()

    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    data = Cub200().load(folder, 16)
    np.testing.assert_array_equal(data.train.images, expected.train.images)
    assert data.digest == expected.digest
    assert "decoded into memory, anew by every command. Make room in" in capsys.readouterr().err
    monkeypatch.setattr(image_files, "fits_in_memory", lambda size: False)
    with pytest.raises(DataProblem, match="more than half of the free memory"):
        Cub200().load(folder, 16)


def test_another_photograph_of_the_same_size_is_decoded_anew(folder):
    Image.new("RGB", (20, 20), (1, 2, 3)).save(folder / "images" / TRAIN[2], "BMP")
    first = Cub200().load(folder, 16)
    Image.new("RGB", (20, 20), (200, 2, 3)).save(folder / "images" / TRAIN[2], "BMP")
    second = Cub200().load(folder, 16)
    assert first.digest == second.digest  # which is of names and sizes
    assert second.train.images[2, 0, 0].tolist() == [200, 2, 3]


def test_another_file_of_a_listed_name_is_another_content(folder):
    first = Cub200().load(folder, 16)
    Image.new("RGB", (50, 60), (9, 90, 200)).save(folder / "images" / TRAIN[0])
    second = Cub200().load(folder, 16)
    assert first.digest != second.digest
    assert (first.train.images[0] != second.train.images[0]).any()
    np.testing.assert_array_equal(first.train.images[1:], second.train.images[1:])


def leave_out(folder, class_id) -> None:
    """Make it a copy without a class."""
    kept = [pair for pair in zip(PATHS, CLASSES, strict=True) if pair[1] != class_id]
    write_lists(folder, *zip(*kept, strict=True))
    shutil.rmtree(folder / "images" / f"{class_id:03}.Bird")


@pytest.fixture
def larger(folder, monkeypatch):
    """The official data set has a class and images more than the copy."""
    facts = dataclasses.replace(Cub200.facts, train=Extent(2, 5), test=Extent(3, 7))
    monkeypatch.setattr(Cub200, "facts", facts)
    return folder


def test_a_partial_copy_needs_leave(larger):
    with pytest.raises(DataProblem) as caught:
        Cub200().load(larger.parent, 16)
    message = str(caught.value)
    assert "expected 5 images of 2 classes to train on and 7 images of 3 classes" in message
    assert "found 4 images of 2 classes to train on and 5 images of 2 classes" in message
    assert "--partial" in message
    assert f"`bench data cub200 --data {larger.parent}`" in message
    assert not list(larger.glob("cub200-*"))


def test_a_partial_copy_says_so(larger):
    data = Cub200().load(larger.parent, 16, partial=True)
    assert data.partial
    assert data.facts()["partial"] is True
    assert "partial copy" in data.notes[0]
    assert "found 4 images of 2 classes to train on" in data.notes[0]


def test_labels_count_the_classes_that_are_there(folder, monkeypatch):
    facts = dataclasses.replace(Cub200.facts, train=Extent(1, 9), test=Extent(3, 9))
    monkeypatch.setattr(Cub200, "facts", facts)
    monkeypatch.setattr(class_disjoint, "FEWEST_CLASSES", 1)
    leave_out(folder, 2)
    data = Cub200().load(folder, 16, partial=True)
    assert data.classes == ("001.Bird", "003.Bird", "004.Bird")
    assert data.train.labels.tolist() == [0, 0]
    assert data.test.labels.tolist() == [1, 2, 1, 2, 2]


def test_a_whole_copy_is_never_partial(folder):
    asked, plain = Cub200().load(folder, 16, partial=True), Cub200().load(folder, 16)
    assert asked.facts() == plain.facts()
    assert asked.notes == ()


def test_altered_lists_of_the_right_size_make_a_partial_copy(folder):
    (folder / "classes.txt").write_text("1 a\n2 b\n3 c\n4 d\n")
    with pytest.raises(DataProblem, match=r"not the MD5 of classes\.txt\. To use it as it is"):
        Cub200().load(folder, 16)
    assert Cub200().load(folder, 16, partial=True).partial


@pytest.mark.parametrize(
    ("paths", "classes", "words"),
    [
        (["a", "b"], [1, 5], "expected classes 1..4, found 5"),
        (["a", "b"], [0, 1], "expected classes 1..4, found 0"),
        (["a", "b", "a"], [1, 2, 3], "expected each image once, found repeated a"),
        (["a", "b", "c"], [1, 2, 3], "2 or more classes in either part, found 2 images of 2"),
        (["a", "b", "c"], [1, 3, 4], "2 or more classes in either part"),
        ([], [], "2 or more classes in either part"),
        (map(str, range(8)), [1, 2, 1, 2, 1, 2, 3, 4], "expected at most 4 images of 2 classes"),
    ],
)
def test_lists_that_make_no_sense_are_refused_even_in_part(folder, paths, classes, words):
    write_lists(folder, paths, classes)
    with pytest.raises(DataProblem, match=re.escape(words)) as caught:
        Cub200().load(folder, 16, partial=True)
    assert "To repair, move" in str(caught.value)


def test_a_class_without_a_name_is_refused(folder):
    (folder / "classes.txt").write_text("1 a\n2 b\n3 c\n")
    with pytest.raises(DataProblem, match="a name for each class, found none for 4"):
        Cub200().load(folder, 16, partial=True)


@pytest.mark.parametrize("name", CUB200.lists)
def test_a_missing_list_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataProblem, match=rf"{name} is missing\. To repair, move"):
        Cub200().load(folder, 16, partial=True)


def test_absent_images_are_named(folder):
    for path in PATHS[:7]:
        (folder / "images" / path).unlink()
    with pytest.raises(DataProblem) as caught:
        Cub200().load(folder, 16, partial=True)
    assert "7 of 9 listed images are absent: 001.Bird/Bird_0.jpg" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert not list(folder.glob("cub200-*"))


def test_a_damaged_image_leaves_nothing_half_built(folder):
    (folder / "images" / PATHS[4]).write_bytes(b"no image")
    with pytest.raises(DataProblem, match=r"Bird_4\.jpg \(cannot be read\)"):
        Cub200().load(folder, 16)
    assert not list(folder.glob("cub200-*"))
    with pytest.raises(DataProblem, match=r"Bird_4\.jpg"):
        Cub200().fetch(folder)


def test_fetch_brings_the_archive_once(archive, mirror, tmp_path):
    lines = []
    Cub200().fetch(tmp_path / "fresh", lines.append)
    Cub200().fetch(tmp_path / "fresh", lines.append)
    assert len(mirror.log) == 1
    assert lines[-1].startswith("cub200: all 9 images are whole in")
    assert len(Cub200().load(tmp_path / "fresh", 16).train) == 4


def test_an_archive_that_is_there_is_unpacked(archive, tmp_path):
    root = tmp_path / "fresh"
    root.mkdir()
    (root / "CUB_200_2011.tgz").write_bytes(archive)
    assert len(Cub200().load(root, 16).test) == 5


def test_a_wrong_archive_is_refused(archive, tmp_path):
    root = tmp_path / "fresh"
    root.mkdir()
    (root / "CUB_200_2011.tgz").write_bytes(archive[:-9])
    with pytest.raises(DataProblem, match=r"is damaged: expected MD5 .* run `bench data cub200"):
        Cub200().load(root, 16)
    assert not (root / "CUB_200_2011").exists()


def test_fetch_overwrites_no_partial_copy(larger, mirror):
    with pytest.raises(DataProblem, match="is not the whole of cub200"):
        Cub200().fetch(larger.parent)
    assert mirror.log == []


def test_nothing_here_is_told_with_what_to_do(tmp_path):
    with pytest.raises(DataProblem, match=r"looked for .*CUB_200_2011\.tgz\. Run `bench data cub"):
        Cub200().load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "images.txt").write_bytes(b"1 \xff\xfe.jpg")
    with pytest.raises(DataProblem, match=r"images\.txt cannot be read"):
        read_table(tmp_path / "images.txt", int, str)
