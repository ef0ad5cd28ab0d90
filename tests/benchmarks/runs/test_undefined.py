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
    assert all(np.isfinite(value) for value in record.final.figures.values())
    assert not record.undefined.keys() & record.final.figures.keys()
    (results / "report").mkdir(exist_ok=True)
    page = write_report(results, ["html"])[0].read_text()
    for name in record.undefined.keys() & (RETRIEVED | CLUSTERED | LABEL_FREE | {"knn"}):
        assert record.undefined[name] in page
    return record


def test_test_images_that_are_alone_in_their_classes(tmp_path):
    record = finish(dataset([*range(10)] * 4, range(10)), tmp_path)
    assert record.undefined.keys() == RETRIEVED | CLUSTERED | SIMILAR
    assert {"linear", "pooled_knn"} <= record.final.figures.keys()
    assert record.final.knn is not None
    assert record.judged == "embedding"


def test_unseen_test_images_that_are_alone_in_their_classes(tmp_path):
    data = dataset([0, 1, 2] * 6, range(3, 9), unseen=True)
    record = finish(data, tmp_path)
    assert {*RETRIEVED, *CLUSTERED, *SIMILAR, "pooled_map_at_r"} <= record.undefined.keys()
    assert record.best is None
    assert "alone in its class" in record.headline


def test_unseen_test_images_of_one_class(tmp_path):
    record = finish(dataset([0, 1, 2] * 6, [5] * 8, unseen=True), tmp_path)
    assert record.undefined.keys() == RETRIEVED | CLUSTERED | SIMILAR
    assert record.final.value("recall_at_1") is None


def test_a_bank_with_fewer_images_than_neighbours(tmp_path):
    record = finish(dataset([0, 1] * 4, [0, 1] * 5), tmp_path, method="nce")
    assert record.protocols["knn"] == "knn-8-0.1"
    assert record.protocols["memory_knn"] == "knn-8-0.1-memory-bank"
    assert "8 neighbours vote instead of 50" in record.caveats["knn"]
    assert not record.undefined


def test_a_bank_of_one_class(tmp_path):
    record = finish(dataset([0] * 10, [0, 1] * 5), tmp_path)
    assert record.undefined.keys() == {"knn", "linear"}
    assert record.final.knn is None
    assert "pooled_knn" not in record.final.figures


def test_a_single_test_image(tmp_path):
    record = finish(dataset([0, 1] * 6, [1]), tmp_path)
    assert record.undefined.keys() >= LABEL_FREE | RETRIEVED | CLUSTERED | SIMILAR
    assert record.final.knn in (0.0, 100.0)


def test_a_network_that_has_collapsed(tmp_path):
    class Collapsed(Method):
        """All images are one point."""

        name = "collapsed"
        paper = "none"

        def loss(self, batch):
            return torch.zeros((), requires_grad=True) + 0 * self.embed(batch.views[0]).sum()

        def embed(self, images):
            return normalise(torch.ones(len(images), 4))

    # sorted by class, as many data sets are
    data = dataset(np.repeat(np.arange(4), 25), np.repeat(np.arange(4), 15))
    record = finish(data, tmp_path, method="collapsed", knn_k=5)
    assert record.undefined.keys() >= LABEL_FREE
    assert record.judged == "own"
    assert record.final.knn == pytest.approx(25, abs=15)
    assert record.final.figures["recall_at_1"] == pytest.approx(25, abs=15)
    # of a random ranking: the share of a class at rank 1, less further down
    assert record.final.figures["map_at_r"] < 16
