import pytest

from benchmarks.errors import UsageProblem
from benchmarks.hyper_parameters import defaults, parse_settings, resolve
from methods import get


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
