import pytest
import torch

from benchmarks.common.errors import MethodProblem, UsageProblem
from benchmarks.training.recipe.overrides import (
    declared,
    defaults,
    parse_settings,
    resolve,
    untyped,
)
from methods import Method, get


def test_defaults_are_the_keyword_arguments():
    assert defaults(get("invaspread"))["temperature"] == 0.1
    assert defaults(get("nce"))["noise"] == 4096
    assert "encoder" not in defaults(get("nce"))


def test_resolve_checks_names_and_types():
    values = resolve(get("invaspread"), {"temperature": "5e-2", "negatives": "hard"})
    assert values["temperature"] == 0.05
    assert values["negatives"] == "hard"
    with pytest.raises(UsageProblem, match="Did you mean temperature"):
        resolve(get("invaspread"), {"temprature": 0.1})
    with pytest.raises(UsageProblem, match="negatives"):
        resolve(get("invaspread"), {"negatives": "harsh"})
    with pytest.raises(UsageProblem, match="temperature"):
        resolve(get("invaspread"), {"temperature": "0,05"})


def test_parse_settings():
    assert parse_settings(["a.b=0.5", "a.c=hard", "recipe.augmentation.flip=0"]) == {
        "a": {"b": 0.5, "c": "hard"},
        "recipe": {"augmentation.flip": 0},
    }


@pytest.mark.parametrize("word", ["temperature=1", "a.b", "a.=1", ".b=1", "a.b=["])
def test_malformed_setting_is_a_usage_problem(word):
    with pytest.raises(UsageProblem, match="--set"):
        parse_settings([word])


def plain(**members):
    """Return a method that is not registered."""

    class Plain(Method):
        paper = "x"

        def loss(self, batch):
            return batch.views[0].sum()

    Plain.name = "plain"
    for name, value in members.items():
        setattr(Plain, name, value)
    return Plain


def untyped_init(self, encoder, instances, *, weight=1.0, steps=3, mode="hard", on=False,
                 betas=(0.9, 0.99), limit=None, extra={"a": 1}):  # fmt: skip  # noqa: B006
    Method.__init__(self, encoder, instances)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("weight=1e-3", 0.001),
        ("weight=2", 2.0),
        ("weight=inf", float("inf")),
        ("steps=5", 5),
        ("steps=1e-3", 0.001),
        ("mode=easy", "easy"),
        ("mode='1e-3'", "1e-3"),
        ("on=true", True),
        ("betas=[1e-3, 0.5]", (0.001, 0.5)),
        ("betas=(0.5, 1e-3)", (0.5, 0.001)),
        ("limit=1e-3", 0.001),
        ("limit=None", None),
        ("limit=word", "word"),
        ("extra={b: 1e-3}", {"b": 0.001}),
    ],
)
def test_without_annotation_the_type_of_the_default_says_how_a_value_is_read(word, value):
    method = plain(__init__=untyped_init)
    name = word.split("=")[0]
    found = resolve(method, parse_settings([f"plain.{word}"])["plain"])[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "word",
    ["weight=much", "steps=[1]", "mode=1", "on=7", "betas=3", "limit=.nan",
     "limit=!!set {a, b}", "weight=null"],
)  # fmt: skip
def test_without_annotation_a_value_of_another_type_is_refused_in_one_line(word):
    with pytest.raises(UsageProblem, match=f"^plain.{word.split('=')[0]}: ") as raised:
        resolve(plain(__init__=untyped_init), parse_settings([f"plain.{word}"])["plain"])
    assert "\n" not in str(raised.value)


def test_where_nothing_says_the_type_it_is_known():
    method = plain(__init__=untyped_init)
    assert untyped(method, {"limit": 1, "weight": 2}) == ["limit"]
    assert untyped(get("mom"), {"remine": 3}) == []


def test_an_annotation_of_an_unknown_name_counts_as_none():
    def init(self, encoder: "Nowhere", instances, *, a: "Nope" = 1, b: "float" = 2.0):  # noqa: F821
        Method.__init__(self, encoder, instances)

    values = resolve(plain(__init__=init), {"a": "1e-3", "b": "1e-3"})
    assert values == {"a": 0.001, "b": 0.001}


@pytest.mark.parametrize("default", [object(), lambda x: x, float("nan"), torch.nn.ReLU(), {1: 2}])
def test_a_default_that_no_record_can_state_is_refused_with_its_name(default):
    def init(self, encoder, instances, *, gate=default):
        Method.__init__(self, encoder, instances)

    with pytest.raises(MethodProblem, match="plain: the default of gate: expected"):
        defaults(plain(__init__=init))


def test_a_function_is_declared_by_its_name_and_cannot_be_set():
    def init(self, encoder, instances, *, gate=torch.nn.functional.relu, margin=float("inf")):
        Method.__init__(self, encoder, instances)

    method = plain(__init__=init)
    values = resolve(method, {})
    assert values["gate"] is torch.nn.functional.relu
    assert declared(method, values) == {"gate": "torch.nn.functional.relu", "margin": "inf"}
    with pytest.raises(UsageProblem, match=r"plain\.gate: expected to be left at its default"):
        resolve(method, {"gate": "torch.nn.functional.gelu"})


def test_defaults_are_not_shared_with_who_asks():
    method = plain(__init__=untyped_init)
    resolve(method, {})["extra"]["a"] = 2
    assert defaults(method)["extra"] == {"a": 1}


@pytest.mark.parametrize(
    "text", ["&a [*a]", "0b_", "[" * 3000, "{a: 1, b", "'a", "%x", "!!int x", "? [a]\n: b"]
)
def test_a_value_that_yaml_cannot_read_is_one_line(text):
    with pytest.raises(UsageProblem, match="--set") as raised:
        parse_settings([f"a.b={text}"])
    assert "\n" not in str(raised.value).replace(repr(f"a.b={text}"), "")
