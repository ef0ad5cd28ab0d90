"""Hugging Face's data sets, made here: from a saved folder, from parquet and from class folders."""

import json
import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.data.testing import check_dataset

try:
    import datasets as hf
except ImportError:
    hf = None

needs_hf = pytest.mark.skipif(hf is None, reason="the package datasets is not installed")
CLASSES = ["ant", "bee", "cow"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """Keep caches apart, and the network out: what is asked for on the hub is not there."""
    if hf is not None:
        monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(hf.config, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def pixels(count, seed=0, side=40):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side + 6, 3), np.uint8)


def part(count, seed=0, side=40, labels=None, **columns):
    """Return a split of images with labels."""
    images = [Pillow.fromarray(image) for image in pixels(count, seed, side)]
    labels = [row % 3 for row in range(count)] if labels is None else labels
    features = {"image": hf.Image(), "label": hf.ClassLabel(names=CLASSES)}
    rows = {"image": images, "label": labels, **{name: v for name, (v, _) in columns.items()}}
    features |= {name: kind for name, (_, kind) in columns.items()}
    return hf.Dataset.from_dict(rows, features=hf.Features(features))


def saved(folder, **splits):
    hf.DatasetDict(splits).save_to_disk(str(folder))
    return datasets.get(f"hf:{folder}")


@needs_hf
def test_a_saved_data_set_is_read_and_keeps_the_contract(tmp_path):
    dataset = saved(tmp_path / "animals", train=part(9), test=part(6, seed=1))
    check_dataset(dataset, tmp_path)
    data = dataset.load(tmp_path / "cache")
    assert (data.name, data.classes) == ("hf:animals", tuple(CLASSES))
    assert (len(data.train), len(data.test), data.image_size) == (9, 6, 32)
    assert data.train.labels.tolist() == [0, 1, 2] * 3
    # The centre of a 40 x 46 image that becomes 32 x 36: its colours, up to antialiasing.
    means = data.train.images.mean((1, 2)), pixels(9)[:, :, 3:43].mean((1, 2))
    np.testing.assert_allclose(*means, atol=4)


@needs_hf
def test_what_was_understood_is_said(tmp_path):
    more = {"mask": ([None] * 3, hf.Image()), "fine_label": ([0, 1, 1], hf.ClassLabel(2))}
    data = saved(tmp_path / "more", train=part(3, **more), test=part(3, **more)).load(tmp_path)
    (line, size) = data.understood
    assert "images from column 'image', labels from 'label' (3 classes)" in line
    assert "trained on split 'train', tested on 'test'" in line
    assert "columns not used: mask, fine_label" in line
    assert "32 x 32 pixels" in size


@needs_hf
@pytest.mark.parametrize(("side", "expected"), [(40, 32), (64, 64), (200, 96)])
def test_the_size_follows_the_median_image_unless_it_is_given(tmp_path, side, expected):
    dataset = saved(tmp_path / "sized", train=part(3, side=side))
    assert dataset.load(tmp_path).image_size == expected
    assert dataset.load(tmp_path, 24).image_size == 24


@needs_hf
def test_the_digest_is_over_the_content(tmp_path):
    one, two = part(6), part(6, seed=3)
    first = saved(tmp_path / "first", train=one, test=two).load(tmp_path).digest
    again = saved(tmp_path / "again", train=one, test=two).load(tmp_path).digest
    other = saved(tmp_path / "other", train=two, test=one).load(tmp_path).digest
    relabelled = part(6, labels=[0, 1, 2, 0, 2, 1])
    labels = saved(tmp_path / "labels", train=relabelled, test=two).load(tmp_path).digest
    assert first == again
    assert len({first, other, labels}) == 3


@needs_hf
def test_parquet_files_are_read(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    part(6).to_parquet(folder / "train.parquet")
    part(3, seed=1).to_parquet(folder / "test.parquet")
    data = datasets.get(f"hf:{folder}").load(tmp_path / "cache")
    expected = saved(tmp_path / "same", train=part(6), test=part(3, seed=1)).load(tmp_path)
    assert data.digest == expected.digest


@needs_hf
def test_class_folders_are_read(tmp_path):
    for split in ("train", "test"):
        for name in ("ape", "bat"):
            folder = tmp_path / "folders" / split / name
            folder.mkdir(parents=True)
            for row, image in enumerate(pixels(2, seed=len(name))):
                Pillow.fromarray(image).save(folder / f"{row}.png")
    data = datasets.get(f"hf:{tmp_path / 'folders'}").load(tmp_path / "cache")
    assert data.classes == ("ape", "bat")
    assert sorted(data.test.labels.tolist()) == [0, 0, 1, 1]


@needs_hf
def test_labels_as_text_are_classes_in_order(tmp_path):
    split = part(4).remove_columns("label").add_column("category", ["dog", "cat", "dog", "eel"])
    data = saved(tmp_path / "text", train=split, test=split).load(tmp_path)
    assert data.classes == ("cat", "dog", "eel")
    assert data.train.labels.tolist() == [1, 0, 1, 2]


@needs_hf
@pytest.mark.parametrize(
    ("train", "test", "classes", "words"),
    [
        (None, None, 0, "no column of labels was found"),
        ([0, 1, 2], [-1] * 3, 3, "split test: labels are missing"),
        ([0, None, 2], [0, 1, 2], 0, "split train: labels are missing"),
    ],
)
def test_what_has_no_labels_is_trained_on_but_not_evaluated(tmp_path, train, test, classes, words):
    parts = {"train": part(3, labels=train), "test": part(3, labels=test)}
    if train is None:
        parts = {name: split.remove_columns("label") for name, split in parts.items()}
    data = saved(tmp_path / "some", **parts).load(tmp_path)
    assert data.test is None
    assert len(data.classes) == classes
    assert any(words in note for note in data.notes)
    assert any("is not used" in note for note in data.notes)


@needs_hf
def test_test_classes_not_seen_in_training_are_retrieved(tmp_path):
    parts = {"train": part(4, labels=[0, 0, 1, 1]), "test": part(2, labels=[2, 2])}
    assert saved(tmp_path / "disjoint", **parts).load(tmp_path).unseen


@needs_hf
@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"one": 3, "two": 3}, "expected a split named train, found one, two"),
        ({"train": "no images"}, r"expected a column of type datasets\.Image, found x \(Value\)"),
        ({"train": "damaged"}, r"1 others in split train, the first at row 1 \(cannot be read\)"),
        ({"train": "missing"}, r"1 others in split train, the first at row 0 \(missing\)"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, splits, words):
    def made(kind):
        if isinstance(kind, int):
            return part(kind)
        if kind == "no images":
            return hf.Dataset.from_dict({"x": [1, 2]})
        files = part(2).cast_column("image", hf.Image(decode=False))["image"]
        rows = [None, files[1]] if kind == "missing" else [files[0], {"bytes": b"x", "path": None}]
        return hf.Dataset.from_dict({"image": rows}, features=hf.Features({"image": hf.Image()}))

    dataset = saved(tmp_path / "bad", **{name: made(kind) for name, kind in splits.items()})
    with pytest.raises(DataProblem, match=words) as raised:
        dataset.load(tmp_path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("data set hf:bad: ")


@needs_hf
@pytest.mark.parametrize("cache", ["cache/owner___flowers", "hub/datasets--owner--flowers"])
def test_an_unknown_name_gets_near_matches_among_what_is_cached(tmp_path, cache):
    (tmp_path / cache).mkdir(parents=True)
    with pytest.raises(DataProblem, match=r"Did you mean hf:owner/flowers\?") as raised:
        datasets.get("hf:owner/flower").load(datasets.root_of("hf:owner/flower", None))
    assert "\n" not in str(raised.value)
    assert "In the cache: owner/flowers" in str(raised.value)


@needs_hf
def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataProblem, match=r"expected a folder, found no .*absent"):
        datasets.get(f"hf:{tmp_path / 'absent'}").load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataProblem, match=r"hf:empty: cannot be loaded .*save_to_disk") as raised:
        datasets.get(f"hf:{tmp_path / 'empty'}").load(tmp_path)
    assert "\n" not in str(raised.value)


@needs_hf
def test_a_name_is_needed():
    with pytest.raises(UsageProblem, match="expected a name after hf:"):
        datasets.get("hf:")


def test_without_the_package_there_is_one_line_that_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageProblem, match=r"pip install 'instbench\[datasets\]'") as raised:
        datasets.get("hf:mnist")
    assert "\n" not in str(raised.value)


@needs_hf
def test_a_run_trains_on_one(bench, tmp_path):
    saved(tmp_path / "animals", train=part(60), test=part(30, seed=1))
    changes = ["--set", "recipe.train_images=null", "--set", "recipe.image_size=16"]
    words = ["--recipe", str(tmp_path / "tiny.yaml"), "--epochs", "1", *changes]
    output = bench(
        "run", "--dataset", f"hf:{tmp_path / 'animals'}", "--methods", "invaspread", *words
    ).output
    assert "images from column 'image'" in output
    assert "done: invaspread" in output
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["dataset"]["name"] == "hf:animals"
