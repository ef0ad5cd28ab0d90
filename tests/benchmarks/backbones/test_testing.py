"""Each check of a backbone refuses the network that it is there for."""

import pytest
import torch
from torch import nn

from benchmarks.backbones import Backbone
from benchmarks.backbones.testing import BackboneCheckError, check_backbone, check_outputs


class Network(nn.Module):
    def __init__(self, embedding_size):
        super().__init__()
        self.feature_size, self.embedding_size = 5, embedding_size
        self.trunk = nn.Conv2d(3, 5, 3)
        self.head = nn.Linear(5, embedding_size)

    def features(self, images):
        return self.trunk(images).mean((2, 3))

    def forward(self, images):
        return self.head(self.features(images))


def backbone(network=Network, **members):
    """Return a backbone that builds a network, with some members replaced."""

    def build(self, embedding_size):
        return network(embedding_size)

    made = type("Mine", (Backbone,), {"build": build, "__module__": __name__, **members})
    made.name = "mine"  # after the class is made, so that it is not registered
    return made


def changed(**members):
    return type("Changed", (Network,), members)


def initialised(change):
    """Return the network with something changed after its constructor."""

    class Initialised(Network):
        def __init__(self, embedding_size):
            super().__init__(embedding_size)
            change(self)

    return Initialised


def test_a_sound_backbone_passes():
    check_backbone(backbone())
    check_backbone(backbone()(), image_size=8, embedding_size=3)


class Unused(Network):
    def __init__(self, embedding_size):
        super().__init__(embedding_size)
        self.classifier = nn.Linear(5, 10)


class Hidden(Network):
    """Scales its features by what no state dictionary holds."""

    def __init__(self, embedding_size):
        super().__init__(embedding_size)
        self.scale = torch.rand(())

    def features(self, images):
        return self.scale * super().features(images)


class Seeding(Network):
    def __init__(self, embedding_size):
        torch.manual_seed(7)
        super().__init__(embedding_size)


class Unseeded(Network):
    def __init__(self, embedding_size):
        super().__init__(embedding_size)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.trunk.weight, generator=generator)


class NoFeatures(nn.Module):
    feature_size = 5

    def __init__(self, embedding_size):
        super().__init__()
        self.embedding_size = embedding_size
        self.head = nn.Linear(5, embedding_size)


class Fixed(Network):
    def __init__(self, embedding_size):
        super().__init__(6)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (backbone(NoFeatures), "contract: .*expected a method `features`, found none"),
        (backbone(changed(head=None)), "head"),
        (
            backbone(initialised(lambda n: setattr(n, "feature_size", None))),
            "`feature_size` of at least 1, found None",
        ),
        (
            backbone(initialised(lambda n: setattr(n, "feature_size", 6))),
            r"features: expected \(b, feature_size\) = \(4, 6\), found \(4, 5\)",
        ),
        (
            backbone(initialised(lambda n: setattr(n, "embedding_size", 9))),
            "embedding_size: expected 6, as build was asked for, found 9",
        ),
        (backbone(Fixed), r"build\(7\): expected that embedding_size, found 6"),
        (
            backbone(changed(forward=lambda self, x: self.head(self.features(x).relu()))),
            "to the bit, found a difference of",
        ),
        (
            backbone(changed(features=lambda self, x: self.trunk(x).mean((2, 3)) / 0.0)),
            "expected finite values",
        ),
        (
            backbone(changed(features=lambda self, x: self.trunk(x))),
            r"features: .* found \(4, 5, 30, 30\)",
        ),
        (backbone(Unused), "a gradient for every parameter, found none for classifier.weight"),
        (backbone(Hidden), "same embeddings, found others|state_dict"),
        (backbone(Seeding), "other weights from another seed, found the same"),
        (backbone(Unseeded), "same weights from the same seed"),
        (backbone(lambda size: "a network"), "build: expected an nn.Module, found str"),
        (backbone(lambda size: 1 / 0), "build: ZeroDivisionError"),
        (backbone(needs_weights=True), "weights: expected what a network with needs_weights"),
        (backbone(__init__=lambda self, more: None), "constructor: TypeError"),
    ],
)
def test_a_broken_backbone_is_refused(broken, words):
    with pytest.raises(BackboneCheckError, match=words):
        check_backbone(broken)


def test_the_mode_and_the_random_state_are_left_as_they_were():
    network = Network(4).train()
    check_outputs(network, torch.randn(2, 3, 8, 8))
    assert network.training
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_backbone(backbone())
    assert torch.equal(torch.rand(2), expected)
