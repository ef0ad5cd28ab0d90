"""Every method on a real GPU, beside the CPU; skipped where there is none."""

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for the same bits twice

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.common.device import choose_device
from benchmarks.common.errors import UsageProblem
from benchmarks.common.seeds import generator
from benchmarks.data import datasets
from benchmarks.runs.execute import RunContext, build_trainer
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training import recipe
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.trainer import Trainer
from helpers.small_methods import SMALL
from methods import Batch, names

CPU = torch.device("cpu")
METHODS = names(labelled=True)
TRAINED = [name for name in METHODS if name != "random-cnn"]
STEPS = 3
SETTINGS = {
    "recipe": {"train_images": 192, "batch_size": 32, "epochs": 2, "linear_c": 1.0},
    **SMALL,
}


@pytest.fixture(scope="module")
def gpu() -> torch.device:
    try:
        return choose_device("cuda")
    except UsageProblem as problem:
        pytest.skip(f"no GPU to compare with the CPU: {problem}")


@pytest.fixture(autouse=True)
def _exact_fp32():
    """Leave out TF32, which rounds the operands of products to 10 bits."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(matmul, "fp32_precision") and hasattr(cudnn, "conv"):  # since torch 2.9
        owners, name, exact = (matmul, cudnn.conv), "fp32_precision", "ieee"
    else:
        owners, name, exact = (matmul, cudnn), "allow_tf32", False
    before = [getattr(owner, name) for owner in owners]
    for owner in owners:
        setattr(owner, name, exact)
    yield
    for owner, value in zip(owners, before, strict=True):
        setattr(owner, name, value)


@pytest.fixture(scope="module")
def plan() -> dict[str, RunSpec]:
    digits = datasets.get("digits")
    runs = make_plan(
        choose(METHODS),
        lambda size, split: digits.load(Path(), size, split),
        recipe.read("digits").recipe,
        1,
        SETTINGS,
        "fp32",
    )
    return {run.method.name: run for run in runs}


def build(run: RunSpec, device: torch.device) -> Trainer:
    return build_trainer(run, RunContext(Path(), device, PlainProgress(lambda line: None)))


@contextlib.contextmanager
def drawn_on_the_cpu() -> Iterator[None]:
    """Give a method the same random numbers on every device: drawn on the CPU, then moved."""

    def moved(draw):
        def drawn(*args, device=None, generator=None, **options):
            if generator is not None:
                return draw(*args, device=device, generator=generator, **options)
            return draw(*args, **options).to(device or CPU)

        return drawn

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rand", "randn", "randint", "randperm"):
            patch.setattr(torch, name, moved(getattr(torch, name)))
        yield


@dataclass
class Given:
    """What both devices start from: the method's state, and the images of each step."""

    state: dict[str, torch.Tensor]
    batches: list[Batch]


def prepared(host: Trainer) -> Given:
    torch.manual_seed(0)
    host.start(0)
    draws = generator(0, 0, "augmentation", CPU)
    batches, order = [], host.batches(0)
    for step, index in enumerate(order[:STEPS]):
        images = host.images.train.gather(index).repeat(len(host.views), 1, 1, 1)
        clock = replace(host.clock(0, len(order)), step=step)
        batches.append(Batch(index, host.make_views(images, draws), clock))
    return Given(copy.deepcopy(host.method.state_dict()), batches)


def losses_of_steps(trainer: Trainer, given: Given) -> tuple[list[float], np.ndarray]:
    """Return the losses of the steps, and the embeddings of some images after them."""
    method, device = trainer.method, trainer.device
    method.load_state_dict(given.state)
    method.train()
    losses = []
    for step, batch in enumerate(given.batches):
        torch.manual_seed(step)
        views = tuple(view.to(device) for view in batch.views)
        losses.append(float(trainer.train_step(Batch(batch.index.to(device), views, batch.clock))))
    with torch.no_grad():
        rows = method.eval().representations(given.batches[0].views[0].to(device))
    return losses, next(iter(rows.values())).cpu().numpy()


@pytest.mark.parametrize("name", TRAINED)
def test_three_steps_are_those_of_the_cpu(name, plan, gpu):
    host, device = build(plan[name], CPU), build(plan[name], gpu)
    given = prepared(host)
    with drawn_on_the_cpu():
        expected, expected_embeddings = losses_of_steps(host, given)
        found, embeddings = losses_of_steps(device, given)
    assert found == pytest.approx(expected, rel=2e-3, abs=1e-5)
    distance = np.linalg.norm(embeddings - expected_embeddings)
    assert distance <= 2e-2 * np.linalg.norm(expected_embeddings)


@pytest.mark.parametrize("name", METHODS)
def test_an_epoch_in_deterministic_mode_gives_the_same_bits_twice(name, plan, gpu):
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        states = []
        for _ in range(2):
            trainer = build(plan[name], gpu)
            if trainer.epochs:
                trainer.train_epoch(0)
            states.append(trainer.method.state_dict())
    finally:
        torch.use_deterministic_algorithms(was)
    first, second = states
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert different == []


@pytest.mark.parametrize("name", METHODS)
def test_evaluation_is_that_of_the_cpu(name, plan, gpu):
    host, device = build(plan[name], CPU), build(plan[name], gpu)
    device.method.load_state_dict(host.method.state_dict())
    expected = host.evaluator.evaluate(last=True)
    found = device.evaluator.evaluate(last=True)
    assert found.metrics.keys() == expected.metrics.keys()
    for key, value in expected.metrics.items():
        assert found.metrics[key] == pytest.approx(value, abs=0.5), key  # two of 450 images
    for part in ("bank", "test"):
        rows, others = getattr(found.embedded, part), getattr(expected.embedded, part)
        assert rows.keys() == others.keys()
        assert all(np.allclose(rows[name], others[name], atol=1e-3) for name in others)
