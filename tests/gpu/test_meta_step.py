"""A step of every method on torch's meta device: nothing in it may wait for a GPU.

A tensor on the meta device has a shape and no data, so that whatever makes the host wait for a
device raises: item, tolist, a branch on a value, nonzero, a boolean index, unique, cpu().
"""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import methods
from benchmarks import backbones
from benchmarks.data.transforms.augment import Augmentation, prepare
from benchmarks.training.views import ViewMaker
from methods import Batch, Clock
from methods.base import views_of

META = torch.device("meta")
INSTANCES, IMAGES = 2000, 8
OWN_LOSSES = [name for name in methods.names(labelled=True) if name != "metric-learning"]
"""The loss of `metric-learning` is of another package, which waits to select its pairs."""
MEAN = STD = (0.5, 0.5, 0.5)


class MetaGenerator(torch.Generator):
    """torch has no generator of the meta device, which draws nothing."""

    device = META


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of the meta device and of the CPU together."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if any(x.is_meta for x in tensors) and any(x.dim() and not x.is_meta for x in tensors):
            raise RuntimeError(f"{func} mixes devices")
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _autocast(monkeypatch):
    real = torch.autocast

    def autocast(kind, **options):
        return contextlib.nullcontext() if kind == "meta" else real(kind, **options)

    monkeypatch.setattr(torch, "autocast", autocast)


@pytest.fixture
def pixels():
    return torch.empty(INSTANCES, 3, 16, 16, dtype=torch.uint8, device=META)


def step(method: methods.Method, pixels: torch.Tensor) -> torch.Tensor:
    """Do what the trainer does in a step; return the loss."""
    index = torch.empty(IMAGES, dtype=torch.long, device=META)
    views = views_of(method.views)
    make_views = ViewMaker(views, Augmentation(), MEAN, STD, pixels.shape[-1])
    images = pixels[index].repeat(len(views), 1, 1, 1)
    batch = Batch(index, make_views(images, MetaGenerator()), Clock())
    loss = method.loss(batch)
    if loss.requires_grad:
        groups = [{"params": group["params"]} for group in method.parameter_groups()]
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
        loss.backward()
        method.before_step(batch.clock)
        optimizer.step()
        optimizer.zero_grad()
    method.after_step(batch)
    return loss


def build(name: str) -> methods.Method:
    return methods.get(name)(backbones.get("resnet10-16")(16), INSTANCES).to(META).train()


@pytest.mark.parametrize("name", OWN_LOSSES)
def test_a_step_never_waits_for_the_device(name, pixels):
    with OneDevice():
        loss = step(build(name), pixels)
    assert loss.is_meta
    assert loss.ndim == 0


@pytest.mark.parametrize("name", methods.names(labelled=True))
def test_evaluation_never_waits_for_the_device(name, pixels):
    method, images = build(name).eval(), prepare(pixels[:IMAGES], MEAN, STD)
    with OneDevice(), torch.no_grad():
        found = method.representations(images)
        predicted = method.predict(images)
    assert found
    assert all(rows.is_meta and len(rows) == IMAGES for rows in found.values())
    assert predicted is None or predicted.is_meta


class Waits(methods.Method):
    """Looks at its loss, which would wait for a GPU in every step."""

    paper = "none"

    def loss(self, batch):
        loss = torch.cat(self.embed_views(batch)).square().sum()
        return loss if loss > 0 else -loss


class Mixes(methods.Method):
    """Leaves a constant on the CPU."""

    paper = "none"

    def loss(self, batch):
        return (self.embed_views(batch)[0] * torch.ones(16)).sum()


@pytest.mark.parametrize("kind", [Waits, Mixes])
def test_a_method_that_waits_or_mixes_devices_is_found(kind, pixels):
    with pytest.raises((RuntimeError, NotImplementedError)), OneDevice():
        step(kind(backbones.get("resnet10-16")(16), INSTANCES).to(META).train(), pixels)
