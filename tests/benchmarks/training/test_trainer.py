import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.common import profiler
from benchmarks.common.errors import OutOfTime, RunFailed, UsageProblem
from benchmarks.common.profiler import Stopwatch
from benchmarks.common.seeds import derive_seed
from benchmarks.data.loader import Stores
from benchmarks.training import checkpoint as checkpoints
from benchmarks.training import trainer as trainer_module
from benchmarks.training.trainer import _last_finite
from helpers.training import CPU, Probe, SmallEncoder, fit, labelled_stores, store
from helpers.training import make_trainer as make
from methods import Method, View


@pytest.fixture
def stores():
    return labelled_stores()


def test_history_has_a_row_per_epoch_with_the_schedule(stores):
    history = fit(make(stores))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["lr"].tolist() == pytest.approx([0.03, 0.03, 0.003])
    assert history["images_seen"].tolist() == [96, 192, 288]  # 3 whole batches of 16, 2 views
    assert history["steps"].tolist() == [3, 6, 9]
    assert np.isfinite(history[["loss", "knn", "train_seconds", "evaluate_seconds"]]).all(axis=None)
    assert history["train_seconds"].is_monotonic_increasing


def test_each_epoch_visits_distinct_images_in_a_new_order(stores):
    trainer = make(stores)
    fit(trainer)
    epochs = torch.cat(trainer.method.seen).split(48)
    for visited in epochs:
        assert len(visited.unique()) == 48
    assert not torch.equal(epochs[0], epochs[1])


def test_last_batch_is_kept_if_the_method_asks(stores):
    method = Probe(drop_last=False)
    fit(make(stores, method, epochs=1))
    assert [len(index) for index in method.seen] == [16, 16, 16, 2]


def test_the_method_trains_in_training_mode(stores):
    trainer = make(stores, epochs=1)
    fit(trainer)
    assert all(training for stage, training in trainer.method.modes if stage == "loss")
    assert trainer.method.embedded.shape == (50, 4)


def test_evaluate_every_skips_but_keeps_first_and_last(stores):
    history = fit(make(stores, epochs=5, evaluate_every=3))
    assert history["knn"].notna().tolist() == [True, False, True, False, True]
    assert history["steps"].notna().all()  # a method's own metrics are there for every epoch


def test_same_seed_same_bits(stores):
    first, second = make(stores), make(stores)
    columns = ["loss", "knn", "steps"]
    assert fit(first)[columns].equals(fit(second)[columns])
    for one, other in zip(first.method.parameters(), second.method.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_loss_that_is_not_finite_names_epoch_and_step(stores, value):
    method = Probe(loss_at={5: value})  # 3 steps an epoch: epoch 2, step 2
    saved = []
    trainer = make(stores, method)
    with pytest.raises(RunFailed, match=r"epoch 2, step 2.*checkpoint of epoch 1 is kept"):
        trainer.fit(pd.DataFrame(), lambda history: saved.append(len(history)))
    assert saved == [1]


def test_batch_larger_than_the_data(stores):
    with pytest.raises(UsageProblem, match=r"at most 50.*recipe.batch_size"):
        make(stores, batch_size=51)


def test_method_without_training_is_evaluated_once(stores):
    class Untrained(Probe):
        def epochs(self, planned):
            return 0

    history = fit(make(stores, Untrained()))
    assert history["epoch"].tolist() == [0]
    assert np.isfinite(history["knn"]).all()


def test_parameter_groups_override_momentum(stores):
    class Groups(Probe):
        def parameter_groups(self):
            conv = list(self.encoder.conv.parameters())
            return [
                {"params": conv, "momentum": 0.0, "lr_scale": 0.5},
                {"params": [p for p in self.parameters() if all(p is not c for c in conv)]},
            ]

    trainer = make(stores, Groups(), epochs=1)
    fit(trainer)
    first, second = trainer.optimizer.param_groups
    assert (first["momentum"], second["momentum"]) == (0.0, 0.9)
    assert first["lr"] == pytest.approx(second["lr"] / 2)


def test_bf16_trains_to_finite_losses(stores):
    assert np.isfinite(fit(make(stores, precision="bf16"))["loss"]).all()


def test_a_deadline_stops_between_epochs_and_loses_nothing(stores):
    saved, trainer = [], make(stores)
    with pytest.raises(OutOfTime, match="epoch 1 of 3"):
        trainer.fit(pd.DataFrame(), saved.append, deadline=0.0)
    assert [len(history) for history in saved] == [1]
    with pytest.raises(OutOfTime, match="epoch 2 of 3"):
        trainer.fit(trainer.history, saved.append, deadline=0.0)
    trainer.fit(trainer.history, saved.append, deadline=0.0)  # the last epoch is in time
    whole = fit(make(stores))
    assert trainer.history[["loss", "knn"]].equals(whole[["loss", "knn"]])


@pytest.mark.parametrize(("size", "sizes"), [(49, [50]), (7, [7] * 6 + [8]), (16, [16] * 3 + [2])])
def test_a_single_image_left_over_joins_the_last_batch_and_is_said_once(stores, size, sizes):
    method, lines = Probe(views=1, drop_last=False), []
    trainer = make(stores, method, batch_size=size, epochs=2)
    trainer.progress.note = lines.append
    history = fit(trainer)
    assert [len(index) for index in method.seen] == sizes * 2
    assert history["images_seen"].tolist() == [50, 100]
    assert len(lines) == (sizes[-1] > size)
    assert all(f"{sizes[-1]} images" in line for line in lines)


def test_a_single_view_of_a_single_image_is_refused_before_training(stores):
    single = store(1, 3)
    method = Probe(instances=1, views=1, drop_last=False)
    with pytest.raises(UsageProblem, match="at least 2 training images"):
        make(Stores(single, single, stores.test), method)


@pytest.mark.parametrize(
    ("epoch", "words"), [(0, "no epoch was finished"), (2, "the checkpoint of epoch 2 is kept")]
)
def test_a_failure_says_truly_which_checkpoint_there_is(epoch, words):
    with pytest.raises(RunFailed, match=rf"loss is nan at epoch {epoch + 1}, step 2; {words}"):
        _last_finite(torch.tensor([1.0, float("nan")]), 0, 2, epoch)


def test_a_compiled_encoder_trains_to_the_same_metrics(stores, monkeypatch):
    """With a backend that only traces; code generation is torch's own affair."""
    expected = fit(make(stores))
    compiled, torch_compile = [], torch.compile

    def traced(*arguments, **options):
        compiled.append(options["backend"])
        return torch_compile(*arguments, **options)

    monkeypatch.setattr(trainer_module, "COMPILER", "eager")
    monkeypatch.setattr(torch, "compile", traced)
    trainer = make(stores, compiled=True)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert compiled == ["eager"]
    assert np.allclose(trainer.history[["loss", "knn"]], expected[["loss", "knn"]])
    assert embedded.bank["features"].shape == (50, 6)


def test_phases_add_up_to_the_epoch(stores, monkeypatch):
    ticks = iter(range(10**6))  # every look at the clock takes a second
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)), monotonic=time.monotonic)
    monkeypatch.setattr(trainer_module, "time", clock)
    monkeypatch.setattr(profiler, "time", clock)
    trainer = make(stores, epochs=1, stopwatch=Stopwatch(CPU))
    seconds = fit(trainer)["train_seconds"].iloc[-1]
    phases = trainer.stopwatch.seconds()
    steps = {"sampling", "augmentation", "loss", "backward", "optimiser", "after step", "logging"}
    assert set(phases) == steps | {"start of epoch"}
    assert all(phases[name] == 3 for name in steps)
    assert sum(phases.values()) == pytest.approx(seconds, abs=2)  # before the first lap, after all


def test_derived_seeds_differ():
    assert derive_seed(0, 1) != derive_seed(1, 0)
    assert derive_seed(0, "order") == derive_seed(0, "order") >= 0


class Hooks(Probe):
    """Writes down every call with its clock, and the rates of the optimiser's groups."""

    def __init__(self, **facts):
        super().__init__(**facts)
        self.calls, self.trainer = [], None

    def note(self, name, clock):
        self.calls.append((name, clock))

    def start_round(self, clock, train):
        self.note("start_round", clock)

    def start_epoch(self, clock, train):
        self.note("start_epoch", clock)

    def sample(self, generator):
        self.note("sample", None)

    def loss(self, batch):
        self.note("loss", batch.clock)
        return super().loss(batch)

    def before_step(self, clock):
        self.note("before_step", clock)

    def after_step(self, batch):
        self.note("after_step", batch.clock)


def test_the_trainer_calls_the_hooks_in_order(stores):
    method = Hooks(rounds=2)
    history = fit(make(stores, method, epochs=2))
    step = ["loss", "before_step", "after_step"]
    epoch = ["start_epoch", "sample", *step * 3]
    assert [name for name, _ in method.calls] == (["start_round", *epoch, *epoch]) * 2
    assert history["epoch"].tolist() == [1, 2, 3, 4]


def test_every_batch_and_hook_knows_the_time(stores):
    method = Hooks(rounds=2)
    fit(make(stores, method, epochs=2))
    named = {name: [c for which, c in method.calls if which == name] for name, _ in method.calls}
    for name in ("loss", "before_step", "after_step"):
        found = [(c.round, c.epoch, c.step) for c in named[name]]
        assert found == [(r, e, 3 * e + s) for r in (0, 1) for e in (0, 1) for s in range(3)]
    assert all((c.rounds, c.epochs, c.steps) == (2, 2, 6) for c in named["loss"])
    assert [c.fraction for c in named["loss"]] == pytest.approx([s / 6 for s in range(6)] * 2)
    assert [(c.round, c.epoch) for c in named["start_round"]] == [(0, 0), (1, 0)]
    assert [(c.round, c.epoch) for c in named["start_epoch"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [c.fraction for c in named["start_epoch"]] == [0, 0.5] * 2
    assert [c.first for c in named["start_epoch"]] == [True, False, False, False]


def test_a_method_sees_its_own_epochs_in_the_clock(stores):
    class Short(Hooks):
        def epochs(self, planned):
            return planned - 2

    method = Short(rounds=3)
    assert len(fit(make(stores, method, epochs=3))) == 3
    clocks = [clock for name, clock in method.calls if name == "start_round"]
    assert [(c.round, c.epoch, c.epochs) for c in clocks] == [(r, 0, 1) for r in range(3)]


class Rates(Probe):
    """Keeps each group's learning rate at every step."""

    def __init__(self, *facts, **more):
        super().__init__(*facts, **more)
        self.rates, self.trainer = [], None

    def parameter_groups(self):
        conv, bn, head = (list(m.parameters()) for m in (
            self.encoder.conv, self.encoder.bn, self.encoder.head))  # fmt: skip
        return [
            {"params": conv},
            {"params": bn, "lr_scale": 0.1},
            {"params": head, "lr_scale": 10.0, "schedule": "constant"},
        ]

    def before_step(self, clock):
        self.rates.append([group["lr"] for group in self.trainer.optimizer.param_groups])


def rates_of(stores, **fields):
    """Return the rates of the three groups at each step, and the history."""
    method = Rates(rounds=fields.pop("rounds", 1))
    trainer = make(stores, method, **fields)
    method.__dict__["trainer"] = trainer
    history = fit(trainer)
    return np.array(method.rates), history


def test_the_schedule_restarts_with_each_round(stores):
    rates, history = rates_of(stores, rounds=2, epochs=3)
    assert history["lr"].tolist() == pytest.approx([0.03, 0.03, 0.003] * 2)
    assert rates[:, 0] == pytest.approx(([0.03] * 6 + [0.003] * 3) * 2)


def test_groups_scale_the_rate_or_leave_the_schedule(stores):
    rates, _ = rates_of(stores, rounds=2, schedule="cosine", epochs=2)
    assert rates[:, 1] == pytest.approx(0.1 * rates[:, 0])
    assert rates[:, 2] == pytest.approx([0.3] * 12)
    assert len(set(rates[:6, 0].tolist())) == 6


def test_the_rate_of_every_step_is_that_of_the_schedule(stores):
    rates, history = rates_of(stores, schedule="cosine", warmup_epochs=1.5, epochs=4, lr=0.5)
    steps, warm = 12, 4.5  # 3 steps an epoch
    expected = [
        0.5 * ((s + 1) / warm if s < warm else 0.5 * (1 + np.cos(np.pi * (s - warm) / (12 - warm))))
        for s in range(steps)
    ]
    assert rates[:, 0] == pytest.approx(np.minimum(expected, 0.5))
    assert history["lr"].tolist() == pytest.approx(rates[::3, 0])  # of an epoch's first step


def test_gradients_are_there_before_the_step_and_may_be_changed(stores):
    class Frozen(Probe):
        def before_step(self, clock):
            self.before = [p.detach().clone() for p in self.parameters()]
            self.gradients = [float(p.grad.abs().sum()) for p in self.parameters()]
            for parameter in self.encoder.conv.parameters():
                parameter.grad = None

        def after_step(self, batch):
            after = list(self.parameters())
            self.moved = [not torch.equal(*pair) for pair in zip(self.before, after, strict=True)]
            self.left = [p.grad for p in after]

    trainer = make(stores, Frozen(), epochs=1, weight_decay=0.0)
    fit(trainer)
    assert sum(value > 0 for value in trainer.method.gradients) >= 4
    names = [name for name, _ in trainer.method.named_parameters()]
    moved = dict(zip(names, trainer.method.moved, strict=True))
    assert not moved["encoder.conv.weight"]
    assert moved["encoder.head.weight"]
    assert trainer.method.left == [None] * len(names)


def test_a_loss_without_gradient_takes_no_step(stores):
    class Still(Hooks):
        def loss(self, batch):
            return super().loss(batch).detach()

    trainer = make(stores, Still(), epochs=1)
    before = [p.clone() for p in trainer.method.parameters()]
    fit(trainer)
    names = Counter(name for name, _ in trainer.method.calls)
    assert names["after_step"] == names["loss"] == 3
    assert "before_step" not in names
    assert all(map(torch.equal, before, trainer.method.parameters()))


def test_rows_of_an_order_stay_together_in_a_batch(stores):
    class Trios(Probe):
        def sample(self, generator):
            first = torch.randperm(50, generator=generator)
            return torch.stack([first, (first + 1) % 50, (first + 2) % 50], 1)

    method = Trios()
    fit(make(stores, method, epochs=1))
    assert [len(index) for index in method.seen] == [15] * 10  # of 16, whole groups of 3
    for index in method.seen:
        rows = index.view(-1, 3)
        assert torch.equal(rows[:, 1:], (rows[:, :1] + torch.tensor([1, 2])) % 50)


def test_a_group_larger_than_a_batch_is_refused(stores):
    class Large(Probe):
        def sample(self, generator):
            return torch.arange(34).view(2, 17)

    with pytest.raises(UsageProblem, match=r"batch_size: expected at least 17.*found 16"):
        fit(make(stores, Large()))


def test_views_of_several_sizes_reach_the_method(stores):
    views = (View(), View(), View(size=4), View(size=4, transform=lambda view: view.flatten(1)))
    method = Probe(views=views)
    history = fit(make(stores, method, epochs=1))
    shapes = [tuple(view.shape) for view in method.batches[0].views]
    assert shapes == [(16, 3, 8, 8), (16, 3, 8, 8), (16, 3, 4, 4), (16, 48)]
    assert history["images_seen"].tolist() == [48 * 4]


@pytest.mark.parametrize(("size", "fields"), [(9, {}), (7, {"crop_size": 6}), (0, {})])
def test_a_view_that_does_not_fit_the_images_is_refused_before_training(stores, size, fields):
    with pytest.raises(UsageProblem, match=rf"view 1: size: expected 1 to \d, .*found {size}"):
        make(stores, Probe(views=(View(), View(size=size))), **fields)


class Counted(Method):
    """Learns with a weight that grows with each round and a memory of the steps taken."""

    paper, rounds, views = "none", 2, 1

    def __init__(self, encoder, instances):
        super().__init__(encoder, instances)
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(encoder.feature_size))

    def start_round(self, clock, train):
        self.weight.add_(1 + clock.round)
        self.mean.copy_(train.features().mean(0))

    def loss(self, batch):
        features = self.encoder.features(batch.views[0]) - self.mean
        noise = torch.randn_like(features)
        spread = self.embed(batch.views[0]).square().sum(0).var()
        return self.weight * spread + (features + noise).square().mean()


@pytest.mark.parametrize("done", [1, 2, 3, 4, 5])
def test_a_run_of_rounds_goes_on_from_any_epoch_to_the_same_bits(stores, tmp_path, done):
    def trainer():
        torch.manual_seed(0)
        return make(stores, Counted(SmallEncoder(), 50), schedule="cosine", warmup_epochs=1)

    whole, key = trainer(), "0" * 64
    expected = fit(whole)
    assert whole.method.weight == 3
    part = trainer()

    def stop(history):
        if len(history) == done:
            checkpoints.save(tmp_path, key, part.method, part.optimizer, history)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.fit(pd.DataFrame(), stop)
    rest, checkpoint = trainer(), checkpoints.load(tmp_path, key, CPU)
    checkpoints.restore(checkpoint, rest.method, rest.optimizer)
    history = fit(rest, checkpoint.history)
    columns = ["epoch", "loss", "lr", "knn"]
    pd.testing.assert_frame_equal(history[columns], expected[columns], check_exact=True)
    state = whole.method.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in rest.method.state_dict().items())
