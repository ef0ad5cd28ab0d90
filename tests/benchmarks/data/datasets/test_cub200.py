import re

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.class_disjoint import Extent, Lists, Parts, Photo, parts_of
from benchmarks.data.datasets.cub200 import CUB200, Cub200
from benchmarks.data.sources.download import md5_of

FILES = {
    "images.txt": "1 001.Ape/Ape 1.jpg\n2 001.Ape/Ape_2.jpg\n4 101.Bee/Bee_1.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n4 101\n",
    "classes.txt": "1 001.Ape\n101 101.Bee\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_lists_are_joined_by_their_numbers(folder):
    photos = [Photo("001.Ape/Ape 1.jpg", 1), Photo("001.Ape/Ape_2.jpg", 1)]
    expected = Lists([*photos, Photo("101.Bee/Bee_1.jpg", 101)], {1: "001.Ape", 101: "101.Bee"})
    assert Cub200().read_lists(folder) == expected


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("images.txt", "1 a.jpg\n2 b.jpg\n", "the same image numbers in images.txt and"),
        ("image_class_labels.txt", "1 1\n2 1\n3 101\n", "the same image numbers"),
        ("image_class_labels.txt", "1 1\n2\n", "line 2: expected a number and a number, found '2'"),
        ("images.txt", "1 a.jpg\n\nx b.jpg\n", "line 3: expected a number and a name"),
        ("classes.txt", "001.Ape\n", "classes.txt, line 1"),
    ],
)
def test_lists_in_another_format_are_refused(folder, file, text, words):
    (folder / file).write_text(text)
    with pytest.raises(DataProblem, match=re.escape(words)):
        Cub200().read_lists(folder)


def test_the_official_lists_have_the_official_numbers(real_data):
    folder = real_data(CUB200.folder, *CUB200.lists)
    lists = Cub200().read_lists(folder)
    expected = Parts(Extent(100, 5_864), Extent(100, 5_924))
    assert parts_of(lists.photos, 100) == expected == (CUB200.train, CUB200.test)
    assert len(lists.names) == 200
    assert lists.photos[-1].class_id == 200
    for name, md5 in CUB200.lists.items():
        assert md5_of(folder / name) == md5
