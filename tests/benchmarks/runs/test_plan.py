from dataclasses import replace

import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.data import datasets
from benchmarks.data.transforms.augment import Augmentation
from benchmarks.runs.plan import choose, make_plan
from benchmarks.training.recipe import read
from methods import get, names
from methods.base import FAMILY_WORDS


@pytest.fixture(scope="module")
def digits():
    return datasets.get("digits").load(datasets.default_root())


def planned(data, tiny_recipe, words=("invaspread",), seeds=1, settings=None, table=(), split=None):
    recipe = read(str(tiny_recipe)).recipe
    choices = choose(words, table, split)
    return make_plan(choices, lambda size, split: data, recipe, seeds, settings or {}, "fp32")


def test_all_is_every_method_and_repeats_count_once():
    assert [choice.method.name for choice in choose(["all"])] == names()
    assert len(choose(["nce", "nce"])) == 1


def test_table_1_has_both_cluster_numbers():
    rows = choose(["all"], [1])
    clusters = [c.hyper_parameters.get("clusters") for c in rows if c.method.name == "deepcluster"]
    assert clusters == [10, 1000]
    assert len(rows) == 9
    assert len(choose(["deepcluster"], [1])) == 2


def test_seeds_come_one_after_the_other(digits, tiny_recipe):
    runs = planned(digits, tiny_recipe, ["nce", "triplet"], seeds=2)
    assert [(run.method.name, run.seed) for run in runs] == [
        ("nce", 0), ("triplet", 0), ("nce", 1), ("triplet", 1),
    ]  # fmt: skip


def test_key_follows_what_is_declared_and_nothing_else(digits, tiny_recipe):
    (run,) = planned(digits, tiny_recipe)
    (again,) = planned(digits, tiny_recipe)
    assert run.key == again.key
    renamed = replace(run, recipe=run.recipe.model_copy(update={"name": "x", "description": "y"}))
    assert renamed.key == run.key
    different = [
        replace(run, seed=1),
        replace(run, precision="bf16"),
        replace(run, recipe=run.recipe.model_copy(update={"epochs": 4})),
        replace(run, recipe=run.recipe.model_copy(update={"knn_k": 7})),
        replace(run, data=replace(run.data, digest="other")),
        planned(digits, tiny_recipe, settings={"invaspread": {"temperature": 0.2}})[0],
        planned(digits, tiny_recipe, ["nce"])[0],
    ]
    assert len({run.key, *(other.key for other in different)}) == 8


def test_changed_hyper_parameters_are_told(digits, tiny_recipe):
    (run,) = planned(digits, tiny_recipe, ["nce"], settings={"nce": {"momentum": 0.9}})
    assert run.changed == {"noise": 64, "momentum": 0.9}  # 64 is the recipe's
    assert run.hyper_parameters["temperature"] == 0.1


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (["invaspred"], {}, "Did you mean invaspread"),
        (["nce"], {"nce": {"tau": 1}}, "Unknown hyper-parameter of nce 'tau'"),
        (["nce"], {"npsoftmax": {"momentum": 0.1}}, "not among the methods"),
        (["nce"], {"nec": {"momentum": 0.1}}, "Did you mean nce"),
        (["nce"], {"recipe": {"epoch": 1}}, "Did you mean epochs"),
        (["triplet"], {"recipe": {"batch_size": 5000}}, "batch_size: expected at most 200"),
        (["triplet"], {"recipe": {"train_images": 5000}}, "train_images: expected at most 1347"),
        (["deepcluster"], {"deepcluster": {"clusters": 201}}, "clusters"),
        (["invaspread"], {"invaspread": {"temperature": 0}}, "temperature"),
        (["invaspread"], {"invaspread": {"temperature": "warm"}}, "temperature"),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(
    digits, tiny_recipe, words, settings, message
):
    with pytest.raises(UsageProblem, match=message):
        planned(digits, tiny_recipe, words, settings=settings)


def test_table_without_that_method():
    with pytest.raises(UsageProblem, match="Unknown method"):
        choose(["nothing"], [1])
    with pytest.raises(UsageProblem, match="table 7 has no row of nce"):
        choose(["nce"], [7])
    with pytest.raises(UsageProblem, match="tables 7, 8 have no row of nce"):
        choose(["nce"], [7, 8])


@pytest.mark.parametrize(("word", "family"), FAMILY_WORDS.items())
def test_a_family_stands_for_its_methods_without_labels(word, family):
    chosen = [choice.method for choice in choose([word])]
    assert chosen
    assert {method.family for method in chosen} == {family}
    assert not any(method.uses_labels for method in chosen)
    every = [get(name) for name in names() if get(name).family == family]
    assert chosen == every


def test_families_and_methods_stand_together_each_method_once():
    (first, *others) = [choice.method.name for choice in choose(["simclr", "contrastive", "nce"])]
    assert first == "simclr"
    assert "simclr" not in others
    assert {"dcl", "nce"} <= set(others)


def test_a_table_has_its_rows_once_and_shares_the_full_one(digits, tiny_recipe):
    (plain,) = planned(digits, tiny_recipe)
    table_7 = planned(digits, tiny_recipe, ["all"], table=[7])
    both = planned(digits, tiny_recipe, ["all"], table=[7, 8], seeds=2)
    assert table_7[0].key == plain.key
    assert len(table_7) == 3  # the digits are trained without flip and grayscale anyway
    assert len({run.key for run in both}) == len(both)
    assert {run.key for run in table_7} < {run.key for run in both}


def test_a_row_changes_the_recipe_as_the_command_does(digits):
    recipe = read("quick").recipe.model_copy(update={"train_images": 200, "batch_size": 32})

    def keys(numbers, settings):
        choices = choose(["invaspread"], numbers)
        runs = make_plan(choices, lambda size, split: digits, recipe, 1, settings, "fp32")
        return {run.key: run for run in runs}

    full, crop, *others = keys([7], {}).values()
    assert len(others) == 3
    assert full.recipe_changed == {}
    assert crop.recipe_changed == {"augmentation.crop_scale": None}
    assert crop.recipe.augmentation == Augmentation().without("crop")
    by_hand = keys([], {"recipe": {"augmentation.crop_scale": None}})
    assert by_hand.keys() == {crop.key}
    settings = {"recipe": {"epochs": 3, "augmentation.crop_scale": [0.5, 1]}}
    shorter = list(keys([7], settings).values())
    assert {run.recipe.epochs for run in shorter} == {3}
    assert shorter[1].recipe.augmentation.crop_scale is None  # the row is still without crop
    assert shorter[2].recipe.augmentation.crop_scale == (0.5, 1.0)


def test_table_8_has_both_halves_of_the_negatives_and_the_authors_scaling(digits, tiny_recipe):
    runs = planned(digits, tiny_recipe, ["all"], table=[8])
    assert [run.hyper_parameters["negatives"] for run in runs] == ["all", "all", "hard", "easy"]
    assert {run.hyper_parameters["scaling"] for run in runs} == {"clean"}
    other = planned(
        digits, tiny_recipe, ["all"], table=[8], settings={"invaspread": {"scaling": "authors"}}
    )
    assert other[2].changed == {"negatives": "hard", "scaling": "authors"}


def test_each_split_is_read_once_and_only_if_needed(digits, tiny_recipe):
    read_splits = []

    def load(image_size, split):
        read_splits.append(split)
        return replace(digits, split=split)

    def plan_of(split=None):
        choices = choose(["all"], [2], split)
        return make_plan(choices, load, read(str(tiny_recipe)).recipe, 2, {}, "fp32")

    runs = plan_of()
    assert read_splits == ["train", "train+unlabeled"]
    assert [run.method.name for run in runs if run.data.split != "train"] == ["invaspread"] * 2
    read_splits.clear()
    assert {run.data.split for run in plan_of("train+unlabeled")} == {"train+unlabeled"}
    assert read_splits == ["train+unlabeled"]


def test_the_size_that_the_command_sets_is_read(digits, tiny_recipe):
    sizes = []

    def load(image_size, split):
        sizes.append(image_size)
        return digits

    settings = {"recipe": {"image_size": 8}}
    make_plan(choose(["nce"]), load, read(str(tiny_recipe)).recipe, 1, settings, "fp32")
    assert sizes == [8]


def test_rows_of_another_split_are_left_out():
    assert len(choose(["all"], [2], "train+unlabeled")) == 1
    assert {choice.split for choice in choose(["nce"], [1], "train")} == {"train"}
    with pytest.raises(UsageProblem, match="table 2 has no row of nce on split train"):
        choose(["nce"], [2], "train+unlabeled")
