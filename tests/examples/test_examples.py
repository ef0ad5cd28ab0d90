"""Methods that need more than one encoder and one schedule, as plug-ins with public names only."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import methods
from methods.base import registry
from methods.testing import check_method

HERE = Path(__file__).parent
NAMES = ("byol", "simclr", "multi_crop", "three_rounds")
REPRESENTATIONS = {
    "byol": {"features"},
    "simclr": {"features", "projection"},
    "multi_crop": {"embedding", "features"},
    "three_rounds": {"embedding", "features"},
}
ROUNDS = {"three_rounds": 3}
OPTIONS = ["--dataset", "digits", "--epochs", "2", "--precision", "fp32", "--device", "cpu"]


def plugin(name: str) -> Path:
    return HERE / f"{name}_example.py"


def method_name(name: str) -> str:
    return f"example-{name.replace('_', '-')}"


def command(name: str, results: Path) -> list[str]:
    words = ["run", "--plugin", str(plugin(name)), "--methods", method_name(name), *OPTIONS]
    return [*words, "--set", "recipe.train_images=160", "--results", str(results)]


def folder(results: Path) -> Path:
    (found,) = [path for path in (results / "runs").iterdir() if path.is_dir()]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_is_short_and_passes_the_conformance_suite(name):
    assert len(plugin(name).read_text().splitlines()) <= 65
    registry.load_file(plugin(name))
    check_method(methods.get(method_name(name)))


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_every_representation_is_evaluated(name, bench, tmp_path):
    bench(*command(name, tmp_path / "r"))
    run = folder(tmp_path / "r")
    epochs = pd.read_parquet(run / "epochs.parquet")
    assert len(epochs) == 2 * ROUNDS.get(name, 1)
    record = json.loads((run / "run.json").read_text())
    text = json.dumps(record)
    for representation in REPRESENTATIONS[name]:
        assert f"@{representation}" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_goes_on_to_the_same_bits(name, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(results: Path) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "benchmarks", *command(name, results)]
        return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait() == 0
    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("runs/*/checkpoint.pt")):
        assert time.monotonic() < deadline
        if killed.poll() is not None:
            break
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert start(tmp_path / "killed").wait() == 0
    whole, resumed = (folder(tmp_path / part) for part in ("whole", "killed"))
    with np.load(whole / "embeddings.npz") as one, np.load(resumed / "embeddings.npz") as other:
        assert all(np.array_equal(one[key], other[key]) for key in one)
    columns = ["epoch", "loss", "lr", "knn"]
    one, other = (pd.read_parquet(run / "epochs.parquet")[columns] for run in (whole, resumed))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_the_schedule_restarts_with_each_round(bench, tmp_path):
    bench(*command("three_rounds", tmp_path / "r"), "--set", "recipe.lr_factors={1: 0.1}")
    rates = pd.read_parquet(folder(tmp_path / "r") / "epochs.parquet")["lr"]
    assert rates.tolist() == pytest.approx([0.03, 0.003] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_public_names_only(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", plugin(name))
    assert spec is not None
    text = plugin(name).read_text()
    imported = [line for line in text.splitlines() if line.startswith(("from", "import"))]
    assert not [line for line in imported if "benchmarks" in line or " _" in line]
