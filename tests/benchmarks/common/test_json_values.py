"""Values that keys and records can state."""

import datetime
import json
import math

import numpy as np
import pytest
import torch

from benchmarks.common.json_values import NotJson, as_json


def own(values):
    return values


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.1, "a", [1, [2.5, None]], {"a": {"b": [False]}}, "été 猫", -(2**70)]
)
def test_json_values_stay_as_they_are(value):
    assert as_json(value) == value
    assert json.loads(json.dumps(as_json(value), allow_nan=False)) == value


def test_tuples_are_lists_and_infinity_is_a_text_that_reads_back():
    assert as_json((1, (2, 3))) == [1, [2, 3]]
    assert as_json({"margin": math.inf, "low": [-math.inf]}) == {"margin": "inf", "low": ["-inf"]}
    assert float(as_json(math.inf)) == math.inf


def test_functions_and_classes_are_their_names():
    assert as_json(torch.nn.functional.relu) == "torch.nn.functional.relu"
    assert as_json(torch.nn.GELU) == "torch.nn.modules.activation.GELU"
    assert as_json(own) == f"{__name__}.own"
    assert as_json(own, module=__name__) == "own"


ENDLESS: list = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [
        math.nan, lambda x: x, object(), torch.zeros(1), np.int64(3), {1: 2}, {1, 2}, b"x",
        datetime.date(2020, 1, 1), "\udcff", {"\udcff": 1}, ENDLESS, 10**5000, [[math.nan]],
        torch.nn.ReLU(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_json_cannot_state_is_refused_in_one_line(value):
    with pytest.raises(NotJson, match="expected") as raised:
        as_json(value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
