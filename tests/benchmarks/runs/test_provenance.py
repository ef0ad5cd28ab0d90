import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.runs import provenance
from benchmarks.runs.provenance import describe, slice_of

CPU = torch.device("cpu")


def test_describe_names_versions_and_commit():
    environment = describe(torch.device("cpu"), "fp32")
    assert environment.packages["torch"] == torch.__version__.split("+")[0] or environment.packages[
        "torch"
    ].startswith(torch.__version__)
    assert environment.device
    assert environment.precision == "fp32"
    assert environment.git_commit is None or len(environment.git_commit) == 40


def test_precision_compiling_and_threads_are_stated():
    environment = describe(CPU, "bf16", compiled=True)
    assert (environment.precision, environment.compiled) == ("bf16", True)
    assert environment.threads == torch.get_num_threads()


def test_the_commit_is_that_of_git():
    root = Path(provenance.__file__).parents[2]
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True)
    if done.returncode:
        pytest.skip("not a checkout")
    assert describe(CPU, "fp32").git_commit == done.stdout.decode().strip()


def test_without_git_no_commit_is_stated(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("git")

    provenance._git.cache_clear()
    monkeypatch.setattr(provenance.subprocess, "run", missing)
    environment = describe(CPU, "fp32")
    provenance._git.cache_clear()
    assert (environment.git_commit, environment.git_dirty) == (None, None)


def test_a_slice_has_the_conditions_of_its_environment():
    environment = describe(CPU, "fp32")
    part = slice_of(environment)
    assert (part.first_epoch, part.last_epoch, part.seconds) == (None, None, 0.0)
    for name in ("device", "platform", "threads", "precision", "compiled"):
        assert getattr(part, name) == getattr(environment, name)
    assert part.torch == environment.packages["torch"]
