"""Every method on a pretended CUDA device: what a GPU would refuse is refused, without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training.recipe.overrides import defaults
from methods import get, names

pytestmark = pytest.mark.slow
METHODS = names(labelled=True)
REFUSALS = {
    "mixed devices": "same device",
    "gathering on the host": "same device",
    "numpy": "can't convert cuda:0",
    "array": "can't convert cuda:0",
    "pinning": "cannot pin",
    "generator of the host": "Expected a 'cuda' device type",
    "generator of the device": "Expected a 'cpu' device type",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the runs did, in a process of its own: the pretended device cannot be taken back."""
    script = Path(__file__).with_name("pretended_runs.py")
    paths = [str(script.parents[1]), os.environ.get("PYTHONPATH", "")]  # for the helpers
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("pretended"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=290,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def value(answer: dict) -> dict:
    assert "error" not in answer, answer["traceback"]
    return answer["value"]


def test_a_chosen_gpu_has_its_index(answers):
    assert answers["chosen"] == ["cuda:0", "cuda:0", "cuda:0", "cpu"]


@pytest.mark.parametrize("mistake", REFUSALS)
def test_the_pretended_device_refuses_what_cuda_refuses(mistake, answers):
    assert REFUSALS[mistake] in answers["rules"][mistake].get("error", "not refused")


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_is_resumed_on_the_device_learns_as_on_the_cpu(name, answers):
    expected, found = value(answers["host"][name]), value(answers["resumed"][name])
    assert found["epoch"] == expected["epoch"]
    assert found["metrics"] == expected["metrics"]  # all of the evaluation was made
    assert found["device"] == "Pretended GPU"
    # MOM mines by another search on the device, whose ties differ.
    tolerance = 0.1 if name == "mom" else 1e-5
    assert found["losses"] == pytest.approx(expected["losses"], rel=tolerance, nan_ok=True)
    if name != "mom":
        assert found["knn"] == pytest.approx(expected["knn"])


@pytest.mark.parametrize("name", [name for name in METHODS if name != "random-cnn"])
def test_both_slices_of_a_resumed_run_are_listed(name, answers):
    found = value(answers["resumed"][name])
    last = 2 * defaults(get(name)).get("rounds", 1)  # two epochs a round
    assert found["slices"] == [[1, 1, "Pretended GPU"], [2, last, "Pretended GPU"]]


@pytest.mark.parametrize("name", METHODS)
def test_bf16_trains_and_evaluates_on_the_device(name, answers):
    found, full = value(answers["bf16"][name]), value(answers["host"][name])
    assert set(full["metrics"]) - set(found["metrics"]) <= {"nmi_previous"}  # of one epoch: none
    if name != "random-cnn":
        assert found["losses"][0] == pytest.approx(full["losses"][0], rel=0.2)
        assert found["losses"][0] != full["losses"][0]  # the network ran in another precision


@pytest.mark.parametrize("variant", ["pinned", "on disk"])
def test_images_off_the_device_give_the_same_run(variant, answers):
    expected, found = value(answers["host"]["nce"]), value(answers["variants"][variant])
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)


def test_crops_and_neighbours_on_the_device(answers):
    found = value(answers["variants"]["cropped"])
    assert found["epoch"] == 2
    assert "linear@features" in found["metrics"]
