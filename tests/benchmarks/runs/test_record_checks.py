import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.runs.record_checks import DEEPEST, MOST, flaw_of_record
from benchmarks.training.history import flaw_of_epochs
from helpers.records import make_record


def content(**changes):
    return json.loads(make_record().model_dump_json()) | changes


def changed(value, *place):
    """Return a record with one value replaced; the place leads to it."""
    record = content()
    inner = record
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return record


KNN = ("final", "measurements", "knn@embedding", "value")


def test_a_record_of_a_finished_run_has_no_flaw():
    assert flaw_of_record(content()) is None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (0.0, KNN),
        (100 + 1e-7, KNN),
        (MOST, ("images_seen",)),
        (float("inf"), ("method", "hyper_parameters", "rate")),
        (-3, ("recipe_changed", "seed_of_mine")),
        (True, ("dataset", "labelled")),
    ],
)
def test_unusual_values_may_stand(value, place):
    assert flaw_of_record(changed(value, *place)) is None


@pytest.mark.parametrize(
    ("value", "place", "words"),
    [
        (100.1, KNN, "knn@embedding.value: expected a percentage from 0 to 100, found 100.1"),
        (-0.1, KNN, "percentage"),
        (101.0, ("best", "value"), "best.value: expected a percentage"),
        (float("nan"), KNN, "finite number, found nan"),
        (-1, ("seed",), "seed: expected a whole number from 0"),
        (MOST + 1, ("images_seen",), "images_seen: expected a whole number"),
        (-0.5, ("seconds", "train"), "seconds.train: expected seconds, found -0.5"),
        ("\ud800", ("method", "paper"), "found half a character"),
        ("", ("recipe", "name"), "recipe: expected a field name"),
        (3, ("recipe", "name"), "recipe: expected a field name"),
        ([], ("recipe", "augmentation"), "recipe.augmentation: expected fields"),
        ({"nce": 3}, ("recipe", "methods"), "recipe.methods: expected hyper-parameters"),
        (0, ("recipe", "epochs"), "recipe.epochs: expected a whole number from 1 on"),
        (True, ("recipe", "batch_size"), "recipe.batch_size: expected a whole number"),
        (20.0, ("recipe", "knn_k"), "recipe.knn_k: expected a whole number"),
    ],
)
def test_a_value_that_no_run_leaves_is_named_with_its_place(value, place, words):
    assert words in flaw_of_record(changed(value, *place))


def test_a_loss_may_be_any_finite_number():
    for value in (-1e30, 1e30):
        loss = {"loss": {"value": value, "unit": "", "protocol": ""}}
        assert flaw_of_record(content(final={"epoch": 2, "measurements": loss})) is None


@pytest.mark.parametrize(
    ("lists", "flaw"),
    [(DEEPEST - 3, None), (DEEPEST - 2, "nested too deeply"), (10**5, "nested too deeply")],
)
def test_nesting_is_bounded(lists, flaw):
    value = 1  # inside the lists, the recipe and the record
    for _ in range(lists):
        value = [value]
    assert flaw_of_record(content(recipe={"name": "tiny", "mine": value})) == flaw


def epochs(**columns):
    return pd.DataFrame({"epoch": [1, 2, 3], "knn": [np.nan, 50.0, 100.0], **columns})


@pytest.mark.parametrize(
    "frame",
    [
        epochs(),
        pd.DataFrame({"epoch": [0], "knn": [30.0]}),
        epochs(mine=["of", "any", "kind"]),
        epochs(loss=[-5.0, 1e30, np.nan]),
    ],
    ids=["usual", "untrained", "a method's own", "any loss"],
)
def test_tables_of_epochs_have_no_flaw(frame):
    assert flaw_of_epochs(frame) is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"knn": [1.0]}), "expected a column epoch"),
        (epochs()[:0], "a row per epoch, found none"),
        (epochs()[1:], "epoch: expected 1, 2, 3 and so on"),
        (epochs()[::-1], "epoch: expected 1, 2, 3 and so on"),
        (epochs(epoch=[0, 1, 2]), "epoch: expected 1, 2, 3 and so on"),
        (epochs(epoch=[1, 2, np.nan]), "epoch: expected 1, 2, 3 and so on"),
        (epochs(loss=["a", "b", "c"]), "loss: expected numbers"),
        (epochs(loss=[1.0, np.inf, 1.0]), "loss: expected finite numbers"),
        (epochs(knn=[1.0, 101.0, 1.0]), "knn: expected percentages"),
        (epochs(**{"knn@features": [1.0, -1.0, 1.0]}), "knn@features: expected percentages"),
    ],
)
def test_a_table_that_is_not_of_epochs_says_in_what(frame, words):
    assert words in flaw_of_epochs(frame)
