from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from benchmarks.data import datasets
from benchmarks.evaluator.final import FinalEvaluation
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.record import Environment
from benchmarks.runs.record_checks import flaw_of_record
from benchmarks.runs.record_maker import make_record
from benchmarks.training.recipe import read

ENVIRONMENT = Environment(
    python="3", platform="x", device="cpu", precision="fp32", threads=1, packages={}
)
STARTED = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
EVALUATED = FinalEvaluation(
    representation="embedding",
    metrics={"knn@embedding": 55.0, "nmi@embedding": float("nan")},
    protocols={"knn@embedding": "knn-20-0.1@embedding"},
    undefined={"nmi@embedding": "one class"},
    caveats={"knn@embedding": "k was clipped", "nmi@embedding": "never shown"},
)
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss": [3.0, 2.0, 1.0],
        "lr": 0.03,
        "knn": [np.nan, 70.0, 55.5],
        "memory_knn": [np.nan, np.nan, 40.0],
        "own": [1.0, 1.0, np.inf],
        "images_seen": [400, 800, 1200],
        "train_seconds": [1.0, 2.0, 3.0],
        "evaluate_seconds": [0.5, 1.0, 1.5],
    }
)


@pytest.fixture
def run(tiny_recipe):
    data = datasets.get("digits").load(datasets.default_root())
    recipe = read(str(tiny_recipe)).recipe
    choice = choose(["nce"])
    (run,) = make_plan(choice, lambda *_: data, recipe, 1, {"nce": {"noise": 32}}, "fp32")
    return run


def made(run, history=HISTORY, evaluated=EVALUATED):
    return make_record(run, history, evaluated, ENVIRONMENT, (), STARTED)


def test_the_record_says_what_was_asked_for(run):
    record = made(run)
    assert (record.key, record.seed, record.method.name) == (run.key, 0, "nce")
    assert record.method.changed == {"noise": 32}
    assert record.method.hyper_parameters["noise"] == 32
    assert record.dataset.digest == run.data.digest
    assert record.recipe["epochs"] == run.recipe.epochs
    assert record.folder == run.folder_name
    assert record.started == "2026-01-02T03:04:05+00:00"
    assert record.finished > record.started
    assert flaw_of_record(record.model_dump(mode="json")) is None


def test_the_last_epoch_is_the_headline_and_totals_are_of_the_whole_run(run):
    record = made(run)
    assert (record.final.epoch, record.images_seen) == (3, 1200)
    assert (record.seconds.train, record.seconds.evaluate) == (3.0, 1.5)
    values = {name: m.value for name, m in record.final.measurements.items()}
    assert values == {"loss": 1.0, "knn@embedding": 55.0, "knn@memory": 40.0}


def test_what_was_measured_again_after_the_last_epoch_has_unit_and_protocol(run):
    measurements = made(run).final.measurements
    found = {name: (m.unit, m.protocol) for name, m in measurements.items()}
    assert found == {
        "loss": ("", ""),
        "knn@embedding": ("percent", "knn-20-0.1@embedding"),
        "knn@memory": ("percent", ""),
    }


def test_what_has_no_value_has_a_reason_and_no_caveat(run):
    record = made(run)
    assert record.undefined == {"nmi@embedding": "one class"}
    assert record.caveats == {"knn@embedding": "k was clipped"}


def test_the_best_epoch_is_that_of_the_highest_headline(run):
    best = made(run).best
    assert (best.epoch, best.metric, best.value) == (2, "knn@embedding", 70.0)


def test_a_column_of_the_representation_itself_goes_before_the_bare_one(run):
    history = HISTORY.assign(**{"knn@features": [10.0, 20.0, 30.0]})
    evaluated = replace(EVALUATED, representation="features", metrics={}, protocols={})
    record = made(run, history, evaluated)
    assert (record.best.epoch, record.best.metric) == (3, "knn@features")
    assert record.value("knn") == 30.0


@pytest.mark.parametrize("columns", [["knn"], ["epoch", "loss"]])
def test_a_headline_that_was_never_measured_has_no_best_epoch(run, columns):
    history = HISTORY.assign(knn=np.nan) if columns == ["knn"] else HISTORY.drop(columns="knn")
    assert made(run, history).best is None


def test_an_untrained_network_has_epoch_0_and_no_loss(run):
    history = HISTORY[:1].assign(epoch=0, loss=np.nan, knn=30.0, images_seen=0)
    record = made(run, history)
    assert (record.final.epoch, record.best.epoch, record.images_seen) == (0, 0, 0)
    assert record.value("loss") is None
