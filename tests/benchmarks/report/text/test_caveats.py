from dataclasses import replace

import pytest

from benchmarks.report.data.compare import planned
from benchmarks.report.document import Table
from benchmarks.report.text.caveats import caveat, refer_to_previous_caveat

FILE = {"file": "googlenet.h5", "sha256": "ab" * 32, "published": True}


def test_the_papers_recipe_on_the_whole_data_set_needs_no_caveat(results):
    results.add("invaspread", [40.0], recipe="unseen", dataset="products", weights=FILE)
    assert caveat(results.comparison()) == ""
    assert caveat(planned("cifar10", "paper")) == ""


def test_every_field_that_differs_is_told():
    text = caveat(planned("cifar10", "quick"))
    assert text.startswith("Not the paper's recipe: the difference to the published value")
    assert "backbone = resnet10-16 (paper: resnet18)" in text
    assert text.endswith(".")


def test_a_recipe_is_compared_with_that_of_the_tables_which_it_fills():
    assert caveat(planned("products", "unseen-scratch")) == ""
    quick = caveat(planned("products", "unseen-quick"))
    assert "backbone" not in quick
    assert "crop_size" in quick
    assert "positive = self (paper: neighbour)" in caveat(planned("cub200", "unseen"))


def test_a_part_of_the_data_set_is_told_with_its_size(results):
    results.add("invaspread", [40.0], recipe="cub200", dataset="cub200", partial=True)
    assert caveat(results.comparison()) == (
        "Part of the data set only: the values do not compare with published ones. "
        "There were 5,864 images to train on and 5,924 to test on."
    )


@pytest.mark.parametrize(
    ("changed", "weights", "words"),
    [
        ({"backbone": "googlenet-torchvision"}, FILE, "googlenet-torchvision is another network"),
        ({}, {**FILE, "file": "own.npz", "published": False}, "not the published file: own.npz."),
    ],
)
def test_other_weights_than_the_papers_are_told(results, changed, weights, words):
    results.add("invaspread", [40.0], recipe="unseen", recipe_changed=changed, dataset="cars196",
                weights=weights)  # fmt: skip
    assert words in caveat(results.comparison())


def test_a_caution_is_said_once():
    first = Table(
        "a", "A", (), (), caveat="Not alike: see. What differs: x = 1.", general_notes=("R.",)
    )
    second = refer_to_previous_caveat(first)
    assert second.caveat == ""
    assert second.general_notes == ("Not alike: see, as above.", "R.")
    assert refer_to_previous_caveat(replace(first, caveat="")) == replace(first, caveat="")
