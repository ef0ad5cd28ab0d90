from pathlib import Path

import pytest

from benchmarks.runs.folder_names import PART_BYTES, folder_name, path_part


@pytest.mark.parametrize(
    "name",
    ["..", "../../x", "a/b", "a:b", "~", "a\0b", "\r\n", "", "x" * 999, "猫" * 999, "\udcff"],
)
def test_names_in_paths_lead_nowhere_and_are_bounded(name):
    folder = folder_name(name, name, name, 0, "ab" * 32)
    assert Path(folder).name == folder
    assert folder.isprintable()
    assert len(folder.encode()) < 255 - len(".part")
    assert path_part(name)[0] not in ".~"


def test_usual_names_stay_and_long_ones_are_told_apart():
    assert folder_name("digits", "nce", "my recipe", 3, "ab" * 32) == (
        "digits-nce-my recipe-s3-abababab"
    )
    assert path_part("x" * 99 + "a") != path_part("x" * 99 + "b")


@pytest.mark.parametrize("name", ["猫" * 22, "é" * 40, "a" + "ß" * 99])
def test_a_long_name_is_cut_between_letters(name):
    part = path_part(name)
    assert len(part.encode()) <= PART_BYTES
    kept, _, digest = part.rpartition("-")
    assert name.startswith(kept)
    assert len(digest) == 8


def test_a_name_of_just_the_most_bytes_stays_whole():
    assert path_part("x" * PART_BYTES) == "x" * PART_BYTES
    assert path_part("猫" * 21 + "x") == "猫" * 21 + "x"


def test_one_configuration_has_a_folder_for_each_seed_and_key():
    names = {
        folder_name("d", "m", "r", seed, key) for seed in (0, 1) for key in ("a" * 64, "b" * 64)
    }
    assert len(names) == 4
