"""A plug-in's method tried out before any training: what can be known then is told then."""

import copy
import random
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import backbones
from benchmarks.common.errors import MethodProblem, UsageProblem
from benchmarks.data.datasets.base import ImageData
from benchmarks.training.recipe import Recipe
from benchmarks.training.recipe.overrides import not_settable
from benchmarks.training.sampling import check_batch_size
from benchmarks.training.views import looks_of
from methods import Batch, Method
from methods.base import Clock, View, normalise, views_of
from methods.base.code import code_of
from methods.base.registry import in_one_line
from methods.testing import contract
from methods.testing.contract import MethodCheckError
from methods.testing.toy import ToyEncoder

FEW_IMAGES, MANY_PIXELS = 8, 1 << 20
"""Images of the first attempt at a step; pixels of a batch up to which a second one is whole."""
FEW_INSTANCES = 2048
"""Training images up to which clustering or mining before an epoch takes a moment."""


def try_out(
    method: type[Method],
    values: Mapping[str, Any],
    recipe: Recipe,
    data: ImageData,
    user_set: bool = False,
) -> list[str]:
    """Build a method once, and let a plug-in's take a step, on the CPU.

    The suite's own methods are only built: the rest of the contract is tested with the suite.

    Args:
        method: the class.
        values: its hyper-parameters.
        recipe: of the run.
        data: what it is to train on; its pixels are not used.
        user_set: whether the command set a hyper-parameter, so that a refused value is the user's.

    Returns:
        What is worth saying although the method can be used.

    Raises:
        UsageProblem: if a value does not suit.
        MethodProblem: if a plug-in's method breaks the contract or raises anything.
    """
    if code_of(method).own:
        check_batch_size(method, recipe, len(data.train.images))
        _check_training(_build_own(method, values, recipe, len(data.train.images)), recipe, data)
        return []
    trial = _Trial(method, values, recipe, data)
    with _random_states_kept(), _told(method, user_set):
        contract.check_declaration(method)
        check_batch_size(method, recipe, trial.instances)
        return trial.take()


def _build_own(
    method: type[Method], values: Mapping[str, Any], recipe: Recipe, instances: int
) -> Method:
    try:
        with _random_states_kept():
            return method(ToyEncoder(recipe.embedding_size), instances=instances, **values)
    except ValueError as error:
        raise UsageProblem(f"{method.name}: {error}") from error


def _check_training(method: Method, recipe: Recipe, data: ImageData) -> None:
    """Check what the recipe makes of a method's views and of its epochs.

    Raises:
        UsageProblem: if a view is larger than the images or changes a field that is none, or the
            warm-up is longer than a round.
    """
    try:
        side = recipe.crop_size or data.image_size
        looks_of(views_of(method.views), recipe.augmentation, side)
        recipe.schedule_of(max(1, method.epochs(recipe.epochs)))
    except UsageProblem as error:
        raise UsageProblem(f"{method.name}: {error}") from error


@dataclass(frozen=True)
class _Trial:
    method: type[Method]
    values: Mapping[str, Any]
    recipe: Recipe
    data: ImageData

    @property
    def instances(self) -> int:
        return len(self.data.train.images)

    def take(self) -> list[str]:
        """Build the method for all images and take a step; return notes."""
        built = self._build(self.instances)
        contract.check_instance(built)
        _check_training(built, self.recipe, self.data)
        notes = [
            f"{self.method.name}: {name} is not keyword-only: it cannot be set and no record "
            "states it; write it after `*`"
            for name in not_settable(self.method)
        ]
        if self.method.uses_labels and self.data.train.labels is None:
            return notes  # the run says that it needs labels
        return notes + self._step_of_few(built)

    def _step_of_few(self, built: Method) -> list[str]:
        """Take a step of few images, and where that fails a whole one, which it is made for."""
        few = min(FEW_IMAGES, self.recipe.batch_size)
        mines = (
            type(built).start_epoch is not Method.start_epoch
            or type(built).start_round is not Method.start_round
        )
        instances = min(self.instances, FEW_INSTANCES) if mines else self.instances
        try:
            if instances < self.instances:
                built = self._build(instances)
            return self._step(built, instances, few)
        except (MethodCheckError, KeyboardInterrupt):
            raise
        except BaseException:
            # Less than it is made for is no reason to refuse it, nor is the CPU where there is a
            # GPU: what is wrong all the same ends its run at the first step.
            if (
                instances < self.instances
                or not self._affordable(built)
                or torch.cuda.is_available()
            ):
                return []
            if few == self.recipe.batch_size:
                raise
        return self._step(self._build(self.instances), self.instances, self.recipe.batch_size)

    def _affordable(self, built: Method) -> bool:
        side = self.recipe.crop_size or self.data.image_size
        views = len(views_of(built.views))
        return self.recipe.batch_size * views * side**2 <= MANY_PIXELS

    def _build(self, instances: int) -> Method:
        torch.default_generator.manual_seed(0)
        encoder = copy.deepcopy(_encoder(self.recipe.backbone, self.recipe.embedding_size))
        method = self.method(encoder, instances=instances, **copy.deepcopy(dict(self.values)))
        labels = self.data.train.labels
        if method.uses_labels and labels is not None:
            method.set_labels(torch.from_numpy(labels[:instances]))
        return method

    def _step(self, method: Method, instances: int, images: int) -> list[str]:
        """Do what the trainer does, once, and check each thing that the method returns."""
        contract.check_instance(method)
        epochs = method.epochs(self.recipe.epochs)
        contract.check_epochs(epochs, self.recipe.epochs)
        contract.check_groups(method.parameter_groups())
        clock = Clock(rounds=method.rounds, epochs=max(1, epochs), steps=max(1, epochs))
        if epochs > 0:
            train = _RandomTrainingSet(method, instances, self.recipe.embedding_size)
            method.start_round(clock, train)
            method.start_epoch(clock, train)
        order = method.sample(torch.Generator().manual_seed(0))
        contract.check_order(order, instances, self._least_order(instances))
        index = torch.arange(images) if order is None else order.flatten()[:images]
        batch = Batch(index % instances, self._views(method, len(index)), clock)
        notes = self._train_step(method, batch) if epochs > 0 else []
        contract.check_memory(method.memory(), instances)
        method.eval()
        with torch.no_grad():
            plain = self._images(len(index), None)
            contract.check_representations(method.representations(plain), len(index))
            contract.check_prediction(method.predict(plain), len(index))
        return notes

    def _train_step(self, method: Method, batch: Batch) -> list[str]:
        method.train()
        loss = method.loss(batch)
        contract.check_loss(loss)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
            method.before_step(batch.clock)
        method.after_step(batch)
        metrics = contract.as_metrics(method.metrics())
        notes = []
        if not loss.requires_grad:
            notes.append(f"{method.name}: its loss has no gradient, so that nothing is trained")
        if broken := contract.not_finite(metrics):
            notes.append(
                f"{method.name}: metrics() gives NaN or infinity for {', '.join(broken)} after a "
                "step; such values are left out of the record"
            )
        return notes

    def _least_order(self, instances: int) -> int:
        return min(self.recipe.batch_size, instances) if self.method.drop_last else 1

    def _views(self, method: Method, images: int) -> tuple[Tensor, ...]:
        return tuple(self._view(view, images) for view in views_of(method.views))

    def _view(self, view: View, images: int) -> Tensor:
        plain = self._images(images, view.size)
        return plain if view.transform is None else view.transform(plain)

    def _images(self, images: int, size: int | None) -> Tensor:
        side = size or self.recipe.crop_size or self.data.image_size
        return torch.randn(images, 3, side, side)


@dataclass(frozen=True)
class _RandomTrainingSet:
    """Stands for the training set in a trial: random rows of the right shapes."""

    method: Method
    instances: int
    embedding_size: int

    def features(self) -> Tensor:
        return torch.randn(self.instances, self.method.backbone.feature_size)

    def embeddings(self) -> Tensor:
        return normalise(torch.randn(self.instances, self.embedding_size))


@cache
def _encoder(backbone: str, embedding_size: int) -> nn.Module:
    """Return the recipe's network with random weights; to be copied, not used."""
    return backbones.get(backbone).random(embedding_size)


@contextmanager
def _told(method: type[Method], user_set: bool) -> Iterator[None]:
    """Turn whatever a plug-in raises into one line."""
    try:
        yield
    except (KeyboardInterrupt, UsageProblem, MethodProblem):
        raise
    except MethodCheckError as error:
        raise MethodProblem(f"{method.name}: {error}") from error
    except ValueError as error:
        if user_set:
            raise UsageProblem(f"{method.name}: {_with_place(error, method)}") from error
        raise MethodProblem(f"{method.name}: {_with_place(error, method)}") from error
    except BaseException as error:
        raise MethodProblem(f"{method.name}: {_with_place(error, method)}") from error


def _with_place(error: BaseException, method: type[Method]) -> str:
    """Return an error in one line, with the last line of the method's own file that led to it."""
    stack = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in stack if frame.filename != __file__]
    file = method.origin.rpartition(":")[0]
    last = ([frame for frame in frames if frame.filename == file] or frames)[-1:]
    place = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in last)
    return in_one_line(error) + place


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Leave the random states of torch, NumPy and Python as they were, and say no warnings yet."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
