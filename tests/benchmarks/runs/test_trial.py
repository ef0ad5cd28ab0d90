"""What is told of a plug-in's method before any training."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.common.errors import MethodProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.runs.plan import Choice, choose, make_plan
from benchmarks.runs.trial import try_out
from benchmarks.training.recipe import read
from methods import Method


@pytest.fixture(scope="module")
def digits():
    return datasets.get("digits").load(datasets.default_root())


@pytest.fixture
def recipe(tiny_recipe):
    return read(str(tiny_recipe)).recipe


@pytest.fixture
def data(digits):
    train = replace(
        digits.train, images=digits.train.images[:200], labels=digits.train.labels[:200]
    )
    return replace(digits, train=train)


def method(**members):
    """Return a method of this file, which is foreign to the suite, with some members replaced."""

    class Mine(Method):
        def loss(self, batch):
            first, second = self.embed_views(batch)
            return (first - second).square().sum(1).mean()

    return type("Mine", (Mine,), {"name": "mine", "paper": "x", **members})


def init(body):
    def built(self, encoder, instances):
        Method.__init__(self, encoder, instances)
        body(self, encoder)

    return {"__init__": built}


def fail(error):
    def failing(self, *arguments):
        raise error

    return failing


class OddError(BaseException):
    pass


REFUSED = {
    "no paper": ({"paper": None}, "like paper"),
    "views": ({"views": 0}, "views"),
    "one view": ({"views": 1}, "ValueError: not enough values to unpack"),
    "number": ({"loss": lambda self, batch: 0.5}, "scalar float tensor, got 0.5"),
    "vector": ({"loss": lambda self, batch: self.embed(batch.views[0]).sum(1)}, "scalar float"),
    "third view": ({"loss": lambda self, batch: batch.views[2].sum()}, "IndexError"),
    "exit": ({"loss": fail(SystemExit(0))}, "SystemExit: 0"),
    "stop": ({"loss": fail(StopIteration())}, r"StopIteration \(test_trial.py:\d+\)"),
    "odd": ({"loss": fail(OddError("x"))}, "OddError: x"),
    "recursion": ({"after_step": lambda self, batch: self.after_step(batch)}, "RecursionError"),
    "constructor": (init(lambda self, encoder: {}["x"]), r"KeyError: 'x' \(test_trial.py:\d+\)"),
    "constructor exits": (init(fail(SystemExit(0))), "SystemExit: 0"),
    "constructor, ValueError": (init(fail(ValueError("a\nb"))), "ValueError: a b"),
    "epochs": ({"epochs": lambda self, planned: -1}, r"epochs\(3\)"),
    "groups": ({"parameter_groups": lambda self: [{"params": [], "rate": 1}]}, "rate"),
    "start_epoch": ({"start_epoch": fail(KeyError("y"))}, "KeyError: 'y'"),
    "sample": ({"sample": lambda self, generator: torch.rand(200)}, r"sample\(\) to return"),
    "short sample": ({"sample": lambda self, generator: torch.arange(5)}, "at least the 32"),
    "reserved": ({"metrics": lambda self: {"knn": 99.0}}, "'knn' to the suite"),
    "text": ({"metrics": lambda self: {"mine": "high"}}, "floats, got 'high' for 'mine'"),
    "memory": ({"memory": lambda self: torch.zeros(3, 4)}, r"memory\(\) .*got \(3, 4\)"),
    "rows": ({"representations": lambda self, images: {"embedding": images.sum(1)}},
             r"representation embedding to be \(8, d\) floats"),
    "rows not finite": ({"representations": lambda self, images: {
        "embedding": self.encoder(images) / 0}}, "embedding to be finite"),
    "reserved rows": ({"representations": lambda self, images: {"memory": self.embed(images)}},
                      "got 'memory'"),
    "no rows": ({"representations": lambda self, images: {}}, "a dict of names and rows"),
    "prediction": ({"predict": lambda self, images: self.embed(images)}, r"predict\(\) to return"),
    "before_step": ({"before_step": fail(KeyError("z"))}, "KeyError: 'z'"),
    "schedule": ({"parameter_groups": lambda self: [{"params": [], "schedule": "x"}]}, "schedule"),
    "rounds": ({"rounds": 0}, "rounds"),
    "family": ({"family": "x"}, "family to be one of"),
    "earlier names": ({"figures": lambda self: {}}, "no `figures`, which is called `metrics` now"),
    "abstract": ({"loss": Method.loss}, "abstract"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_method_is_refused_in_one_line(case, recipe, data):
    members, message = REFUSED[case]
    with pytest.raises(MethodProblem, match=f"^mine: .*{message}") as raised:
        try_out(method(**members), {}, recipe, data)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_status == 1


def test_an_interrupt_is_none_of_the_methods(recipe, data):
    with pytest.raises(KeyboardInterrupt):
        try_out(method(loss=fail(KeyboardInterrupt())), {}, recipe, data)


def whole_batch(self, batch):
    if len(batch.index) < 32:
        raise RuntimeError("queue: expected 32 images")
    return method().loss(self, batch)


def looks_at_the_network(self, encoder):
    self.predictor = torch.nn.Linear(encoder.head.out_features, encoder.head.in_features)
    assert encoder.features(torch.zeros(2, 3, 8, 8)).shape == (2, encoder.head.in_features)
    assert next(encoder.stages.parameters()).device == torch.device("cpu")


SOUND = {
    "plain": {},
    "the recipe's network": init(looks_at_the_network),
    "made for whole batches": {"loss": whole_batch},
    "one view": {"views": 1, "loss": lambda self, batch: self.embed(batch.views[0]).std()},
    "nothing to train": {"epochs": lambda self, planned: 0, "loss": fail(KeyError())},
    "side metrics": {"metrics": lambda self: {"mine": torch.tensor(1.0), "count": 3}},
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_method_passes_without_a_word(case, recipe, data):
    assert try_out(method(**SOUND[case]), {}, recipe, data) == []


def test_mining_is_tried_on_few_images_where_there_are_many(recipe, data):
    seen = []

    def start_epoch(self, clock, train):
        seen.append((self.instances, tuple(train.embeddings().shape)))

    images, labels = data.train.images[:1], data.train.labels[:1]
    many = replace(data.train, images=images.repeat(5000, axis=0), labels=labels.repeat(5000))
    recipe = recipe.model_copy(update={"train_images": None})
    assert try_out(method(start_epoch=start_epoch), {}, recipe, replace(data, train=many)) == []
    assert seen == [(2048, (2048, 16))]


def test_a_loss_without_gradient_and_odd_side_metrics_are_said(recipe, data):
    mine = method(
        loss=lambda self, batch: self.embed(batch.views[0]).sum().detach(),
        metrics=lambda self: {"far": float("nan")},
    )
    gradient, metrics = try_out(mine, {}, recipe, data)
    assert "no gradient" in gradient
    assert "NaN or infinity for far" in metrics


def positional(self, encoder, instances, weight=1.0):
    Method.__init__(self, encoder, instances)


def test_an_argument_that_cannot_be_set_is_said(recipe, data):
    (note,) = try_out(method(__init__=positional), {}, recipe, data)
    assert "weight is not keyword-only" in note


def test_labels_are_handed_to_who_uses_them(recipe, data):
    def set_labels(self, labels):
        self.register_buffer("labels", labels)

    def loss(self, batch):
        return F.cross_entropy(self.embed(batch.views[0])[:, :10], self.labels[batch.index])

    mine = method(uses_labels=True, views=1, set_labels=set_labels, loss=loss)
    assert try_out(mine, {}, recipe, data) == []


def test_random_states_are_left_alone(recipe, data):
    def draws(self, encoder):
        torch.rand(3), random.random(), np.random.rand()

    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    expected = torch.rand(2).tolist(), random.random(), np.random.rand()
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    try_out(method(**init(draws)), {}, recipe, data)
    try_out(choose(["nce"])[0].method, {"noise": 4}, recipe, data)
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == expected


def test_a_constructor_that_changes_its_arguments_changes_no_key(recipe, digits):
    def popping(self, encoder, instances, *, sizes=[1, 2]):  # noqa: B006
        Method.__init__(self, encoder, instances)
        sizes.pop()

    mine = Choice(method(__init__=popping))
    for _ in range(3):
        (run,) = make_plan([mine], lambda *_: digits, recipe, 1, {}, "fp32")
        assert run.hyper_parameters == {"sizes": [1, 2]}


def refusing(self, encoder, instances, *, weight=1.0):
    Method.__init__(self, encoder, instances)
    if weight < 0 or instances < 300:
        raise ValueError("weight: expected at least 0")


def test_a_value_of_the_user_is_the_users_mistake_and_all_else_the_plugins(recipe, digits):
    mine = Choice(method(__init__=refusing))
    with pytest.raises(UsageProblem, match="mine: ValueError: weight: expected at least 0"):
        make_plan([mine], lambda *_: digits, recipe, 1, {"mine": {"weight": -1}}, "fp32")
    with pytest.raises(MethodProblem, match="weight: expected"):
        make_plan([mine], lambda *_: digits, recipe, 1, {}, "fp32")


def test_the_others_are_planned_all_the_same(recipe, digits):
    choices = [*choose(["nce"]), Choice(method(paper=None)), *choose(["triplet"])]
    refused: dict[str, str] = {}
    runs = make_plan(choices, lambda *_: digits, recipe, 1, {}, "fp32", None, refused)
    assert [run.method.name for run in runs] == ["nce", "triplet"]
    assert list(refused) == ["mine"]
    assert refused["mine"].startswith("expected a class attribute like paper")
