"""Each check of the conformance suite refuses the method that it is there for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from methods import Method, View
from methods.testing.check import MethodCheckError, check_method
from methods.testing.toy import INSTANCES, Trial, toy_images, toy_labels


def sound(**members):
    """Return a method that passes, with some members replaced."""

    class Sound(Method):
        def __init__(self, encoder, instances, *, weight=1.0):
            super().__init__(encoder, instances)
            self.weight = weight
            self.register_buffer("steps", torch.zeros(()))
            self.register_buffer("center", torch.zeros(encoder.feature_size))
            self.register_buffer("row", torch.zeros(encoder.embedding_size))
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


def start_epoch(self, clock, train):
    raise KeyError(clock.epoch)


def no_step(self, batch):
    raise RuntimeError("queue is full")


def ruin(self, batch):
    self.steps.fill_(torch.nan)


def undo(self, batch):
    vector_to_parameters(self.start.clone(), self.parameters())


def stateful_loss(self, batch):
    return views_distance(self, batch) * (1 + self.notes["steps"])


def of_head(change):
    """Return representations of which one is made of the encoder's output."""

    def representations(self, images):
        return {"embedding": change(self, self.encoder(images))}

    return representations


def unit(rows):
    return F.normalize(rows.float(), dim=1)


def trained(self, rows):
    self.train()
    return unit(rows)


def counted(self, rows):
    self.steps.add_(1)
    return unit(rows)


def always(*found):
    """Return representations that are the same whatever the images are."""
    return lambda self, images: dict(found)


def named_by_size(self, images):
    names = ("embedding", "features") if len(images) > 3 else ("embedding",)
    return {name: unit(self.encoder(images)) for name in names}


def second_broken(self, images):
    return {"embedding": unit(self.encoder(images)), "raw": self.encoder(images).float()}


def without_features(self, encoder, instances, *, weight=1.0):
    Method.__init__(self, nn.Sequential(encoder), instances)
    self.weight, self.notes = weight, {"steps": 0.0}


def many_rounds(self, encoder, instances, *, weight=1.0):
    Method.__init__(self, encoder, instances)
    self.rounds = 0


def infinite_in_round_2(self, batch):
    return views_distance(self, batch) / (1 - batch.clock.round)


def pair(self, generator):
    """Return (512, 2) groups of two, of which the last has an image too many."""
    return torch.arange(INSTANCES).view(-1, 2) + 1


def one_parameter(**facts):
    return lambda self: [{"params": list(self.parameters()), **facts}]


def forgotten_labels(self, labels):
    """Do what the base class does, which is not enough."""


BROKEN = {
    "no paper": ({"paper": None}, "declaration: expected a class attribute like paper"),
    "no views": ({"views": 0}, "declaration: views: expected at least one View, got 0"),
    "an empty list of views": ({"views": ()}, "declaration: views: expected at least one View"),
    "views of numbers": ({"views": (1,)}, r"declaration: views: expected at least one View.*1,"),
    "views of words": ({"views": "2"}, "declaration: views: "),
    "views set to none": ({"views": property(lambda self: ())}, "construction: views: expected"),
    "rounds": ({"rounds": 0}, "declaration: expected rounds to be .* at least 1, got 0"),
    "rounds set to none": ({"__init__": many_rounds}, "construction: expected rounds .* got 0"),
    "revision": ({"revision": 1.5}, "declaration: expected revision to be a whole number"),
    "family": (
        {"family": "metric"},
        "declaration: expected family to be one of instance, .*, got 'metric'",
    ),
    "earlier figures": (
        {"figures": lambda self: {}},
        "declaration: expected no `figures`, which is called `metrics` now",
    ),
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
    "no features": (
        {"__init__": without_features},
        "construction: encoder Sequential: expected a whole number `feature_size`",
    ),
    "start_round": (
        {"start_round": lambda self, clock, train: train.labels},
        "start_epoch: AttributeError: .*labels",
    ),
    "round 2": (
        {"rounds": 2, "loss": infinite_in_round_2},
        "rounds: expected a finite loss in round 2, got inf",
    ),
    "start_epoch": ({"start_epoch": start_epoch}, "start_epoch: KeyError: 0"),
    "epochs": ({"epochs": lambda self, planned: -1}, r"start_epoch: expected epochs\(5\)"),
    "sample float": (
        {"sample": lambda self, generator: torch.rand(5, generator=generator)},
        r"start_epoch: expected sample\(\) to return \(n,\) or \(m, g\) int64",
    ),
    "sample range": (
        {"sample": lambda self, generator: torch.tensor([0, INSTANCES])},
        r"start_epoch: expected sample\(\) to return \(n,\) or \(m, g\) int64",
    ),
    "sample pairs range": (
        {"sample": pair},
        r"start_epoch: expected sample\(\) .* from 0 to 1023, got \(512, 2\) int64",
    ),
    "sample cube": (
        {"sample": lambda self, generator: torch.zeros(4, 4, 4).long()},
        r"start_epoch: expected sample\(\) .* got \(4, 4, 4\) int64",
    ),
    "sample short": (
        {"sample": lambda self, generator: torch.arange(30).view(15, 2)},
        "start_epoch: .*at least the 32 images of a batch, got 30",
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
        {"parameter_groups": one_parameter(rate=1)},
        r"parameter_groups: .*got \['rate'\]",
    ),
    "group schedule": (
        {"parameter_groups": one_parameter(schedule="cosine")},
        "parameter_groups: expected schedule to be 'constant'.* got 'cosine'",
    ),
    "group lr_scale": (
        {"parameter_groups": one_parameter(lr_scale="1")},
        "parameter_groups: expected lr_scale to be a number of at least 0, got '1'",
    ),
    "group without params": (
        {"parameter_groups": lambda self: [{"momentum": 0.5}]},
        "parameter_groups: .*`params`",
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
    "before_step": (
        {"before_step": lambda self, clock: self.queue},
        "after_step: AttributeError: .*queue",
    ),
    "metrics": (
        {"metrics": lambda self: {"x": float("nan")}},
        r"after_step: expected metrics\(\) to return finite floats, got x",
    ),
    "metrics of the suite": (
        {"metrics": lambda self: {"assignment_test_mean": 1.0}},
        "after_step: .*leave the name 'assignment_test_mean' to the suite",
    ),
    "memory": ({"memory": lambda self: torch.zeros(3, 4)}, r"after_step: .*got \(3, 4\) float32"),
    "not unit": (
        {"representations": of_head(lambda self, rows: rows.float())},
        "representations: .*embedding to have rows of unit L2 norm in fp32",
    ),
    "second not unit": (
        {"representations": second_broken},
        "representations: .*raw to have rows of unit L2 norm in fp32",
    ),
    "bf16 rows": (
        {"representations": of_head(lambda self, rows: rows / rows.norm(dim=1)[:, None])},
        r"representations: .*embedding in float32 in bf16 autocast, got \(32, 32\) bfloat16",
    ),
    "rows of pairs": (
        {"representations": of_head(lambda self, rows: unit(rows[: len(rows) // 2]))},
        r"representations: .*embedding to be \(32, d\) floats, .* got \(16, 32\) float32",
    ),
    "rows of one number": (
        {"representations": of_head(lambda self, rows: rows[:, 0])},
        r"representations: .*embedding to be \(32, d\) floats, .* got \(32,\) float32",
    ),
    "rows not finite": (
        {"representations": of_head(lambda self, rows: unit(rows) / 0)},
        "representations: expected representation embedding to be finite",
    ),
    "no representation": (
        {"representations": always()},
        "representations: .*a dict of names and rows, got {}",
    ),
    "no dict": (
        {"representations": lambda self, images: unit(self.encoder(images))},
        r"representations: .*a dict of names and rows, got \(32, 32\) float32",
    ),
    "reserved representation": (
        {"representations": lambda self, images: {"memory": unit(self.encoder(images))}},
        "representations: .*got 'memory'; memory, predictions are the suite's",
    ),
    "representation of capitals": (
        {"representations": lambda self, images: {"A B": unit(self.encoder(images))}},
        "representations: .*names such as embedding or features, got 'A B'",
    ),
    "names that change": (
        {"representations": named_by_size},
        r"representations: .*the same representations for all images, got .*'features'\]",
    ),
    "representations train": (
        {"representations": of_head(trained)},
        "representations: expected evaluation mode to be kept",
    ),
    "rows together": (
        {"representations": of_head(lambda self, rows: unit(rows - rows.mean(0)))},
        "representations: expected 3 images to give representation embedding alike",
    ),
    "representations count": (
        {"representations": of_head(counted)},
        "representations: expected no change of state",
    ),
    "prediction": (
        {"predict": lambda self, images: self.encoder(images)},
        r"representations: expected predict\(\) .* \(heads, 32, classes\).* got \(32, 32\)",
    ),
    "prediction of too few": (
        {"predict": lambda self, images: self.encoder(images)[None, 1:]},
        r"representations: expected predict\(\) .* got \(1, 31, 32\)",
    ),
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


def crops(self, batch):
    """Compare the mean of all views of an image with each."""
    sizes = [view.shape[-1] for view in batch.views]
    assert sizes == [8, 8, 4, 4, 4]
    rows = torch.stack([self.embed(view) for view in batch.views])  # (views, b, d)
    return (rows - rows.mean(0)).square().sum(2).mean()


def inverted(self, images):
    return F.log_softmax(self.encoder(images).float(), dim=1)[None]


SOUND = {
    "pairs": {"sample": lambda self, generator: torch.randperm(
        INSTANCES, generator=generator).view(-1, 2)},
    "three rounds": {"rounds": 3},
    "views of two sizes": {
        "views": (View(), View(transform=torch.neg), *[View(size=4)] * 3), "loss": crops},
    "changed views": {"views": (View(changes={"blur": 1.0}), View(changes={"flip": False}))},
    "constant schedule": {
        "parameter_groups": one_parameter(schedule="constant", lr_scale=0.5, momentum=0.0)},
    "predictions": {"predict": inverted},
    "representations": {"representations": lambda self, images: {
        "head": unit(self.encoder(images)), "twice": unit(self.encoder(images).repeat(1, 2))}},
    "a pass over the training set": {
        "start_round": lambda self, clock, train: self.center.copy_(train.features().mean(0)),
        "start_epoch": lambda self, clock, train: self.row.copy_(train.embeddings()[0])},
}  # fmt: skip


@pytest.mark.parametrize("case", SOUND)
def test_what_the_contract_allows_passes(case):
    check_method(sound(**SOUND[case]))


def test_a_transform_may_return_any_shape_of_as_many_images():
    def patches(images):
        return images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)

    def loss(self, batch):
        whole, parts = batch.views
        assert parts.shape == (len(whole), 4, 3, 4, 4)
        rows = self.embed(parts.flatten(0, 1)).view(len(whole), 4, -1)
        return (rows - self.embed(whole)[:, None]).square().sum(2).mean()

    check_method(sound(views=(View(), View(transform=patches)), loss=loss))


def test_the_clock_of_a_trial_counts_rounds_and_epochs():
    seen = []

    def start(self, clock, train):
        seen.append((clock.round, clock.rounds, clock.epoch, clock.step, clock.fraction))

    trial = Trial(sound(rounds=2, start_round=start, start_epoch=start), {})
    trial.start_epoch(0)
    trial.start_epoch(1)
    trial.start_epoch(0, 1)
    assert seen == [(0, 2, 0, 0, 0.0)] * 2 + [(0, 2, 1, 10, 0.25)] + [(1, 2, 0, 0, 0.0)] * 2
    assert trial.batch(2).clock.round == 1


def test_a_trial_passes_over_the_training_set_in_evaluation_mode():
    trial = Trial(sound(), {})
    before = {name: value.clone() for name, value in trial.method.state_dict().items()}
    rows = trial.embeddings()
    assert rows.shape == (INSTANCES, 32)
    assert trial.method.training
    assert all(torch.equal(v, before[n]) for n, v in trial.method.state_dict().items())
    torch.testing.assert_close(unit(trial.method.encoder.head(trial.features())), rows)


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
