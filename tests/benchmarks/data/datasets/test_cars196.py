import dataclasses
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.cars196 import CARS196, Cars196
from benchmarks.data.datasets.class_disjoint import Extent, Parts, Photo, parts_of
from benchmarks.data.sources.download import md5_of

CLASSES = (1, 99, 98, 1, 100, 98, 99)
FIELDS = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")
PATHS = [f"car_ims/{number:06}.jpg" for number in range(1, len(CLASSES) + 1)]


def write_annotations(file) -> None:
    """Write (1, n) structs and (1, 196) cells, as the official file has them."""
    annotations = np.zeros((1, len(CLASSES)), [(name, "O") for name in FIELDS])
    for row, path, class_id in zip(annotations[0], PATHS, CLASSES, strict=True):
        for name, value in zip(FIELDS, (path, 1, 2, 30, 40, class_id, class_id % 2), strict=True):
            row[name] = value
    names = np.array([[f"Car {number}" for number in range(1, 197)]], object)
    savemat(file, {"annotations": annotations, "class_names": names})


@pytest.fixture
def folder(tmp_path, photos, monkeypatch):
    folder = tmp_path / "data" / "cars196"
    photos(folder, PATHS)
    write_annotations(folder / "cars_annos.mat")
    facts = dataclasses.replace(
        CARS196,
        lists={"cars_annos.mat": md5_of(folder / "cars_annos.mat")},
        train=Extent(98, 4),
        test=Extent(98, 3),
    )
    monkeypatch.setattr(Cars196, "facts", facts)
    return folder


def test_the_order_is_that_of_the_annotations(folder):
    lists = Cars196().read_lists(folder)
    assert lists.photos == [Photo(*pair) for pair in zip(PATHS, CLASSES, strict=True)]
    assert (lists.names[1], lists.names[196], len(lists.names)) == ("Car 1", "Car 196", 196)


def test_the_authors_own_split_is_not_used(folder):
    data = Cars196().load(folder.parent, 16, partial=True)
    assert data.classes == ("Car 1", "Car 98", "Car 99", "Car 100")
    assert data.train.labels.tolist() == [0, 1, 0, 1]
    assert data.test.labels.tolist() == [2, 3, 2]
    assert data.digest == Cars196().load(folder, 16, partial=True).digest


def test_an_archive_beside_the_annotations_is_unpacked(folder, offer, mirror, monkeypatch):
    offered = offer(Cars196.facts, folder / "car_ims")
    shutil.rmtree(folder / "car_ims")
    (folder / "car_ims.tgz").write_bytes(mirror.files["archive"])
    with pytest.raises(DataProblem, match=r"car_ims\.tgz is damaged: expected MD5 d5c8f0aa"):
        Cars196().fetch(folder.parent)
    monkeypatch.setattr(Cars196, "facts", offered)
    assert len(Cars196().load(folder.parent, 16, partial=True).train) == 4


def test_what_cannot_be_downloaded_is_told_with_where_it_is_kept(tmp_path):
    with pytest.raises(DataProblem) as caught:
        Cars196().fetch(tmp_path)
    message = str(caught.value)
    for words in ("gone since 2023", "pytorch/vision/issues/7545", *CARS196.lists.values()):
        assert words in message
    assert CARS196.archive_md5 in message
    assert "bench data" not in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no MATLAB", "wrong variables"])
def test_another_file_is_refused(folder, content):
    file = folder / "cars_annos.mat"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        savemat(file, {"annotations": np.zeros((2, 2))})
    with pytest.raises(DataProblem, match=r"cars_annos\.mat is not in the official format"):
        Cars196().read_lists(folder)


def test_the_official_annotations_have_the_official_numbers(real_data):
    folder = real_data(CARS196.folder, *CARS196.lists)
    lists = Cars196().read_lists(folder)
    expected = Parts(Extent(98, 8_054), Extent(98, 8_131))
    assert parts_of(lists.photos, 98) == expected == (CARS196.train, CARS196.test)
    assert lists.photos[0] == Photo("car_ims/000001.jpg", 1)
    assert lists.names[1] == "AM General Hummer SUV 2000"
    assert md5_of(folder / "cars_annos.mat") == CARS196.lists["cars_annos.mat"]
