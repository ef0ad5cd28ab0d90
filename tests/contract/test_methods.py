"""Every method of the suite, with every value of every option, passes the conformance suite."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import methods
from helpers.small_methods import NARROW
from methods.testing.check import check_method

OWN = [
    name
    for name in methods.names(labelled=True)
    if methods.get(name).__module__.startswith("methods.")
]
FREE = {
    "invaspread": [{"temperature": 0.05}],
    "npsoftmax": [{"temperature": 0.05, "momentum": 0.0}],
    "nce": [{"temperature": 0.2, "noise": 16}],
    "exemplar": [{"normalise_weights": True, "temperature": 0.1}],
    "triplet": [{"margin": 1.0}],
    "deepcluster": [{"clusters": 10, "iterations": 5, "pca": 4}],
    "mom": [{"neighbours": 10, "alpha": 0.5, "pool": 5, "hardest": 20}, {"remine": 1}],
    "moco": [{"bn_groups": 2}, {"momentum": 0.5}],
    "simsiam": [{"layers": 3}],
    "swav": [{"small_views": 2, "small_size": 6}, {"frozen_epochs": 0}],
    "diet": [{"smoothing": 0.0}],
    "lejepa": [{"slices": 16, "points": 17, "limit": 5.0}],
    "lifted": [{"margin": 0.5, "per_class": 8}],
    "triplet-semihard": [{"margin": 1.0, "per_class": 2}],
    "metric-learning": [{"function": "NPairsLoss", "per_class": 2}, {"function": "SupConLoss"}],
}


def choices(name: str) -> Iterator[dict[str, Any]]:
    """Yield each value, other than the default, of the options that have a list of values."""
    method = methods.get(name)
    hints = get_type_hints(method.__init__)
    for option, parameter in inspect.signature(method).parameters.items():
        kind = hints.get(option)
        values = get_args(kind) if get_origin(kind) is Literal else ()
        for value in (False, True) if kind is bool else values:
            if value != parameter.default:
                yield {option: value}


CASES = [(name, options) for name in OWN for options in choices(name)]
CASES += [(name, options) for name, cases in FREE.items() for options in cases]


@pytest.mark.parametrize("name", OWN)
def test_defaults_conform(name):
    check_method(methods.get(name), **NARROW.get(name, {}))


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_options_conform(name, options):
    check_method(methods.get(name), **{**NARROW.get(name, {}), **options})


def test_the_options_are_found():
    assert ("invaspread", {"negatives": "hard"}) in CASES
    assert ("random-cnn", {"statistics": "data"}) in CASES
    assert ("deepcluster", {"whitening": False}) in CASES
