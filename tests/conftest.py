"""Shared by all tests: small runs on the embedded digits."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: threads cost more than they give

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.backbones.base import BACKBONES
from benchmarks.commands.cli import main
from benchmarks.data.datasets.base import DATASETS
from benchmarks.runs import plugin_tables
from helpers.small_methods import SMALL
from methods.base import registry

TINY = {
    "base": "digits",
    "embedding_size": 16,
    "train_images": 200,
    "batch_size": 32,
    "epochs": 3,
    "knn_k": 20,
    "lr_factors": {2: 0.1},
    "methods": {
        "deepcluster": {"clusters": 12},
        "nce": {"noise": 64},
        **{name: dict(SMALL[name]) for name in ("swav", "nnclr", "moco", "moco-v2")},
    },
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_caches(monkeypatch, tmp_path_factory):
    """Keep caches of decoded images out of the user's home."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path_factory.mktemp("bench-data")))


@pytest.fixture(autouse=True)
def _registries_as_they_were():
    """Forget the methods, data sets, backbones and tables that a test registers."""
    with ExitStack() as stack:
        for kind in (registry.METHODS, DATASETS, BACKBONES):
            stack.enter_context(kind.kept())
        yield
    plugin_tables.forget()


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def bench(tmp_path: Path, tiny_recipe: Path, monkeypatch):
    """Call the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return call


class OnlyOperationsThatDoNotWait(TorchDispatchMode):
    """Fails on operators that make a GPU's host wait: values read back, shapes drawn from data."""

    WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "unique", "is_nonzero",
               "equal", "tolist", "lift_fresh", "repeat_interleave")  # fmt: skip

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.seen[name] += 1
        assert not any(name.startswith(waiting) for waiting in self.WAITING), name
        if name.startswith("index"):
            masks = [a for group in args[1:] if isinstance(group, (list, tuple)) for a in group]
            assert not any(m is not None and m.dtype in (torch.bool, torch.uint8) for m in masks)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def only_operations_that_do_not_wait():
    """Return a context that fails where a GPU's host would wait, and counts what it has seen."""
    return OnlyOperationsThatDoNotWait
