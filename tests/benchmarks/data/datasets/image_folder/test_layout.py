from pathlib import Path

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.image_folder.layout import Layout, understand
from benchmarks.data.datasets.image_folder.names import dates_among, role
from benchmarks.data.datasets.image_folder.tree import ImageFile, LeftOut, Tree

ROOT = Path("/nowhere")


def tree(*names: str, left_out: tuple[tuple[str, str], ...] = ()) -> Tree:
    """Return what is below a folder; "a/3" stands for a/0.png, a/1.png and a/2.png."""
    files = []
    for name in names:
        above, _, count = name.rpartition("/")
        if not count.isdigit():
            files.append(name)
            continue
        files += [f"{above}/{number}.png".removeprefix("/") for number in range(int(count))]
    images = tuple(sorted(ImageFile(file, ROOT / file) for file in files))
    return Tree(images, tuple(LeftOut(*one) for one in left_out))


def shape(layout: Layout) -> tuple[dict, dict, dict]:
    """Return how many images of each class are for training, for testing and for voting."""
    counts = []
    for part in (layout.train, layout.test, layout.bank):
        of_class: dict = {}
        for entry in part:
            of_class[entry.label] = of_class.get(entry.label, 0) + 1
        counts.append(of_class)
    return tuple(counts)


def lost(layout: Layout) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, reason in layout.left_out:
        counts[reason] = counts.get(reason, 0) + 1
    return counts


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training", "Training"])
@pytest.mark.parametrize(
    "test",
    ["test", "Test", "testing", "val", "valid", "Validation", "DEV"],
)
def test_parts_have_many_names(train, test):
    layout = understand(tree(f"{train}/a/3", f"{train}/b/2", f"{test}/a/1", f"{test}/b/2"))
    assert shape(layout) == ({"a": 3, "b": 2}, {"a": 1, "b": 2}, {})
    assert f"tested on {test}/" in layout.how


def test_of_several_held_out_folders_test_is_scored_and_the_others_are_said():
    layout = understand(
        tree("train/a/3", "train/b/3", "val/a/2", "val/b/2", "dev/a/1", "test/a/1", "test/b/1")
    )
    assert shape(layout)[1] == {"a": 1, "b": 1}
    assert lost(layout) == {"image of another held-out folder": 5}
    assert "val is not scored (4 images): test is the test set" in layout.how


def test_two_held_out_folders_without_a_test_folder_are_refused():
    with pytest.raises(DataProblem, match=r"val, dev|dev, val.*Rename one of them to test"):
        understand(tree("train/a/3", "train/b/3", "val/a/2", "dev/a/1"))


def test_a_flat_test_folder_cannot_be_scored():
    layout = understand(tree("train/a/6", "train/b/6", "test/4"))
    assert shape(layout) == ({"a": 5, "b": 5}, {"a": 1, "b": 1}, {})
    assert lost(layout) == {"test image without a label": 4}
    assert "test is not scored (4 images): it has no labels" in layout.how
    wrapped = understand(tree("train/a/6", "train/b/6", "test/images/4"))
    assert (shape(wrapped), lost(wrapped)) == (shape(layout), lost(layout))


def test_a_pool_beside_labelled_test_images_is_trained_on_and_half_of_them_vote():
    layout = understand(tree("train/10", "test/a/4", "test/b/3", "test/c/1"))
    assert shape(layout) == ({None: 10}, {"a": 2, "b": 1}, {"a": 2, "b": 2, "c": 1})
    assert "none is trained on" in layout.how
    assert not layout.left_out


def test_a_pool_beside_test_classes_of_one_image_each_is_not_scored():
    layout = understand(tree("train/10", "test/a/1", "test/b/1"))
    assert shape(layout) == ({None: 10}, {}, {})
    assert lost(layout) == {"test image without a label": 2}


@pytest.mark.parametrize("above", ["mine/", "archive/mine/"])
def test_folders_too_many_above_are_passed_and_said(above):
    names = ("train/a/3", "train/b/2", "test/a/1", "test/b/1")
    layout = understand(tree(*(above + name for name in names)))
    assert shape(layout) == ({"a": 3, "b": 2}, {"a": 1, "b": 1}, {})
    assert f"read from {above}" in layout.how
    classes = understand(tree(f"{above}a/5", f"{above}b/5"))
    assert shape(classes) == ({"a": 4, "b": 4}, {"a": 1, "b": 1}, {})


def test_folders_too_many_inside_the_parts_are_passed():
    layout = understand(
        tree("train/images/a/3", "train/images/b/2", "test/images/a/1", "test/images/b/1")
    )
    assert shape(layout) == ({"a": 3, "b": 2}, {"a": 1, "b": 1}, {})


def test_a_chain_beside_a_folder_that_cannot_be_read_is_one_class():
    names = ("a/x/3", "a/y/3")
    assert len(shape(understand(tree(*names)))[0]) == 2
    blocked = understand(tree(*names, left_out=(("b/", "no permission"),)))
    assert shape(blocked) == ({None: 6}, {}, {})


def test_images_deep_below_a_class_are_of_the_class():
    layout = understand(tree("a/2019/trip/3", "a/2", "b/x/y/z/5"))
    assert shape(layout) == ({"a": 4, "b": 4}, {"a": 1, "b": 1}, {})


@pytest.mark.parametrize(
    "names",
    [
        ("2021-05-03/3", "2021-05-04/3"),
        ("20210503/3", "20210504/3", "Paris/3"),
        ("2020/3", "2021/5"),
        ("2021/05/3", "2021/06/3"),
        ("2021-05-03 Paris/3", "2021-05-04_Rome/3"),
        ("03.05.2021/2", "04.05.2021/2"),
        ("May 2021/2", "June 2021/2"),
        ("train/2021-05-03/3", "train/2021-05-04/3"),
    ],
)
def test_dates_are_refused_as_classes(names):
    with pytest.raises(DataProblem, match=r"named by dates.*one folder.*labels\.csv"):
        understand(tree(*names))


@pytest.mark.parametrize(
    "names", [["0", "1", "2"], ["05", "06"], ["n01440764", "n01443537"], ["1", "may"]]
)
def test_numbers_and_names_are_no_dates(names):
    assert dates_among(names, "mine") == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a/3", "b/3", "test/a/1"), "no folder train"),
        (("a/3", "b/3", "val/3"), "no folder train"),
        (("test/a/3", "test/b/3"), "no folder train"),
        (("Train/a/1", "train/b/1"), "expected one such folder, found 2"),
        (("train/a/1", "train/b/1", "test/a/1", "testing/a/1"), "expected one such folder"),
        (("train/a/3", "train/b/3", "bus/3"), "training images or a class: there are bus"),
        (("train/3", "test/3", "bus/3"), "training images or a class"),
        (("a/train/3", "a/test/3", "b/train/3", "b/test/3"), "folder test inside a"),
        (("cover.png", "mine/train/a/3", "mine/test/a/3"), "folder test inside mine"),
        (("train/Cat/3", "train/dog/3", "test/cat/3", "test/dog/1"), "letter case alone"),
        (("9", "a/2", "b/2"), "9 images lie outside the folders a, b and 4 inside"),
        (("train/test/3", "train/a/3"), "test images, or a class"),
    ],
)
def test_what_is_ambiguous_is_refused_in_a_line(names, words):
    with pytest.raises(DataProblem) as problem:
        understand(tree(*names))
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)


def test_test_images_that_cannot_be_read_are_not_replaced_in_silence():
    with pytest.raises(DataProblem, match="test: this folder cannot be read"):
        understand(tree("train/a/6", "train/b/6", left_out=(("test/", "no permission"),)))


def test_images_outside_the_parts_are_counted():
    layout = understand(tree("1", "train/a/3", "train/b/3", "test/a/1", "extra/2"))
    assert lost(layout) == {"image outside the folders for training and testing": 3}


def test_folders_without_images_change_nothing():
    names = ("train/6", "test/6")
    left_out = (("results/", "results of this suite"), ("docs/", "folder without an image"))
    plain, beside = understand(tree(*names)), understand(tree(*names, left_out=left_out))
    assert plain == beside
    assert shape(plain) == ({None: 6}, {}, {})


def test_labels_in_a_folder_below_are_named():
    below = (("mine/labels.csv", "labels.csv below the top"),)
    with pytest.raises(DataProblem, match=r"mine/labels\.csv is not at the top.*--data DIR/mine/"):
        understand(tree("mine/5", left_out=below))


def test_roles_of_names():
    assert [role(n) for n in ("Training", "TEST", "valid", "dev", "trains")] == [
        "train", "test", "val", "val", None
    ]  # fmt: skip
