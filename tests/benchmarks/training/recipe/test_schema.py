"""The fields of a recipe: what fits together, what a key and a record state of it."""

import hashlib
import json

import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.evaluator.settings import EvaluationSettings
from benchmarks.training.recipe import Recipe, key_fields, read, resolve
from benchmarks.training.recipe.schema import (
    ADDED_LATER,
    AUGMENTATION_ADDED_LATER,
    with_current_names,
)

FIRST_KEYS = {
    "compact": "7648e4237c06f53a",
    "cub200": "e1f08eb9da132e4d",
    "current-code": "3e6312e16e53fe0d",
    "digits": "6aef92812c20cdd2",
    "paper": "8e1f02bea802a4d0",
    "published-code": "1de80309dff662f9",
    "quick": "c2e052ab2ffba5a1",
    "stl10": "9a2656de688dc71b",
    "unseen": "d948dc08037a58e1",
    "unseen-code": "564f83bfcb023652",
    "unseen-quick": "e414433e782fea43",
    "unseen-scratch": "9ecf43ac1d74b178",
}
"""Digests of what keys stated of the suite's recipes before optimisers and schedules had names."""


def made(**fields) -> Recipe:
    return resolve(Recipe(name="made-up", epochs=10, lr_factors={7: 0.1}), fields)


@pytest.mark.parametrize("name", FIRST_KEYS)
def test_a_recipe_keeps_the_key_that_it_had(name):
    text = json.dumps(key_fields(read(name).recipe), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == FIRST_KEYS[name]


def test_names_and_hyper_parameters_of_other_methods_change_no_key():
    other = resolve(read("quick").recipe, {"name": "mine", "description": "x", "methods": {}})
    assert key_fields(other) == key_fields(read("quick").recipe)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "lars"},
        {"optimiser": "adamw"},
        {"optimiser": "adamw", "betas": (0.9, 0.95)},
        {"schedule": "cosine"},
        {"schedule": "constant"},
        {"warmup_epochs": 0.5},
        {"decay_all": False},
        {"positive": "neighbour"},
    ],
)
def test_each_field_that_is_used_has_a_key_and_a_record_of_its_own(changes):
    usual, changed = made(), made(**changes)
    assert key_fields(changed) != key_fields(usual)
    recorded = changed.model_dump(mode="json")
    assert changes.keys() <= recorded.keys()
    assert Recipe.model_validate(json.loads(json.dumps(recorded))) == changed


@pytest.mark.parametrize("changes", [{"blur": 0.5}, {"blur_sigma": [0.1, 1.0]}, {"solarize": 0.2}])
def test_each_transform_that_is_used_has_a_key_and_a_record_of_its_own(changes):
    changed = made(**{f"augmentation.{name}": value for name, value in changes.items()})
    assert key_fields(changed) != key_fields(made())
    recorded = changed.model_dump(mode="json")
    assert changes.items() <= recorded["augmentation"].items()
    assert Recipe.model_validate(json.loads(json.dumps(recorded))) == changed


def test_fields_added_later_are_recorded_only_where_they_are_used():
    recorded = made().model_dump(mode="json")
    assert not set(ADDED_LATER) & recorded.keys()
    assert not set(AUGMENTATION_ADDED_LATER) & recorded["augmentation"].keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "lars", "momentum": 0}, "momentum: expected above 0 with optimiser lars"),
        ({"optimiser": "lars", "nesterov": True}, "nesterov: expected optimiser sgd, found lars"),
        ({"optimiser": "adamw", "nesterov": True}, "nesterov: expected optimiser sgd, found adamw"),
        ({"optimiser": "adamw", "momentum": 0.5}, "momentum: expected none of its own"),
        ({"optimiser": "adamw", "betas": [0.9, 1.0]}, r"betas\.1: "),
        ({"optimiser": "adamw", "betas": [-0.1, 0.9]}, r"betas\.0: "),
        ({"optimiser": "adamw", "betas": [0.9]}, "betas"),
        ({"betas": [0.9, 0.95]}, "betas: expected optimiser adamw, found sgd"),
        ({"optimiser": "adam"}, "optimiser: .*'sgd', 'lars' or 'adamw', found 'adam'"),
        ({"schedule": "linear"}, "schedule: .*'steps', 'cosine' or 'constant'"),
        ({"schedule": "cosine", "lr_factors": {5: 0.1}}, "lr_factors: expected schedule steps"),
        ({"schedule": "constant", "lr_factors": {5: 0.1}}, "lr_factors: expected schedule steps"),
        ({"warmup_epochs": 10.5}, "warmup_epochs: expected 0 to 10, .* found 10.5"),
        ({"warmup_epochs": -1}, "warmup_epochs: "),
        ({"warmup_epochs": float("nan")}, "warmup_epochs: "),
        ({"positive": "itself"}, "positive: .*'self' or 'neighbour', found 'itself'"),
        ({"partners": "itself", "positive": "self"}, "partners: expected positive alone"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(changes, message):
    with pytest.raises(UsageProblem, match=message) as problem:
        made(**changes)
    assert str(problem.value).isprintable()
    assert len(str(problem.value)) < 250


def test_steps_have_their_factors_and_the_warm_up():
    schedule = made(warmup_epochs=2).schedule_of(10)
    assert [schedule.factor(epoch) for epoch in (0, 1, 2, 6, 7, 9)] == [0.5, 1, 1, 1, 0.1, 0.1]


def test_another_schedule_leaves_the_factors_of_the_old_one_behind():
    cosine = made(schedule="cosine")
    assert cosine.lr_factors == {}
    assert cosine.schedule_of(10).factor(5) == pytest.approx(0.5)
    assert made(schedule="steps").lr_factors == {7: 0.1}
    assert Recipe(name="x", schedule="constant").lr_factors == {}
    assert resolve(cosine, {"schedule": "steps", "lr_factors": {3: 0.1}}).lr_factors == {3: 0.1}


def test_a_round_shorter_than_the_warm_up_is_refused():
    recipe = made(warmup_epochs=5)
    assert recipe.schedule_of(5).factor(4) == 1
    with pytest.raises(UsageProblem, match="recipe made-up: warmup_epochs: expected 0 to 3"):
        recipe.schedule_of(3)


def test_older_names_are_read_and_the_key_keeps_them():
    assert with_current_names({"partners": "itself"}) == {"positive": "self"}
    assert with_current_names({"partners": "neighbour"}) == {"positive": "neighbour"}
    recorded = {**made().model_dump(mode="json"), "partners": "neighbour"}
    changed = Recipe.model_validate(recorded)
    assert changed == made(partners="neighbour") == made(positive="neighbour")
    assert changed.model_dump(mode="json")["positive"] == "neighbour"
    assert key_fields(changed)["partners"] == "neighbour"
    assert "positive" not in key_fields(changed)


def test_an_older_name_in_a_file_overrides_its_base(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: cub200\npartners: itself\n")
    assert read(str(file)).recipe.positive == "self"


def test_what_the_evaluator_needs_is_the_recipe_s():
    recipe = made(knn_k=50, knn_temperature=0.05, linear_c="cross-validated", crop_size=24,
                  linear_features="pooled", evaluate_every=3)  # fmt: skip
    assert recipe.evaluation == EvaluationSettings(50, 0.05, "cross-validated", "pooled", 3, 24)
    assert recipe.knn_protocol == recipe.evaluation.knn_protocol == "knn-50-0.05"
    assert made().evaluation == EvaluationSettings()
