import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets.base import with_copies_noted
from benchmarks.data.datasets.image_folder.dataset import Folder

RANDOM = np.random.default_rng(0)


def picture(path: Path, width: int = 40, height: int = 36, mode: str = "RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def load(root: Path, image_size: int | None = None):
    return Folder().load(root, image_size)


def expected_pixels(path: Path, side: int = 32) -> np.ndarray:
    """Return what torchvision makes of the file: an independent reference."""
    transform = v2.Compose([v2.Resize(side), v2.CenterCrop(side)])
    with Image.open(path) as image:
        return np.asarray(transform(image.convert("RGB")))


@pytest.fixture
def classes(tmp_path) -> Path:
    """DIR/CLASS/*: 12 apes, 5 bees, 2 cats and 1 dog."""
    for name, count in (("ape", 12), ("bee", 5), ("cat", 2), ("dog", 1)):
        for number in range(count):
            picture(tmp_path / name / f"{number:02}.png")
    return tmp_path


def test_class_folders_give_every_fifth_image_to_the_test(classes):
    data = load(classes)
    assert data.classes == ("ape", "bee", "cat", "dog")
    assert np.bincount(data.train.labels).tolist() == [9, 4, 1, 1]
    assert np.bincount(data.test.labels, minlength=4).tolist() == [3, 1, 1, 0]
    tested = ["ape/01", "ape/06", "ape/11", "bee/01", "cat/01"]
    for image, name in zip(data.test.images, tested, strict=True):
        np.testing.assert_array_equal(image, expected_pixels(classes / f"{name}.png"))
    assert data.notes == ()


def test_the_split_does_not_depend_on_content(classes):
    before = load(classes)
    for path in classes.rglob("*.png"):
        picture(path)
    after = load(classes)
    assert before.test.labels.tolist() == after.test.labels.tolist()
    assert before.digest != after.digest


def test_one_image_per_class_is_all_training(tmp_path):
    for name in "ab":
        picture(tmp_path / name / "x.png")
    data = load(tmp_path)
    assert data.test is None
    assert data.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize("part", ["test", "val"])
def test_train_and_test_folders(tmp_path, part):
    for place, count in (
        ("train/ape", 3),
        ("train/bee", 2),
        (f"{part}/ape", 1),
        (f"{part}/bee", 2),
    ):
        for number in range(count):
            picture(tmp_path / place / f"{number}.jpg")
    data = load(tmp_path)
    assert data.classes == ("ape", "bee")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(
        data.test.images[0], expected_pixels(tmp_path / part / "ape/0.jpg")
    )


def test_test_is_preferred_to_val_when_it_is_labelled(tmp_path):
    for place in ("train/ape", "train/bee", "val/ape", "val/ape2"):
        picture(tmp_path / place / "x.png")
    picture(tmp_path / "test" / "unlabelled.png")
    data = load(tmp_path)
    assert data.test.labels.tolist() == [0, 1]
    assert data.notes == ("test classes without a training image: ape2",)
    for name in ("ape", "bee"):
        picture(tmp_path / "test" / name / "y.png")
    data = load(tmp_path)
    assert data.classes == ("ape", "bee")
    assert data.notes == ("1 images outside class folders left out, such as test/unlabelled.png",)


def test_train_alone_is_split(tmp_path):
    for number in range(5):
        picture(tmp_path / "train/ape" / f"{number}.png")
        picture(tmp_path / "train/bee" / f"{number}.png")
    data = load(tmp_path)
    assert (len(data.train), data.test.labels.tolist()) == (8, [0, 1])


def test_train_may_be_the_name_of_a_class(tmp_path):
    for name in ("bus", "car", "train"):
        picture(tmp_path / name / "1.png")
    assert load(tmp_path).classes == ("bus", "car", "train")


def test_unlabelled_parts(tmp_path):
    picture(tmp_path / "train/1.png")
    picture(tmp_path / "test/2.png")
    data = load(tmp_path)
    assert (len(data.train), data.train.labels, data.test, data.classes) == (1, None, None, ())


def test_a_flat_folder_is_unlabelled_and_in_sorted_order(tmp_path):
    names = ["b.PNG", "a10.jpeg", "a2.webp", "C.bmp", "d.gif", "e.tif"]
    for name in names:
        picture(tmp_path / name)
    data = load(tmp_path)
    assert (data.train.labels, data.test, data.classes, data.labelled) == (None, None, (), False)
    for image, name in zip(data.train.images, sorted(names), strict=True):
        np.testing.assert_array_equal(image, expected_pixels(tmp_path / name))


def test_a_single_class_folder_is_unlabelled(tmp_path):
    picture(tmp_path / "photos/1.png")
    picture(tmp_path / "photos/deeper/2.png")
    picture(tmp_path / "0.png")
    data = load(tmp_path)
    assert (len(data.train), data.labelled) == (3, False)
    assert data.notes == ("one class only (photos), so treated as unlabelled",)


@pytest.mark.parametrize("side", [None, 8, 17, 50])
@pytest.mark.parametrize("size", [(40, 40), (61, 33), (33, 61), (9, 200), (10, 10)])
def test_resize_and_crop_match_torchvision(tmp_path, size, side):
    path = picture(tmp_path / "x.png", *size)
    images = load(tmp_path, side).train.images
    assert images.shape == (1, side or 32, side or 32, 3)
    np.testing.assert_array_equal(images[0], expected_pixels(path, side or 32))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"), ("CMYK", "jpg")],
)
def test_other_modes_become_rgb(tmp_path, mode, suffix):
    path = picture(tmp_path / f"x.{suffix}", mode=mode)
    with Image.open(path) as image:
        assert image.mode == mode
    np.testing.assert_array_equal(load(tmp_path).train.images[0], expected_pixels(path))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_keep_their_contrast(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / f"x.{suffix}")
    image = load(tmp_path).train.images[0]
    np.testing.assert_allclose(image[..., 0], ramp / 257, atol=0.6)
    assert (image == image[..., :1]).all()


def test_a_palette_with_transparency_gives_no_warning(tmp_path, recwarn):
    picture(tmp_path / "x.png", mode="P", transparency=bytes(range(100)))
    assert load(tmp_path).train.images.shape == (1, 32, 32, 3)
    assert not recwarn.list


def test_photographs_are_turned_as_their_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = picture(tmp_path / "x.png", exif=exif)
    with Image.open(turned) as image:
        upright = image.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    upright.save(tmp_path / "y.png")
    images = load(tmp_path).train.images
    np.testing.assert_array_equal(images[0], images[1])


def test_unusable_files_are_left_out_with_their_reason(classes):
    whole = picture(classes / "ape" / "whole.jpg", 100, 100).read_bytes()
    (classes / "ape" / "whole.jpg").unlink()
    (classes / "ape" / "03.png").write_bytes(b"")
    (classes / "ape" / "broken.jpg").write_bytes(b"not a jpeg")
    (classes / "bee" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    picture(classes / "cat" / "tiny.png", 7, 300)
    data = load(classes)
    assert data.notes == (
        "4 of 23 files left out: ape/03.png (empty), ape/broken.jpg (cannot be read), "
        "bee/cut.jpg (truncated), cat/tiny.png (7x300 is smaller than 8 pixels)",
    )
    assert len(data.train) + len(data.test) == 19
    np.testing.assert_array_equal(data.train.images[2], expected_pixels(classes / "ape/04.png"))


def test_a_long_list_of_unusable_files_is_cut(tmp_path):
    picture(tmp_path / "good.png")
    for number in range(8):
        (tmp_path / f"bad{number}.png").write_bytes(b"?")
    (note,) = load(tmp_path).notes
    assert note.startswith("8 of 9 files left out: bad0.png (cannot be read), ")
    assert note.endswith("bad4.png (cannot be read) and 3 more")


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("damage", [slice(0, 60), slice(0, 400), slice(0, -1), slice(10, None)])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_no_damage_is_a_crash(tmp_path, suffix, damage):
    whole = picture(tmp_path / f"x.{suffix}").read_bytes()
    (tmp_path / f"x.{suffix}").write_bytes(whole[damage])
    picture(tmp_path / "good.png")
    data = load(tmp_path)
    assert len(data.train) == 2 - len(data.notes)


def test_hidden_files_other_files_and_loops_are_ignored(classes):
    expected = load(classes)
    picture(classes / ".hidden.png")
    picture(classes / ".git" / "x.png")
    picture(classes / "ape" / "._00.png")
    (classes / "ape" / "labels.txt").write_text("no image")
    (classes / "README").write_text("no image")
    (classes / "empty").mkdir()
    (classes / "folder.png").mkdir()
    (classes / "ape" / "loop").symlink_to(classes)
    (classes / "ape" / "gone.png").symlink_to(classes / "nowhere.png")
    (classes / "ape" / "self.png").symlink_to(classes / "ape" / "self.png")
    os.mkfifo(classes / "ape" / "pipe.png")
    data = load(classes)
    assert data.digest == expected.digest
    assert data.notes == ()


def test_links_to_files_and_class_folders_are_followed(tmp_path):
    picture(tmp_path / "store/1.png")
    picture(tmp_path / "other/2.png")
    root = tmp_path / "root"
    (root / "bee").mkdir(parents=True)
    (root / "ape").symlink_to(tmp_path / "store")
    (root / "bee/x.png").symlink_to(tmp_path / "other/2.png")
    assert load(root).train.labels.tolist() == [0, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_file_names_need_not_be_unicode(tmp_path):
    for name in (b"caf\xe9", b"bar"):
        folder = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
        os.mkdir(folder)
        picture(Path(folder) / "x.png")
    assert load(tmp_path).classes == ("bar", "caf\\xe9")


def test_normalisation_is_that_of_the_train_pixels(classes):
    data = load(classes)
    unit = data.train.images / 255
    np.testing.assert_allclose(data.mean, unit.mean((0, 1, 2)))
    np.testing.assert_allclose(data.std, unit.std((0, 1, 2)))


def test_the_digest_identifies_the_content(classes):
    first = load(classes).digest
    assert load(classes).digest == first
    digests = {first, load(classes, 16).digest}
    (classes / "ape/00.png").rename(classes / "ape/000.png")
    digests.add(load(classes).digest)
    (classes / "dog").rename(classes / "eel")
    digests.add(load(classes).digest)
    picture(classes / "bee/04.png")
    digests.add(load(classes).digest)
    assert len(digests) == 5


def test_the_place_of_the_folder_does_not_matter(classes, tmp_path_factory):
    first = load(classes).digest
    moved = classes.rename(tmp_path_factory.mktemp("elsewhere") / "moved")
    assert load(moved).digest == first


def test_errors_name_the_folder(tmp_path):
    with pytest.raises(DataProblem, match=r"absent: expected a folder of images, found nothing"):
        load(tmp_path / "absent")
    with pytest.raises(DataProblem, match=r"x\.png: expected a folder of images, found a file"):
        load(picture(tmp_path / "x.png"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataProblem, match=r"No image in .*empty.*--data DIR"):
        load(empty)
    (empty / "bad.jpg").write_bytes(b"?")
    with pytest.raises(
        DataProblem, match=r"No usable training image in .*empty: 1 of 1 .*bad\.jpg"
    ):
        load(empty)
    with pytest.raises(UsageProblem, match="at least 8 pixels, got 4"):
        load(tmp_path, 4)


def test_fetch_reports_what_is_there(classes):
    (classes / "ape" / "bad.png").write_bytes(b"?")
    lines = []
    Folder().fetch(classes, lines.append)
    assert lines[0].startswith(f"{classes}: 15 training and 5 test images, 4 classes")
    assert "1 of 21 files left out: ape/bad.png (cannot be read)" in lines


def test_what_was_understood_is_said_in_two_lines(classes):
    (classes / "ape" / "03.png").write_bytes(b"")
    (classes / "ape" / "notes.txt").write_text("no image")
    (classes / "gone.png").symlink_to(classes / "nowhere")
    (classes / "empty").mkdir()
    data = load(classes)
    images, size, *_ = data.understood
    assert "14 training and 5 test images, 4 classes (ape, bee, cat, dog)" in images
    assert "every fifth image of a class" in images
    assert "32 x 32" in size
    assert "median 36" in size
    assert data.left_out == {
        "empty": 1,
        "unknown kind of file": 1,
        "link to nothing": 1,
        "folder without an image": 1,
    }
    assert all(reason in size for reason in data.left_out)
    assert data.path == str(classes)


def test_an_unusable_file_does_not_move_the_split(classes):
    before = {str(label): image for label, image in enumerate(load(classes).test.images)}
    (classes / "ape" / "00.png").write_bytes(b"")
    after = load(classes)
    assert len(after.test) == len(before)
    np.testing.assert_array_equal(after.test.images[0], before["0"])


@pytest.mark.parametrize(
    ("shorter", "side"), [(20, 32), (48, 32), (49, 64), (96, 64), (97, 96), (300, 96)]
)
def test_the_size_is_chosen_from_the_images_and_said(tmp_path, shorter, side):
    for number in range(3):
        picture(tmp_path / f"{number}.png", shorter + 10 * number, shorter)
    (tmp_path / "bad.png").write_bytes(b"?")
    data = load(tmp_path)
    assert data.image_size == side
    assert f"images become {side} x {side} pixels" in data.understood[1]
    assert "recipe.image_size" in data.understood[1]
    assert load(tmp_path, 40).image_size == 40


def test_a_pool_is_trained_on_and_test_folders_are_scored_from_their_own_half(tmp_path):
    for number in range(6):
        picture(tmp_path / "train" / f"{number}.png")
        for name in ("ape", "bee"):
            picture(tmp_path / "Test" / name / f"{number}.png")
    data = load(tmp_path)
    assert (len(data.train), data.train.labels) == (6, None)
    assert (
        np.bincount(data.bank.labels).tolist() == np.bincount(data.test.labels).tolist() == [3, 3]
    )
    assert data.labelled
    np.testing.assert_array_equal(data.test.images[0], expected_pixels(tmp_path / "Test/ape/1.png"))
    np.testing.assert_array_equal(data.bank.images[0], expected_pixels(tmp_path / "Test/ape/0.png"))


def test_test_classes_that_are_all_new_are_retrieved_from_among_themselves(tmp_path):
    for place in ("train/ape", "train/bee", "test/cat", "test/dog"):
        for number in range(3):
            picture(tmp_path / place / f"{number}.png")
    data = load(tmp_path)
    assert data.unseen
    assert any("no test class is trained on" in line for line in data.understood)


def test_labels_come_from_a_file(tmp_path):
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    rows = [f"{n}.png,{'ab'[n % 2]},{'test' if n > 3 else 'train'}" for n in (5, 1, 2, 3, 4)]
    (tmp_path / "Labels.csv").write_text("\n".join(["File,Label,Split", *rows]))
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.test.images[1], expected_pixels(tmp_path / "5.png"))
    assert data.left_out == {"image not listed in labels.csv": 1}
    (tmp_path / "labels.CSV").write_text("file,label\n")
    with pytest.raises(DataProblem, match="several files of labels"):
        load(tmp_path)


def test_images_without_a_label_are_trained_on_beside_labelled_ones(tmp_path):
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    rows = ["0.png,a", "1.png,a", "2.png,b", "3.png,b", "4.png,", "5.png,"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    data = load(tmp_path)
    assert (len(data.train), data.train.labels) == (4, None)
    assert data.bank.labels.tolist() == data.test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.bank.images[1], expected_pixels(tmp_path / "2.png"))


def test_copies_of_training_images_in_the_test_folder_are_said(tmp_path):
    for name in ("ape", "bee"):
        for number in range(3):
            picture(tmp_path / "train" / name / f"{number}.png")
        picture(tmp_path / "test" / name / "0.png")
    whole = (tmp_path / "train/ape/1.png").read_bytes()
    (tmp_path / "test/ape/0.png").write_bytes(whole)
    (tmp_path / "train/bee/copy.png").write_bytes(whole)
    notes = " ".join(with_copies_noted(load(tmp_path)).notes)
    assert "1 of 2 test images are copies of training images" in notes
    assert "1 of 7 training images are copies of another one" in notes


def test_folders_too_small_to_tell_say_so(tmp_path):
    picture(tmp_path / "ape/1.png")
    picture(tmp_path / "bee/1.png")
    assert "labelled, but there is no test image" in load(tmp_path).understood[2]
    picture(tmp_path / "bee/2.png")
    words = " ".join(load(tmp_path).understood[2:])
    assert "a single test image" in words
    assert "1 class with a single image (ape)" in words
    picture(tmp_path / "bee/3.png")
    for number in (4, 5, 6, 7):
        picture(tmp_path / "bee" / f"{number}.png")
    assert "each test class" not in " ".join(load(tmp_path).understood)
    assert "all test images are of one class (bee)" in " ".join(load(tmp_path).understood)


def test_test_classes_of_a_single_image_are_said(tmp_path):
    for name in ("ape", "bee"):
        for number in range(3):
            picture(tmp_path / name / f"{number}.png")
    words = " ".join(load(tmp_path).understood[2:])
    assert "each test class has a single image" in words


def test_a_refusal_names_the_folder_and_what_was_left_out(tmp_path):
    picture(tmp_path / "test/ape/1.png")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataProblem, match=r"no folder train.*folder without an image: train/"):
        load(tmp_path)


def test_test_images_for_which_nothing_votes_are_left_out_and_counted(tmp_path):
    picture(tmp_path / "train/1.png")
    for name in ("ape", "bee"):
        picture(tmp_path / "test" / name / "1.png")
        (tmp_path / "test" / name / "0.png").write_bytes(b"?")
    data = load(tmp_path)
    assert (data.test, data.bank) == (None, None)
    assert data.left_out == {"cannot be read": 2, "test image without a label": 2}


def test_a_class_of_which_nothing_can_be_read_is_said(tmp_path):
    for number in range(6):
        picture(tmp_path / "ape" / f"{number}.png")
        path = tmp_path / "bee" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"?")
    assert "all images that vote are of one class (ape)" in " ".join(load(tmp_path).understood)
