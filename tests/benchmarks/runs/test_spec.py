"""A run's key, folder and title; a spec that another process or another day can read."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs.images import ImageRequest, NamedDataset, forget_images
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import DatasetSpec, RunSpec
from benchmarks.training.recipe import read
from methods.base import registry

KEYS = json.loads(Path(__file__).with_name("keys.json").read_text())
"""Written before a spec named its images instead of holding them."""
DIGITS = NamedDataset("digits", Path())
PLANS = {
    "plain": (["invaspread", "nce", "random-cnn", "triplet", "mom"], {}, 2, "fp32"),
    "set": (
        ["invaspread"],
        {"invaspread": {"temperature": 0.2}, "recipe": {"lr": 0.01, "train_images": 300}},
        1,
        "fp32",
    ),
    "bf16": (["deepcluster"], {}, 1, "bf16"),
    "short": (["exemplar"], {"recipe": {"epochs": 2}}, 1, "fp32"),
}
PLUGIN = """
import torch
from methods import Method

def twice(values):
    return 2 * values

class Mine(Method):
    name, paper = "mine", "none"

    def __init__(self, encoder, instances, *, scale=twice):
        super().__init__(encoder, instances)
        self.scale = scale

    def loss(self, batch):
        return self.scale(self.encoder(batch.views[0])).square().mean()
"""


def planned(words, settings=None, seeds=1, precision="fp32", load=DIGITS) -> list[RunSpec]:
    recipe = read("digits").recipe
    return make_plan(choose(words), load, recipe, seeds, settings or {}, precision)


@pytest.mark.parametrize("name", PLANS)
def test_keys_folders_and_titles_are_those_of_before(name):
    words, settings, seeds, precision = PLANS[name]
    runs = planned(words, settings, seeds, precision)
    found = {
        f"{name}/{run.method.name}/{run.seed}": {
            "key": run.key, "folder": run.folder_name, "title": run.title
        }
        for run in runs
    }  # fmt: skip
    assert found == {label: facts for label, facts in KEYS.items() if label.startswith(name)}


def test_a_spec_holds_no_pixels():
    (run,) = planned(["invaspread"])
    assert len(pickle.dumps(run)) < 10_000  # the digits have 90 kB


def test_another_process_reads_the_same_run_and_images():
    (run,) = planned(["nce"], {"recipe": {"train_images": 300}})
    script = (
        "import pickle, sys\n"
        "run = pickle.load(sys.stdin.buffer)\n"
        "data = run.data.load()\n"
        "print(run.key, run.title, len(data.train), data.digest, sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(run), capture_output=True, check=True
    )
    expected = f"{run.key}|{run.title}|300|{run.data.digest}"
    assert done.stdout.decode().strip() == expected


def test_another_process_imports_the_plugin_that_a_run_needs(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    registry.load_file(file)
    (run,) = planned(["mine"])
    content = pickle.dumps(run)
    script = "import pickle, sys; run = pickle.load(sys.stdin.buffer); print(run.key)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert done.stdout.decode().strip() == run.key

    file.write_text(PLUGIN.replace("square", "abs"))
    done = subprocess.run(command, input=content, capture_output=True)
    assert b"expected the code that the run was planned with" in done.stderr


def test_a_method_that_is_not_here_is_one_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    registry.load_file(file)
    content = pickle.dumps(planned(["mine"])[0])
    file.unlink()
    script = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True)
    (last,) = done.stderr.decode().splitlines()[-1:]
    assert "MethodProblem: mine: cannot be had in this process: " in last
    assert str(file) in last


def noise(seed: int, digest: str) -> ImageData:
    images = np.random.default_rng(seed).integers(0, 256, (8, 8, 8, 3), np.uint8)
    third = (0.5, 0.5, 0.5)
    return ImageData("noise", Split(images, None), None, (), third, third, digest)


def test_images_that_changed_since_the_plan_are_refused():
    on_disk = noise(0, "0" * 16)

    def load(image_size, split):
        return on_disk

    request = ImageRequest(load)
    spec = DatasetSpec.of(request, load(None, None))
    assert spec.load().train.images.shape == (8, 8, 8, 3)
    on_disk = noise(1, "1" * 16)
    assert spec.load().digest == spec.digest  # those in memory are still the planned ones
    forget_images()
    with pytest.raises(DataProblem, match="changed since the run was planned"):
        spec.load()


def test_facts_follow_the_digest():
    spec = DatasetSpec.of(ImageRequest(DIGITS), DIGITS(None, None))
    assert spec.facts() == DIGITS(None, None).facts()
    assert replace(spec, digest="other").facts()["digest"] == "other"
    assert spec.reading() == DIGITS(None, None).reading()
