"""Backbones of plug-ins: found by name, and one line for what is wrong with them."""

import pytest
from torch import nn

from benchmarks import backbones
from benchmarks.backbones import Backbone
from benchmarks.common.errors import UsageProblem


class NoFeatures(nn.Linear):
    feature_size = 3

    def __init__(self, size):
        super().__init__(3, size)
        self.embedding_size = size


def test_subclassing_registers():
    class Mine(Backbone):
        name = "mine"

        def build(self, embedding_size):
            raise NotImplementedError

    assert isinstance(backbones.get("mine"), Mine)
    assert "mine" in backbones.names()


def test_an_unknown_name_gets_near_matches():
    with pytest.raises(UsageProblem, match=r"Unknown backbone 'resnet8'\. Did you mean resnet18"):
        backbones.get("resnet8")
    assert backbones.find("resnet8") is None
    assert backbones.find("resnet18").name == "resnet18"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (NoFeatures, "expected a method `features`, found none"),
        (lambda size: 1 / 0, "ZeroDivisionError"),
        (lambda size: "text", "whole number `feature_size`"),
    ],
)
def test_a_network_that_is_no_encoder_is_one_line(build, words):
    members = {"name": "mine", "build": lambda self, size: build(size), "__module__": __name__}
    type("Mine", (Backbone,), members)
    for make in (backbones.get("mine"), backbones.get("mine").random):
        with pytest.raises(UsageProblem, match=f"backbone mine .*{words}.*mend the") as raised:
            make(8)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("members", [{}, {"__init__": lambda self: 1 / 0}])
def test_a_backbone_that_cannot_be_made_is_one_line(members):
    type("Mine", (Backbone,), {"name": "mine", "__module__": __name__, **members})
    with pytest.raises(UsageProblem, match=r"backbone mine .*expected to be made without arg"):
        backbones.get("mine")
