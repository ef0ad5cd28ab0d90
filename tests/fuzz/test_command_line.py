"""Whatever stands in a recipe file or on the command line: one line and an exit status."""

import warnings
from pathlib import Path

import pytest
import yaml

from benchmarks.commands.cli import main
from benchmarks.common.errors import UsageProblem
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.overrides import parse_settings
from benchmarks.training.recipe.reader import OPTIONS, asdict_recipe
from methods import names

FIELDS = [*recipes.Recipe.model_fields, *OPTIONS, "base"]
SMALL = {
    "base": "digits",
    "train_images": 100,
    "batch_size": 32,
    "epochs": 1,
    "lr_factors": {2: 0.1},
    "augmentation": {"hue": 0.1, "crop_scale": [0.5, 1.0]},
    "methods": {"nce": {"noise": 64, "momentum": 0.5}, "deepcluster": {"clusters": 12}},
}


@pytest.fixture(autouse=True)
def _warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that overflow
        yield


def told_in_a_line(call):
    """Return what the call returns; None if it is refused, which it says in one line."""
    try:
        return call()
    except UsageProblem as error:
        message = str(error)
    assert len(message) < 3000
    assert message.isprintable(), repr(message)
    return None


def written(fuzz, path: Path) -> Path:
    """Write a recipe file that was once a good one."""
    content = fuzz.mapping(SMALL, FIELDS)
    text = yaml.safe_dump(content, allow_unicode=True)
    if fuzz.random.random() < 0.5:
        text = fuzz.text(text)
    if fuzz.random.random() < 0.1:
        text = fuzz.random.choice(["", "null", "3", "[]", "{}", "x", text[: len(text) // 2]])
    path.write_bytes(text.encode("utf-8", "surrogateescape" if "\udcff" in text else "strict"))
    return path


def test_recipe_files_are_read_or_refused_in_one_line(fuzz):
    path, good = fuzz.root / "self.yaml", 0
    for _ in range(1500):
        written(fuzz, path)
        recipe = told_in_a_line(lambda: recipes.read("self.yaml").recipe)
        if recipe is None:
            continue
        good += 1
        assert recipes.Recipe.model_validate(asdict_recipe(recipe)) == recipe
        assert recipe.model_dump_json()
        assert recipe.name not in recipes.names()
    assert good > 100  # the mutations leave some alone


def test_settings_are_parsed_or_refused_in_one_line(fuzz):
    for _ in range(1000):
        word = f"{fuzz.random.choice(['nce.momentum', 'recipe.lr', fuzz.word()])}={fuzz.word()}"
        told_in_a_line(lambda w=word: parse_settings([fuzz.text(w)]))
        told_in_a_line(lambda w=word: parse_settings([w]))


def test_commands_with_recipe_files_end_in_one_line(fuzz, planned_only):
    path = fuzz.root / "mine.yaml"
    for _ in range(250):
        written(fuzz, path)
        fuzz.command("run", "--methods", "random-cnn,nce", "--recipe", "mine.yaml",
                     "--dataset", "digits", "--results", "results", "--seeds", "1")  # fmt: skip
    assert planned_only


def test_options_of_all_commands_end_in_one_line(fuzz, planned_only):
    options = [
        word
        for parameter in main.commands["run"].params
        for word in parameter.opts
        if word not in ("--results", "--help")
    ]
    fields = [f"recipe.{name}" for name in recipes.Recipe.model_fields]
    settings = [*fields, "recipe.augmentation.hue", "nce.momentum", "nce.noise", "recipe", "nce.x"]
    for _ in range(400):
        words = ["run", "--methods", fuzz.random.choice(["random-cnn", "nce", "all,nce"])]
        for _ in range(fuzz.random.randint(1, 2)):
            if fuzz.random.random() < 0.5:
                words += ["--set", f"{fuzz.random.choice(settings)}={fuzz.word()}"]
            else:
                words += [fuzz.random.choice(options), fuzz.word()]
        fuzz.command(*words, "--results", "results")
    assert planned_only


def test_readers_change_nothing_whatever_they_are_given(fuzz):
    (fuzz.root / "results" / "runs" / "x").mkdir(parents=True)
    commands = [["list", "runs", "--results"], ["report", "--format"], ["list"], ["data"],
                ["list", "methods", "--plugin"], ["speed", "--backbones"],
                ["report", "--results"]]  # fmt: skip
    for _ in range(150):
        word = fuzz.word()
        if word not in names() and word.strip(" .,/-"):  # a folder that is there is reported on
            fuzz.reader(*fuzz.random.choice(commands), word)


@pytest.mark.parametrize("name", ["猫 é", "~a:b", "x" * 64, "-100% `a|b`"])
def test_runs_of_any_name_are_listed_and_reported(fuzz, name):
    (fuzz.root / "mine.yaml").write_text(
        yaml.safe_dump({"base": "digits", "train_images": 64, "description": "long " * 500})
    )
    fuzz.command("run", "--methods", "random-cnn", "--recipe", "mine.yaml",
                 "--set", f"recipe.name={name!r}", "--set", f"recipe.description={'so ' * 500}",
                 "--results", "results")  # fmt: skip
    assert "finished" in fuzz.reader("list", "runs", "--results", "results").output
    assert fuzz.command("report", "--results", "results", "--format", "csv,md").exit_code == 0
    assert fuzz.command("collect", "results/copy", "--results", "results").exit_code == 0
    assert len(list((fuzz.results / "copy" / "runs").iterdir())) == 1
