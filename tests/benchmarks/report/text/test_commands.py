import shlex
from pathlib import Path

import pytest

from benchmarks.commands import cli
from benchmarks.report.data.compare import compare, planned
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables
from benchmarks.runs.store import read_all
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.overrides import parse_settings

COMMANDS = Commands(Path("results"))


def parsed(command):
    """Read a command as `bench` does."""
    program, subcommand, *words = shlex.split(command)
    assert (program, subcommand) == ("bench", "run")
    return cli.run.make_context("run", words).params


def test_the_command_of_a_row_and_of_a_table():
    quick = planned("cifar10", "quick")
    assert COMMANDS.methods(quick, ["deepcluster"], {"clusters": 10}) == (
        "bench run --methods deepcluster --set deepcluster.clusters=10 --dataset cifar10 "
        "--recipe quick"
    )
    assert COMMANDS.table(quick, 1) == "bench run --table 1 --recipe quick"
    assert COMMANDS.table(quick, 7, 8) == "bench run --table 7,8 --recipe quick"


def test_the_command_of_a_row_that_changes_the_recipe_or_the_split():
    row = paper_tables.get(7).rows[1]
    found = COMMANDS.methods(planned("cifar10", "quick"), [row.method], recipe=row.recipe)
    assert found == (
        "bench run --methods invaspread --dataset cifar10 --recipe quick "
        "--set recipe.augmentation.crop_scale=null"
    )
    assert parse_settings(parsed(found)["settings"]) == {"recipe": row.recipe}
    large = COMMANDS.methods(planned("stl10", "quick"), ["nce"], split="train+unlabeled")
    assert parsed(large)["split"] == "train+unlabeled"
    small = COMMANDS.methods(planned("stl10", "quick"), ["nce"], split="train")
    assert parsed(small)["split"] is None


def test_the_command_repeats_recipe_changes_seeds_and_folder(results):
    changed = {"epochs": 2, "lr": 0.06, "augmentation.crop_scale": [0.5, 1.0]}
    ablation = {"augmentation.crop_scale": [0.5, 1.0]}
    for seed in (0, 2):
        results.add("nce", [20.0], seed=seed, recipe="paper", recipe_changed=changed)
    (comparison,) = compare(read_all(results.path, warn=pytest.fail))
    mine = Commands(Path("my results"))
    found = parsed(mine.methods(comparison, ["nce", "invaspread"], recipe=ablation))
    assert list(found["methods"]) == ["nce", "invaspread"]
    assert (found["recipe"], found["epochs"], found["seeds"]) == ("paper", 2, 3)
    assert found["results"] == Path("my results")
    settings = parse_settings(found["settings"])["recipe"]
    again = recipes.resolve(recipes.read("paper").recipe, {"epochs": 2, **settings})
    assert again == recipes.resolve(recipes.read("paper").recipe, changed)


@pytest.mark.parametrize("value", [True, None, 0.05, "a b; c", ["x"]])
def test_a_hyper_parameter_survives_the_command_line(value):
    command = COMMANDS.methods(planned("cifar10", "quick"), ["nce"], {"option": value})
    assert parse_settings(parsed(command)["settings"]) == {"nce": {"option": value}}


def test_a_recipe_of_the_users_own_is_a_file():
    assert parsed(COMMANDS.table(planned("cifar10", "mine"), 1))["recipe"] == "mine.yaml"


def test_a_folder_of_images_needs_its_place():
    assert parsed(COMMANDS.methods(planned("folder", "quick"), ["nce"]))["data"] == Path("DIR")


def test_the_first_command_needs_nothing():
    assert parsed(COMMANDS.first())["dataset"] is None  # the digits
    assert parsed(Commands(Path("other")).first())["results"] == Path("other")


@pytest.mark.parametrize(
    ("recipe", "weights", "expected"),
    [
        ("unseen", {"file": "googlenet.h5", "sha256": "0" * 64, "published": True}, "googlenet.h5"),
        ("unseen", {"file": "own.npz", "sha256": "0" * 64, "published": False}, "own.npz"),
        ("unseen-scratch", None, None),
    ],
)
def test_pre_trained_networks_need_their_weights(results, recipe, weights, expected):
    results.add("nce", [20.0], dataset="products", recipe=recipe, weights=weights)
    found = parsed(COMMANDS.methods(results.comparison(), ["mom"]))
    assert found["weights"] == (None if expected is None else Path(expected))
    assert not found["partial"]


def test_a_part_of_a_data_set_is_asked_for(results):
    results.add("nce", [20.0], dataset="cub200", recipe="unseen-quick", partial=True)
    assert parsed(COMMANDS.table(results.comparison(), 3))["partial"]
