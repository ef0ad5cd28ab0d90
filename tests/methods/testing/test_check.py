"""Each check of the conformance suite refuses the method that it is there for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from methods import Method
from methods.testing.check import MethodCheckError, check_method
from methods.testing.toy import INSTANCES, Trial, toy_images, toy_labels


def sound(**members):
    """Return a method that passes, with some members replaced."""

    class Sound(Method):
        def __init__(self, encoder, instances, *, weight=1.0):
            super().__init__(encoder, instances)
            self.weight = weight
            self.register_buffer("steps", torch.zeros(()))
            self.notes = {"steps": 0.0}
            self.register_buffer("start", parameters_to_vector(self.parameters()).detach())

        def loss(self, batch):
            first, second = self.embed_views(batch)
            return self.weight * (first - second).square().sum(1).mean()

        def after_step(self, batch):
            self.steps.add_(1)
            self.notes["steps"] += 1

    return type("Sound", (Sound,), {"name": "sound", "paper": "Nobody, 2030", **members})


def views_distance(self, batch):
    first, second = self.embed_views(batch)
    return (first - second).square().sum(1).mean()


def raw_distance(self, batch):
    """Not by way of `embed`, which is what some cases break."""
    first, second = F.normalize(self.encoder(torch.cat(batch.views)).float(), dim=1).chunk(2)
    return (first - second).square().sum(1).mean()


def positional(self, encoder, instances, weight=1.0):
    Method.__init__(self, encoder, instances)


def without_default(self, encoder, instances, *, weight):
    Method.__init__(self, encoder, instances)


def renamed(self, network, instances, *, weight=1.0):
    Method.__init__(self, network, instances)


def rest(self, encoder, instances, **options):
    Method.__init__(self, encoder, instances)


def failing(self, encoder, instances, *, weight=1.0):
    raise RuntimeError("no such device")


def vector_loss(self, batch):
    first, second = self.embed_views(batch)
    return (first - second).square().sum(1)


def half_loss(self, batch):
    first, second = (self.encoder(view) for view in batch.views)
    return ((first - second) @ first.T).diagonal().mean()


def infinite_loss(self, batch):
    return views_distance(self, batch) * torch.inf


def nan_gradient(self, batch):
    distance = views_distance(self, batch)
    return distance + torch.sqrt(distance * 0)


def cut_gradient(self, batch):
    rows = torch.cat([view.flatten(1) for view in batch.views])
    return F.mse_loss(self.encoder(rows.view(-1, 3, 8, 8)) * 0, torch.ones(len(rows), 32))


def short_batch(self, batch):
    return views_distance(self, batch) / (0 if len(batch.index) < 4 else 1)


def start_epoch(self, epoch, embed_all):
    raise KeyError(epoch)


def no_step(self, batch):
    raise RuntimeError("queue is full")


def ruin(self, batch):
    self.steps.fill_(torch.nan)


def undo(self, batch):
    vector_to_parameters(self.start.clone(), self.parameters())


def stateful_loss(self, batch):
    return views_distance(self, batch) * (1 + self.notes["steps"])


def trained_embed(self, images):
    self.train()
    return F.normalize(self.encoder(images).float(), dim=1)


def bf16_embed(self, images):
    rows = self.encoder(images)
    return rows / rows.norm(dim=1, keepdim=True).to(rows.dtype)


def paired_embed(self, images):
    rows = self.encoder(images[: len(images) // 2 * 2]).float().view(len(images) // 2, -1)
    return F.normalize(rows, dim=1)


def batch_embed(self, images):
    rows = self.encoder(images).float()
    return F.normalize(rows - rows.mean(0), dim=1)


def counting_embed(self, images):
    self.steps.add_(1)
    return F.normalize(self.encoder(images).float(), dim=1)


def forgotten_labels(self, labels):
    """Do what the base class does, which is not enough."""


BROKEN = {
    "no paper": ({"paper": None}, "declaration: expected a class attribute like paper"),
    "no views": ({"views": 0}, "declaration: expected views"),
    "labels not taken": ({"uses_labels": True}, "declaration: .*set_labels not defined"),
    "labels not marked": (
        {"set_labels": forgotten_labels},
        "declaration: expected uses_labels = True with set_labels",
    ),
    "positional": ({"__init__": positional}, "constructor: .*weight to be keyword-only"),
    "no default": ({"__init__": without_default}, "constructor: .*weight .* default"),
    "renamed": ({"__init__": renamed}, "constructor: expected __init__.self, encoder, instances"),
    "any option": ({"__init__": rest}, "constructor: .*options to be keyword-only"),
    "failing": ({"__init__": failing}, "construction: RuntimeError: no such device"),
    "start_epoch": ({"start_epoch": start_epoch}, "start_epoch: KeyError: 0"),
    "epochs": ({"epochs": lambda self, planned: -1}, r"start_epoch: expected epochs\(5\)"),
    "sample float": (
        {"sample": lambda self, generator: torch.rand(5, generator=generator)},
        r"start_epoch: expected sample\(\) to return .n,. int64",
    ),
    "sample range": (
        {"sample": lambda self, generator: torch.tensor([0, INSTANCES])},
        r"start_epoch: expected sample\(\) to return .n,. int64",
    ),
    "sample random": (
        {"sample": lambda self, generator: torch.randperm(INSTANCES)},
        "start_epoch: .*same order for generators of the same seed",
    ),
    "vector": ({"loss": vector_loss}, r"loss: expected a float32 scalar in fp32, got \(32,\)"),
    "bf16": ({"loss": half_loss}, r"loss: .*bf16 autocast, got \(\) bfloat16"),
    "number": ({"loss": lambda self, batch: 1.0}, "loss: expected a float32 scalar .* got 1.0"),
    "infinite": ({"loss": infinite_loss}, "loss: expected a finite value in fp32, got inf"),
    "short batch": (
        {"loss": short_batch, "drop_last": False},
        "loss: expected a finite value for a short last batch, got inf",
    ),
    "nan gradient": ({"loss": nan_gradient}, "gradient: expected finite numbers in fp32"),
    "no gradient": ({"loss": cut_gradient}, "gradient: expected numbers other than 0"),
    "group keys": (
        {"parameter_groups": lambda self: [{"params": list(self.parameters()), "rate": 1}]},
        r"parameter_groups: .*got \['rate'\]",
    ),
    "groups twice": (
        {"parameter_groups": lambda self: [{"params": list(self.parameters()) * 2}]},
        "parameter_groups: .*exactly once",
    ),
    "groups short": (
        {"parameter_groups": lambda self: [{"params": list(self.parameters())[1:]}]},
        "parameter_groups: .*exactly once",
    ),
    "after_step": ({"after_step": no_step}, "after_step: RuntimeError: queue is full"),
    "ruin": ({"after_step": ruin}, "after_step: .*NaN or infinity in steps"),
    "figures": ({"figures": lambda self: {"x": float("nan")}}, "after_step: expected figures"),
    "memory": ({"memory": lambda self: torch.zeros(3, 4)}, r"after_step: .*got \(3, 4\) float32"),
    "not unit": (
        {"embed": lambda self, images: self.encoder(images).float()},
        "embed: expected rows of unit L2 norm in fp32",
    ),
    "embed bf16": (
        {"embed": bf16_embed, "loss": raw_distance},
        r"embed: expected \(32, d\) float32 in bf16 autocast, got \(32, 32\) bfloat16",
    ),
    "embed pairs": (
        {"embed": paired_embed, "loss": raw_distance},
        r"embed: expected \(32, d\) float32 in fp32, got \(16, 64\) float32",
    ),
    "embed trains": ({"embed": trained_embed}, "embed: expected evaluation mode to be kept"),
    "embed together": ({"embed": batch_embed}, "embed: expected 3 images to embed alike"),
    "embed counts": ({"embed": counting_embed}, "embed: expected no change of state"),
    "hidden state": ({"loss": stateful_loss}, "state_dict: .*after saving and loading"),
    "undone": ({"after_step": undo}, "learning: .*never below the first"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_method_is_refused_with_the_reason(case):
    members, message = BROKEN[case]
    with pytest.raises(MethodCheckError, match=f"^Sound, {message}"):
        check_method(sound(**members))


def test_a_sound_method_passes_with_its_options():
    check_method(sound(), weight=2.0)


def test_what_the_method_raised_is_kept_as_the_cause():
    with pytest.raises(MethodCheckError) as raised:
        check_method(sound(after_step=no_step))
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert isinstance(raised.value, AssertionError)


def test_an_unknown_option_is_refused():
    with pytest.raises(MethodCheckError, match=r"construction: TypeError: .*height"):
        check_method(sound(), height=2.0)


def test_the_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_method(sound())
    assert torch.equal(torch.rand(3), expected)


def test_a_method_that_trains_nothing_passes():
    check_method(
        sound(loss=lambda self, batch: torch.zeros(()), parameter_groups=Method.parameter_groups)
    )


def test_trial_uses_the_overrides_of_a_group():
    def groups(self):
        first, *others = self.parameters()
        return [{"params": [first], "lr_scale": 0.0, "weight_decay": 0.0}, {"params": others}]

    torch.manual_seed(0)
    trial = Trial(sound(parameter_groups=groups), {})
    first, second = (p.clone() for p in list(trial.method.parameters())[:2])
    trial.train(2)
    frozen, moved = list(trial.method.parameters())[:2]
    assert torch.equal(frozen, first)
    assert not torch.equal(moved, second)


def labelled(**members):
    """Return a method that learns from the labels it is given."""

    def set_labels(self, labels):
        self.register_buffer("labels", labels)

    def loss(self, batch):
        logits = self.embed(batch.views[0])[:, :8] * 10
        return F.cross_entropy(logits, self.labels[batch.index])

    return sound(uses_labels=True, set_labels=set_labels, loss=loss, **members)


def test_a_method_that_uses_labels_gets_them():
    check_method(labelled())
    method = Trial(labelled(), {}).method
    assert torch.equal(method.labels, toy_labels())


def test_labels_are_kept_from_a_method_that_does_not_use_them():
    assert not hasattr(Trial(sound(set_labels=None), {}).method, "labels")


def test_toy_labels_tell_toy_images_apart():
    labels, images = toy_labels(), toy_images().flatten(1)
    assert labels.shape == (INSTANCES,)
    assert labels.unique().tolist() == list(range(8))
    means = F.normalize(torch.stack([images[labels == c].mean(0) for c in range(8)]), dim=1)
    found = (F.normalize(images, dim=1) @ means.T).argmax(1)
    assert (found == labels).float().mean() > 0.5


def test_a_trial_visits_the_first_images_of_the_methods_own_order():
    def sample(self, generator):
        return torch.arange(INSTANCES - 1, -1, -1)

    batch = Trial(sound(sample=sample), {}).batch(4)
    last = [INSTANCES - 1, INSTANCES - 2, INSTANCES - 3, INSTANCES - 4]
    assert batch.index.tolist() == last
    torch.testing.assert_close(batch.views[0], toy_images()[last], rtol=0, atol=2)
    assert Trial(sound(), {}).batch(3).index.tolist() == [0, 1, 2]


def test_toy_encoder_has_batch_statistics():
    trial = Trial(sound(), {})
    assert any(isinstance(m, nn.BatchNorm2d) for m in trial.method.modules())
