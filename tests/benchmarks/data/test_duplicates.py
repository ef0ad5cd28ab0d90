import numpy as np
import pytest

from benchmarks.data import duplicates
from benchmarks.data.duplicates import duplicate_notes

RANDOM = np.random.default_rng(0)


def images(count: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, 9, 8, 3), np.uint8)


def by_comparison(train, bank, test) -> tuple[int, int]:
    """Count test copies and repeated training images pair by pair."""
    seen = [*train, *([] if bank is None else bank)]
    copies = sum(any((image == other).all() for other in seen) for image in test)
    repeated = sum(
        any((image == other).all() for other in train[:place]) for place, image in enumerate(train)
    )
    return copies, repeated


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_comparing_all_pairs(seed):
    rng = np.random.default_rng(seed)
    # Few grey levels in few pixels, so that images and middle rows coincide by chance.
    parts = [rng.integers(0, 2, (count, 2, 1, 3), np.uint8) for count in (12, 6, 8)]
    train, bank, test = parts
    copies, repeated = by_comparison(train, bank, test)
    notes = " ".join(duplicate_notes(train, bank, test))
    assert (f"{copies} of 8 test images are copies" in notes) == bool(copies)
    assert (f"{repeated} of 12 training images are copies" in notes) == bool(repeated)


def test_different_images_give_no_note():
    assert duplicate_notes(images(20), None, images(5)) == ()
    assert duplicate_notes(images(20), images(3), None) == ()


def test_images_that_differ_outside_their_middle_are_different():
    train = images(3)
    test = train.copy()
    test[:, 0, 0, 0] ^= 1
    assert duplicate_notes(train, None, test) == ()


def test_a_bank_of_training_images_is_no_repetition():
    train = images(6)
    assert duplicate_notes(train, train[:3], images(2)) == ()


def test_a_test_image_in_the_bank_is_a_copy():
    bank = images(4)
    (note,) = duplicate_notes(images(6), bank, bank[1:3])
    assert note.startswith("2 of 2 test images are copies of training images")


def test_many_images_on_disk_are_not_read_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "SEARCHED_ON_DISK", 5)
    train = images(6)
    np.save(tmp_path / "train.npy", train)
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    (note,) = duplicate_notes(mapped, None, train)
    assert "not looked for" in note
    monkeypatch.setattr(duplicates, "SEARCHED_ON_DISK", 6)
    (note,) = duplicate_notes(mapped, None, train[:2])
    assert note.startswith("2 of 2")
