from importlib import resources

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.attributes import FILE, attributes

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
STL10 = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
CLASSES = {"cifar10": CIFAR10, "stl10": STL10}


def table():
    return pd.read_csv(resources.files("benchmarks.data").joinpath(FILE).open(encoding="utf-8"))


@pytest.mark.parametrize(
    ("dataset", "attribute", "having"),
    [
        ("cifar10", "animal", {"bird", "cat", "deer", "dog", "frog", "horse"}),
        ("cifar10", "can_fly", {"airplane", "bird"}),
        ("cifar10", "has_wheels", {"airplane", "automobile", "truck"}),
        ("cifar10", "has_four_legs", {"cat", "deer", "dog", "frog", "horse"}),
        ("stl10", "animal", {"bird", "cat", "deer", "dog", "horse", "monkey"}),
        ("stl10", "has_fur", {"cat", "deer", "dog", "horse", "monkey"}),
    ],
)
def test_what_has_an_attribute(dataset, attribute, having):
    has = attributes(dataset, CLASSES[dataset])[attribute]
    assert has.dtype == np.bool_
    assert {name for name, true in zip(CLASSES[dataset], has, strict=True) if true} == having


@pytest.mark.parametrize("dataset", CLASSES)
def test_the_table_has_the_data_sets_own_classes_and_only_ones_and_zeros(dataset):
    rows = table().query("dataset == @dataset")
    assert rows["class"].tolist() == CLASSES[dataset]
    assert set(rows.drop(columns=["dataset", "class"]).to_numpy().ravel()) == {0, 1}


@pytest.mark.parametrize("dataset", CLASSES)
def test_each_attribute_parts_the_classes_in_another_way(dataset):
    parts = [tuple(has ^ has[0]) for has in attributes(dataset, CLASSES[dataset]).values()]
    assert len(set(parts)) == len(parts) >= 5
    assert all(0 < sum(part) < 10 for part in parts)


def test_a_class_of_two_data_sets_has_the_same_attributes_in_both():
    shared = table().drop(columns="dataset").groupby("class").nunique()
    assert (shared == 1).all(axis=None)


def test_the_order_is_that_of_the_classes():
    straight, reversed_ = attributes("cifar10", CIFAR10), attributes("cifar10", CIFAR10[::-1])
    for name, has in straight.items():
        np.testing.assert_array_equal(has, reversed_[name][::-1])


@pytest.mark.parametrize("dataset", ["digits", "cifar100", "folder"])
def test_a_data_set_without_attributes_has_none(dataset):
    assert attributes(dataset, ["zero", "one"]) == {}


def test_an_unknown_class_is_an_error_that_says_what_to_do():
    with pytest.raises(DataProblem, match=r"found 'plane'.*add a row .*attributes.csv"):
        attributes("cifar10", ["plane", "bird"])
