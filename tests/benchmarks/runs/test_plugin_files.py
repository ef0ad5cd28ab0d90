"""Plug-in files with data sets and backbones: found, run, and refused in one line."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from benchmarks import backbones
from benchmarks.backbones.base import BACKBONES
from benchmarks.backbones.testing import check_backbone
from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.data.datasets.base import DATASETS
from benchmarks.data.testing import check_dataset
from benchmarks.runs.plugins import load_plugins
from methods.base import registry
from methods.base.code import code_of

EXAMPLES = Path(__file__).parents[2] / "examples"
DATASET, BACKBONE = EXAMPLES / "own_dataset.py", EXAMPLES / "own_backbone.py"


def test_the_examples_keep_their_contracts(tmp_path):
    assert load_plugins([DATASET, BACKBONE]) == {}
    check_dataset(datasets.get("stripes"), tmp_path)
    check_backbone(backbones.get("three-layers"))
    assert code_of(type(datasets.get("stripes"))).file.endswith("own_dataset.py")
    assert not code_of(type(backbones.get("three-layers"))).own
    assert code_of(type(backbones.get("resnet18"))).own


def test_a_run_on_ones_own_images_with_ones_own_network(bench, tmp_path):
    plugins = ["--plugin", str(DATASET), "--plugin", str(BACKBONE)]
    changes = ["--set", "recipe.backbone=three-layers", "--set", "recipe.train_images=null"]
    words = ["--dataset", "stripes", "--methods", "invaspread", *plugins, *changes]
    command = ["run", *words, "--recipe", str(tmp_path / "tiny.yaml"), "--epochs", "2"]
    assert "done: invaspread" in bench(*command).output
    assert "reused: invaspread" in bench(*command).output
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["dataset"]["name"] == "stripes"
    assert record["recipe"]["backbone"] == "three-layers"
    # Without the plug-ins the report still reads the record.
    assert bench("report").exit_code == 0


def test_an_edited_backbone_is_trained_anew_and_a_recipe_file_may_name_it(bench, tmp_path):
    plugin = write(tmp_path / "mine.py", BACKBONE.read_text())
    recipe = yaml.safe_load((tmp_path / "tiny.yaml").read_text()) | {"backbone": "three-layers"}
    write(tmp_path / "own.yaml", yaml.safe_dump(recipe))
    run = ["run", "--plugin", str(plugin), "--methods", "random-cnn"]
    command = [*run, "--recipe", str(tmp_path / "own.yaml")]
    assert "done: random-cnn" in bench(*command).output
    assert "reused: random-cnn" in bench(*command).output
    write(plugin, plugin.read_text() + "# edited\n")
    assert "done: random-cnn" in bench(*command).output
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 2


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


LABELS = """
import numpy as np
from pathlib import Path
from benchmarks.data.datasets import Dataset, ImageData, Split

class Mine(Dataset):
    name = "mine"
    description = "images with labels"
    default_recipe = "digits"
    image_size = 8
    embedded = True

    def read(self, root, options):
        images = np.arange(8 * 8 * 8 * 3, dtype=np.uint64).reshape(8, 8, 8, 3).astype(np.uint8)
        labels = {labels}
        part = Split(images, labels)
        return ImageData("mine", part, part, {classes}, (0.5,) * 3, (0.2,) * 3, "ab" * 32)

    def fetch(self, root, report=print):
        report("nothing")
"""


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ("np.arange(8) % 2.0", ("a", "b"), "labels: expected int64 of shape (8,), got float64"),
        ("np.arange(6) % 2", ("a", "b"), "labels: expected int64 of shape (8,), got int64 of"),
        ("np.arange(8) % 3", ("a", "b"), "labels: expected 0..1, got 0..2"),
        ("np.arange(8) % 2 - 1", ("a", "b"), "labels: expected 0..1, got -1..0"),
        ("np.arange(8) % 2", ["a", "b"], "classes: expected a tuple of names"),
        ("[0, 1] * 4", ("a", "b"), "AttributeError"),
    ],
)
def test_labels_that_do_not_fit_are_one_line_before_training(
    bench, tmp_path, labels, classes, words
):
    plugin = write(tmp_path / "mine.py", LABELS.format(labels=labels, classes=classes))
    run = ["run", "--plugin", str(plugin), "--dataset", "mine", "--methods", "nce"]
    output = bench(*run, status=1).output
    assert words in " ".join(output.split())
    assert "data set mine" in output
    assert not list((tmp_path / "results").glob("runs/*"))


BROKEN = """
from torch import nn
from benchmarks.backbones import Backbone

class Network(nn.Linear):
    feature_size = embedding_size = 16

class Mine(Backbone):
    name = "mine"

    def build(self, embedding_size):
        return Network(192, embedding_size)
"""


def test_a_backbone_without_features_is_one_line_before_training(bench, tmp_path):
    plugin = write(tmp_path / "mine.py", BROKEN)
    run = ["run", "--plugin", str(plugin), "--methods", "nce", "--set", "recipe.backbone=mine"]
    recipe = ["--recipe", str(tmp_path / "tiny.yaml")]
    output = " ".join(bench(*run, *recipe, status=2).output.split())
    assert "backbone mine" in output
    assert "expected a method `features`, found none" in output
    assert not list((tmp_path / "results").glob("runs/*"))


@pytest.mark.parametrize(("source", "kind"), [(BROKEN, "backbone"), (LABELS, "data set")])
def test_two_plugins_of_one_name_are_refused(tmp_path, source, kind):
    text = source.replace("{labels}", "None").replace("{classes}", "()")
    one, two = (write(tmp_path / f"{name}.py", text) for name in ("one", "two"))
    failed = load_plugins([one, two])
    assert list(failed) == [f"plug-in {two}"]
    assert f"two {kind}s are named 'mine'" in failed[f"plug-in {two}"]
    known = backbones if kind == "backbone" else datasets
    assert type(known.get("mine")).origin.startswith(str(one))


@pytest.mark.parametrize(
    ("kind", "base", "known"),
    [(DATASETS, datasets.Dataset, datasets), (BACKBONES, backbones.Backbone, backbones)],
)
def test_installed_packages_bring_them_and_one_that_fails_is_named(monkeypatch, kind, base, known):
    def load():
        return type("Installed", (base,), {"name": "installed", "__module__": __name__})

    def fail():
        raise ImportError("libfoo is missing")

    loaders = {"installed": load, "broken": fail}
    entries = [SimpleNamespace(name=n, value=f"{n}.m", load=f) for n, f in loaders.items()]
    groups = {f"instbench.{known.__name__.rpartition('.')[2]}": entries}
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: groups.get(group, []))
    kind.forget_installed()
    assert "installed" in known.names()
    assert known.failures() == {"broken": "broken.m: ImportError: libfoo is missing"}
    with pytest.raises(UsageProblem, match=r"plug-in broken failed to import: .*libfoo"):
        known.get("broken")


def test_names_are_listed_without_torch():
    code = (
        "import sys; from benchmarks import backbones; from benchmarks.data import datasets; "
        "assert 'digits' in datasets.names() and 'resnet18' in backbones.names(); "
        "datasets.get('digits'), backbones.get('googlenet').weights; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=EXAMPLES.parents[1])


def test_a_file_with_none_of_them_is_refused_in_one_line(tmp_path):
    with pytest.raises(UsageProblem, match="expected a subclass of") as raised:
        load_plugins([write(tmp_path / "mine.py", "value = 1\n")])
    message = str(raised.value)
    for expected in ("methods.Method", "Dataset", "Backbone", "a table beside it", "found none"):
        assert expected in message
    assert "\n" not in message


def test_a_file_may_bring_several_kinds_and_a_refused_one_leaves_the_others(tmp_path):
    text = BROKEN + LABELS.format(labels="None", classes="()").replace('"mine"', '"Wrong Name"')
    failed = load_plugins([write(tmp_path / "both.py", text)])
    (reason,) = failed.values()
    assert "expected lower-case words" in reason
    assert "its other backbones (mine) can be used" in reason
    assert "mine" in backbones.names()


def test_nothing_of_a_file_that_fails_stays(tmp_path):
    text = BROKEN + LABELS.format(labels="None", classes="()") + "\n1 / 0\n"
    assert "ZeroDivisionError" in "".join(
        load_plugins([write(tmp_path / "half.py", text)]).values()
    )
    assert "mine" not in backbones.names()
    with pytest.raises(UsageProblem, match="Unknown data set 'mine'"):
        datasets.get("mine")


def test_a_data_sets_own_problems_are_said_as_they_are(tmp_path):
    text = LABELS.format(labels="None", classes="()").replace(
        "images = ", "raise OSError(5, 'Input/output error', 'x.png')\n        images = "
    )
    load_plugins([write(tmp_path / "mine.py", text)])
    with pytest.raises(DataProblem, match=r"x\.png cannot be read: Input/output error"):
        datasets.get("mine").load(tmp_path)
