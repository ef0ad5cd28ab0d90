"""docs/fidelity.md names options, functions and files of the suite: each of them exists."""

import importlib
import inspect
import re
from functools import reduce
from pathlib import Path

import pytest

import methods
from benchmarks.training.recipe import Recipe
from benchmarks.training.recipe.overrides import defaults, parse_settings, resolve

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`( \(default\))?", TEXT)
OPTION = re.compile(r"([a-z][a-z0-9-]*)\.([a-z_.]+)(?:=(.+))?")
MISSING = object()


def of_methods():
    """Return (method, option, value, default?) of all words such as `nce.noise=4096` (default)."""
    found = ((OPTION.fullmatch(word), bool(mark)) for word, mark in CODE)
    known = set(methods.names(labelled=True))
    return [(*m.groups(), mark) for m, mark in found if m and m[1] in known]


def of_recipes():
    found = ((OPTION.fullmatch(word), bool(mark)) for word, mark in CODE)
    return [(*m.groups()[1:], mark) for m, mark in found if m and m[1] == "recipe"]


def recipe_field(recipe, path):
    """Return a recipe's field such as augmentation.flip, or MISSING."""
    return reduce(lambda part, name: getattr(part, name, MISSING), path.split("."), recipe)


def test_every_method_with_options_is_on_the_page():
    stated = {name for name, *_ in of_methods()}
    own = [name for name in methods.names(labelled=True)
           if methods.get(name).__module__.startswith("methods.")]  # fmt: skip
    assert [name for name in own if defaults(methods.get(name)) and name not in stated] == []


@pytest.mark.parametrize(("name", "option", "value", "default"), of_methods())
def test_options_of_methods_exist_and_take_the_value(name, option, value, default):
    usual = defaults(methods.get(name))
    assert option in usual
    if value is not None:
        changes = parse_settings([f"{name}.{option}={value}"])[name]
        read = resolve(methods.get(name), changes)[option]
        assert (read == usual[option]) == default


@pytest.mark.parametrize(("path", "value", "default"), of_recipes())
def test_fields_of_recipes_exist_and_have_the_default(path, value, default):
    usual = recipe_field(Recipe(name="x"), path)
    assert usual is not MISSING
    if value is not None:
        content = parse_settings([f"recipe.{path}={value}"])["recipe"][path]
        for name in reversed(path.split(".")):
            content = {name: content}
        read = recipe_field(Recipe.model_validate({"name": "x", **content}), path)
        assert (read == usual) == default


@pytest.mark.parametrize("word", sorted({w for w, _ in CODE if re.match(r"methods\.[a-z_]+\.", w)}))
def test_functions_exist_and_have_the_argument(word):
    path, _, argument = word.rstrip(")").partition("(")
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    assert callable(function)
    if argument:
        assert argument in inspect.signature(function).parameters


@pytest.mark.parametrize("word", sorted({w for w, _ in CODE if re.fullmatch(r"\w+(/[\w.]+)+", w)}))
def test_files_exist(word):
    assert (ROOT / word).is_file()


def test_the_page_that_the_code_cites_has_the_sections():
    headings = set(re.findall(r"^#+ (.+)$", TEXT, re.M))
    cited = set()
    for package in ("methods", "evaluation", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            text = re.sub(r"\s*\n\s*(?:# )?", " ", path.read_text(encoding="utf-8"))
            assert "fidelity sheet" not in text, path
            cited |= set(re.findall(r'docs/fidelity\.md, "([^"]+)"', text))
    assert cited
    assert cited <= headings
