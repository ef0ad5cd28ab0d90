"""Whole runs on data that some metrics have no value on: each ends well and says why."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.report.write import write_report
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext, execute
from benchmarks.runs.plan import choose, make_plan
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read
from methods import Method
from methods.base import normalise

RETRIEVED = {"recall_at_1", "recall_at_2", "recall_at_4", "recall_at_8", "map_at_r"}
CLUSTERED = {"nmi", "nmi_geometric", "ari", "clustering_accuracy"}
SIMILAR = {"similarity_overlap", "similarity_auc"}
LABEL_FREE = {"alignment", "uniformity", "effective_rank", "view_agreement"}


def of_embedding(names) -> set[str]:
    return {f"{name}@embedding" for name in names}


def of_both(names) -> set[str]:
    return of_embedding(names) | {f"{name}@features" for name in names}


def noise(labels) -> Split:
    rng = np.random.default_rng(len(labels))
    pixels = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    return Split(pixels, np.asarray(labels, np.int64))


def dataset(trained, test, **fields) -> ImageData:
    half = (0.5, 0.5, 0.5)
    names = tuple("abcdefghijkl")
    return ImageData("made-up", noise(trained), noise(test), names, half, half, "0" * 16, **fields)


def finish(data: ImageData, results: Path, method="random-cnn", **recipe) -> store.RunRecord:
    fields = {"backbone": "resnet10-16", "batch_size": 8, "epochs": 1, "knn_k": 50, **recipe}
    changes = {"recipe": fields}
    (run,) = make_plan(choose([method]), lambda *_: data, read("digits").recipe, 1, changes, "fp32")
    place = RunContext(results, torch.device("cpu"), PlainProgress(lambda line: None))
    record = execute(run, place)
    assert store.read_record(place.folder(run)) == record
    measured = record.final.measurements
    assert all(np.isfinite(found.value) for found in measured.values())
    assert not record.undefined.keys() & measured.keys()
    (results / "report").mkdir(exist_ok=True)
    page = write_report(results, ["html"])[0].read_text()
    for name in record.undefined.keys() & of_embedding(
        RETRIEVED | CLUSTERED | LABEL_FREE | {"knn"}
    ):
        assert record.undefined[name] in page
    return record


def test_test_images_that_are_alone_in_their_classes(tmp_path):
    record = finish(dataset([*range(10)] * 4, range(10)), tmp_path)
    assert record.undefined.keys() == of_both(RETRIEVED | CLUSTERED) | of_embedding(SIMILAR)
    assert {"linear@embedding", "knn@features"} <= record.final.measurements.keys()
    assert record.value("knn") is not None
    assert record.representation == "embedding"


def test_unseen_test_images_that_are_alone_in_their_classes(tmp_path):
    data = dataset([0, 1, 2] * 6, range(3, 9), unseen=True)
    record = finish(data, tmp_path)
    assert record.undefined.keys() == of_both(RETRIEVED | CLUSTERED) | of_embedding(SIMILAR)
    assert record.best is None
    assert "alone in its class" in record.headline


def test_unseen_test_images_of_one_class(tmp_path):
    record = finish(dataset([0, 1, 2] * 6, [5] * 8, unseen=True), tmp_path)
    assert record.undefined.keys() == of_both(RETRIEVED | CLUSTERED) | of_embedding(SIMILAR)
    assert record.final.value("recall_at_1") is None


def test_a_bank_with_fewer_images_than_neighbours(tmp_path):
    record = finish(dataset([0, 1] * 4, [0, 1] * 5), tmp_path, method="nce")
    assert record.protocols["knn@embedding"] == "knn-8-0.1@embedding"
    assert record.protocols["knn@memory"] == "knn-8-0.1@memory"
    assert "8 neighbours vote instead of 50" in record.caveats["knn@embedding"]
    assert not record.undefined


def test_a_bank_of_one_class(tmp_path):
    record = finish(dataset([0] * 10, [0, 1] * 5), tmp_path)
    assert record.undefined.keys() == of_both({"knn"}) | {"linear@embedding"}
    assert record.value("knn") is None
    assert "knn@features" not in record.final.measurements


def test_a_single_test_image(tmp_path):
    record = finish(dataset([0, 1] * 6, [1]), tmp_path)
    undefined = of_both(LABEL_FREE | RETRIEVED | CLUSTERED | {"knn"}) | of_embedding(SIMILAR)
    assert record.undefined.keys() == undefined | {"linear@embedding"}
    assert record.value("knn") is None
    assert record.best is None
    assert "spread@embedding" in record.final.measurements  # of the bank


def test_a_single_test_image_of_an_unseen_class(tmp_path):
    record = finish(dataset([0, 1] * 6, [2], unseen=True), tmp_path)
    assert "single image" in record.undefined["spread@embedding"]
    assert "spread" not in store.read_epochs(next((tmp_path / "runs").iterdir())).columns


def test_a_network_that_has_collapsed(tmp_path):
    class Collapsed(Method):
        """All images are one point."""

        name = "collapsed"
        paper = "none"

        def loss(self, batch):
            return 0 * self.embed(batch.views[0]).sum()

        def representations(self, images):
            return {"point": normalise(torch.ones(len(images), 4))}

    # sorted by class, as many data sets are
    data = dataset(np.repeat(np.arange(4), 25), np.repeat(np.arange(4), 15))
    record = finish(data, tmp_path, method="collapsed", knn_k=5)
    assert record.representation == "point"
    assert record.undefined.keys() == {f"{name}@point" for name in LABEL_FREE}
    assert record.value("knn") == pytest.approx(25, abs=15)
    assert record.value("recall_at_1") == pytest.approx(25, abs=15)
    # of a random ranking: the share of a class at rank 1, less further down
    assert record.value("map_at_r") < 16
