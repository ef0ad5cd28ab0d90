import dataclasses
import hashlib
import io
import re
import zipfile

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.class_disjoint import Extent, Parts, Photo, parts_of
from benchmarks.data.datasets.products import HEADER, PRODUCTS, TEST, TRAIN, Products

TRAIN_ROWS = [
    (1, 1, 1, "bicycle_final/111_0.JPG"),
    (2, 1, 1, "bicycle_final/111_1.JPG"),
    (3, 2, 3, "chair_final/222_0.JPG"),
]
TEST_ROWS = [
    (4, 3, 11, "table_final/333_0.JPG"),
    (5, 3, 11, "table_final/333_1.JPG"),
    (6, 4, 12, "toaster_final/444_0.JPG"),
]


def write_list(file, rows, header=HEADER) -> None:
    lines = [header, *(" ".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path, photos, monkeypatch):
    folder = tmp_path / "Stanford_Online_Products"
    photos(folder, [row[-1] for row in TRAIN_ROWS + TEST_ROWS])
    write_list(folder / TRAIN, TRAIN_ROWS)
    write_list(folder / TEST, TEST_ROWS)
    facts = dataclasses.replace(PRODUCTS, train=Extent(2, 3), test=Extent(2, 3))
    monkeypatch.setattr(Products, "facts", facts)
    return folder


def test_both_lists_are_read(folder):
    lists = Products().read_lists(folder)
    assert lists.photos == [Photo(path, number) for _, number, _, path in TRAIN_ROWS + TEST_ROWS]
    assert lists.names == {1: "bicycle 1", 2: "chair 2", 3: "table 3", 4: "toaster 4"}


def test_the_whole_needs_no_leave(folder):
    data = Products().load(folder.parent, 16)
    assert not data.partial
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.test.labels.tolist() == [2, 2, 3]


@pytest.mark.parametrize(
    ("file", "rows", "header", "words"),
    [
        (TRAIN, TRAIN_ROWS, "image_id class_id path", f"line 1: expected '{HEADER}'"),
        (TRAIN, [], "", "line 1: expected"),
        (TRAIN, TEST_ROWS, HEADER, "Ebay_train.txt: expected classes 1 to 2 in Ebay_train.txt"),
        (TEST, TRAIN_ROWS, HEADER, "later ones in Ebay_test.txt, found 1"),
        (TEST, [(1, 3, "table_final/333_0.JPG")], HEADER, "Ebay_test.txt, line 2: expected a num"),
    ],
)
def test_lists_in_another_format_are_refused(folder, file, rows, header, words):
    write_list(folder / file, rows, header)
    with pytest.raises(DataProblem, match=re.escape(words)):
        Products().read_lists(folder)


def test_the_official_zip_is_fetched_and_verified(folder, mirror, tmp_path, monkeypatch):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    body = mirror.files["products.zip"] = content.getvalue()
    facts = dataclasses.replace(
        Products.facts,
        archive_md5=hashlib.md5(body).hexdigest(),
        archive_size=len(body),
        mirrors=(mirror.url("missing", "products.zip"), mirror.url("whole", "products.zip")),
    )
    monkeypatch.setattr(Products, "facts", facts)
    lines = []
    Products().fetch(tmp_path / "fresh", lines.append)
    assert lines[-1].startswith("products: all 6 images are whole in")
    assert len(Products().load(tmp_path / "fresh", 16).test) == 3


def test_lists_of_the_official_size_are_counted(tmp_path):
    rows = [[], []]
    for part, extent, first in ((0, PRODUCTS.train, 1), (1, PRODUCTS.test, 11_319)):
        for number in range(extent.images):
            class_id = first + number % extent.classes
            rows[part].append((number + 1, class_id, 1, f"bicycle_final/{class_id}_{number}.JPG"))
    write_list(tmp_path / TRAIN, rows[0])
    write_list(tmp_path / TEST, rows[1])
    lists = Products().read_lists(tmp_path)
    assert parts_of(lists.photos, 11_318) == Parts(Extent(11_318, 59_551), Extent(11_316, 60_502))
    assert len(lists.names) == 22_634
