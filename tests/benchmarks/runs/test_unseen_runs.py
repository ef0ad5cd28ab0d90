"""Runs whose test classes are not among the training classes: figures, crops, galleries, start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.backbones import Backbone
from benchmarks.backbones.weights import Published
from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext, execute
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import read
from evaluation.metrics.retrieval import recall_at_k

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def birds() -> ImageData:
    """Images of 12 pixels whose colour is their class's: three to train on, three to test on."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 200, (6, 3))

    def split(classes: range, each: int) -> Split:
        labels = np.repeat(np.array(classes), each)
        noise = rng.integers(0, 56, (len(labels), 12, 12, 3))
        return Split((colours[labels, None, None] + noise).astype(np.uint8), labels)

    names = tuple("abcdef")
    third = (0.5, 0.5, 0.5)
    return ImageData(
        "birds", split(range(3), 12), split(range(3, 6), 8), names, third, third, "0",
        unseen=True, partial=True, recalls=(1, 3),
    )  # fmt: skip


def plan_one(data: ImageData, method: str, weights: Path | None = None, **recipe) -> RunSpec:
    fields = {
        "backbone": "resnet10-16", "epochs": 4, "batch_size": 12, "crop_size": 10, **recipe,
    }  # fmt: skip
    changes = {"recipe": fields}
    (run,) = make_plan(
        choose([method]), lambda *_: data, read("unseen-quick").recipe, 1, changes, "fp32", weights
    )
    return run


def finish(run: RunSpec, results: Path) -> tuple[store.RunRecord, Path]:
    place = RunContext(results, CPU, PlainProgress(lambda line: None))
    return execute(run, place), place.folder(run)


def test_test_images_are_judged_among_themselves(birds, tmp_path):
    record, folder = finish(plan_one(birds, "invaspread"), tmp_path)
    history, measured = store.read_epochs(folder), record.final.measurements
    assert record.value("knn") is None
    assert history["knn"].isna().all()
    assert history.loc[history["recall_at_1"].notna(), "epoch"].tolist() == [1, 2, 4]
    stored = store.read_arrays(folder, store.EMBEDDINGS)
    expected = recall_at_k(stored["test"].astype(np.float32), stored["test_labels"], (1, 3))
    assert record.value("recall_at_1") == pytest.approx(expected[1])
    assert record.value("recall_at_3") == history["recall_at_3"].iloc[-1]
    assert "recall_at_2@embedding" not in measured
    assert "linear@embedding" not in measured
    assert {"nmi@embedding", "recall_at_1@features", "nmi@features"} <= measured.keys()
    assert record.best.metric == "recall_at_1@embedding"
    assert record.best.value == history["recall_at_1"].max()
    assert record.headline == f"R@1 {record.value('recall_at_1'):.1f}"
    assert record.dataset.unseen
    assert record.dataset.partial


def test_an_untrained_network_is_judged_too(birds, tmp_path):
    record, folder = finish(plan_one(birds, "random-cnn"), tmp_path)
    assert record.best.epoch == 0
    assert store.read_epochs(folder)["recall_at_1"].tolist() == [record.value("recall_at_1")]
    assert store.read_arrays(folder, store.GALLERY)["epochs"].tolist() == [0]


def test_bounds_that_use_labels_are_marked(birds, tmp_path):
    labelled, _ = finish(plan_one(birds, "lifted", epochs=1), tmp_path)
    unlabelled, _ = finish(plan_one(birds, "random-cnn"), tmp_path)
    assert labelled.method.uses_labels
    assert not unlabelled.method.uses_labels


def test_galleries_are_kept_of_several_epochs(birds, tmp_path):
    run = plan_one(birds, "nce", epochs=8, evaluate_every=1)
    _, folder = finish(run, tmp_path)
    kept = store.read_arrays(folder, store.GALLERY)
    assert kept["epochs"].tolist() == [1, 2, 4, 8]
    assert kept["neighbours"].shape == (4, 3, 4, 12, 12, 3)
    stored = store.read_arrays(folder, store.EMBEDDINGS)
    cosines = stored["test"].astype(np.float64) @ stored["test"].astype(np.float64).T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.sort(cosines[[0, 8, 16]], axis=1)[:, :-5:-1]
    np.testing.assert_allclose(kept["similarities"][-1], nearest, atol=2e-3)  # stored in halves
    names = np.array(birds.classes)
    assert (
        kept["correct"] == (kept["neighbour_classes"] == kept["query_classes"][..., None])
    ).all()
    assert kept["query_classes"][-1].tolist() == names[3:].tolist()


def test_a_gallery_goes_on_after_a_restart(birds, tmp_path):
    run = plan_one(birds, "nce", epochs=8, evaluate_every=1)
    _, folder = finish(run, tmp_path / "whole")
    expected = store.read_arrays(folder, store.GALLERY)
    _, again = finish(run, tmp_path / "again")
    (again / store.RECORD).unlink()  # as if it had stopped before its end
    finish(run, tmp_path / "again")
    found = store.read_arrays(again, store.GALLERY)
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_a_crop_larger_than_the_images_is_refused(birds):
    with pytest.raises(UsageProblem, match=r"crop_size: expected at most 12.*found 13"):
        plan_one(birds, "nce", crop_size=13)


class Pretrained(nn.Module):
    """A small network of a trunk and a head, as the pre-trained ones are."""

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.feature_size, self.embedding_size = 4, embedding_size
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, embedding_size)

    def features(self, images):
        return self.trunk(images)

    def forward(self, images):
        return self.head(self.features(images))


@pytest.fixture
def pretrained(tmp_path) -> Path:
    """Return the weights of a backbone that needs some."""
    published = Published("tiny.pth", "https://example.org/tiny.pth", "sha256", "")

    class Tiny(Backbone):
        name = "tiny"
        weights = published
        needs_weights = True

        def build(self, embedding_size):
            return Pretrained(embedding_size)

    torch.manual_seed(5)
    torch.save(Pretrained(2).trunk.state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def test_a_run_starts_from_the_weights_and_says_so(birds, pretrained, tmp_path):
    run = plan_one(birds, "random-cnn", pretrained, backbone="tiny")
    record, _ = finish(run, tmp_path)
    assert record.weights.file == "tiny.pth"
    assert record.weights.published
    assert record.weights.sha256 == run.weights.facts.sha256
    place = RunContext(tmp_path, CPU, PlainProgress(lambda line: None))
    content = torch.load(place.folder(run) / store.CHECKPOINT, weights_only=True)
    started = {k: v for k, v in torch.load(pretrained, weights_only=True).items()}
    trained = content["method"]
    for name, values in started.items():
        assert torch.equal(trained[f"encoder.trunk.{name}"], values)


def test_other_weights_make_another_run(birds, pretrained, tmp_path):
    run = plan_one(birds, "random-cnn", pretrained, backbone="tiny")
    torch.manual_seed(6)
    torch.save(Pretrained(2).trunk.state_dict(), tmp_path / "other.pth")
    other = plan_one(birds, "random-cnn", tmp_path / "other.pth", backbone="tiny")
    assert run.key != other.key
    assert replace(run, weights=None).key not in (run.key, other.key)


def test_missing_weights_are_told_before_images_are_read(pretrained):
    def load(*_):
        raise AssertionError("images were read")

    changes = {"recipe": {"backbone": "tiny"}}
    for file, words in ((None, "--weights FILE"), (Path("no.pth"), "no such file")):
        with pytest.raises(DataProblem, match=words):
            make_plan(choose(["nce"]), load, read("paper").recipe, 1, changes, "fp32", file)


def test_weights_for_a_random_start_are_refused(birds, tmp_path):
    with pytest.raises(UsageProblem, match="expected no --weights"):
        plan_one(birds, "nce", tmp_path / "tiny.pth")


def test_records_without_the_later_fields_keep_their_recipe():
    usual = read("paper").recipe.model_dump(mode="json")
    assert "crop_size" not in usual
    assert "positive" not in usual
    changed = read("cub200").recipe.model_dump(mode="json")
    assert (changed["crop_size"], changed["positive"]) == (227, "neighbour")
