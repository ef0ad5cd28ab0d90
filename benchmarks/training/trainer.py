"""The training loop. It knows no method: a method's loss and hooks are all it calls."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.device import autocast
from benchmarks.common.errors import OutOfTime, RunFailed, UsageProblem
from benchmarks.common.profiler import Stopwatch
from benchmarks.common.seeds import derive_seed, generator
from benchmarks.data.loader import Stores
from benchmarks.evaluator.embed import Embedded
from benchmarks.evaluator.per_epoch import Evaluator
from benchmarks.training import optimisers
from benchmarks.training.history import appended
from benchmarks.training.loggers.console import Progress
from benchmarks.training.positives import self_or_neighbour
from benchmarks.training.recipe import Recipe
from benchmarks.training.sampling import check_batch_size, split_order
from benchmarks.training.training_set import TrainingSetPass
from benchmarks.training.views import ViewMaker
from methods import Batch, Clock, Method
from methods.base import TrainingSet, views_of
from methods.testing.contract import MethodCheckError, as_metrics, not_finite

CHECK_EVERY = 20
"""Steps between two looks at the losses: each look waits for the device."""
COLLAPSED = 0.02
"""Spread of the headline representation below which a warning is logged."""
COMPILER = "inductor"
"""Backend of torch.compile."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch of training gave.

    Attributes:
        row: its columns of the history, such as `epoch`, `loss` and `lr`.
        seconds: wall-clock time of training.
        views: images that passed through the network, each view counted.
    """

    row: dict[str, Any]
    seconds: float = 0.0
    views: int = 0


class Trainer:
    """Trains one method on one set of images by one recipe.

    Args:
        method: already on `device`.
        recipe: shared by all methods of a comparison.
        images: what to train and to evaluate on.
        seed: every random number of the run follows from it.
        device: where to train.
        precision: "bf16" runs the network under autocast; losses stay in fp32.
        progress: logs steps and epochs.
        stopwatch: measures the phases of the steps; None measures nothing.
        compiled: whether torch.compile prepares the encoder for training; evaluation stays eager.

    Raises:
        UsageProblem: if a batch is larger than the training set, or a view than the images.
    """

    def __init__(
        self,
        method: Method,
        recipe: Recipe,
        images: Stores,
        seed: int,
        device: torch.device,
        precision: str,
        progress: Progress,
        stopwatch: Stopwatch | None = None,
        compiled: bool = False,
    ) -> None:
        check_batch_size(method, recipe, len(images.train))
        self.method = method.to(memory_format=torch.channels_last)
        if compiled:
            method.encoder.compile(backend=COMPILER)
        self.recipe, self.seed, self.progress = recipe, seed, progress
        self.images, self.stopwatch = images, stopwatch or Stopwatch()
        self.device, self.precision = device, precision
        self.views = views_of(method.views)
        self.round_epochs = method.epochs(recipe.epochs)
        self.epochs = self.round_epochs * method.rounds
        if self.epochs and len(self.views) * len(images.train) == 1:
            raise UsageProblem(
                "expected at least 2 training images, as one view of one image has "
                "no batch statistics, found 1; give more images"
            )
        self.schedule = recipe.schedule_of(max(1, self.round_epochs))
        self.optimizer = self._build_optimizer() if self.epochs else None
        self.history = pd.DataFrame()
        self.evaluator = Evaluator(
            method, recipe.evaluation, images, seed, device, precision, compiled
        )
        train = images.train
        self.make_views = ViewMaker(
            self.views,
            recipe.augmentation,
            train.mean,
            train.std,
            recipe.crop_size or train.side,
            recipe.crop_size,
        )
        self._joined_noted = self._collapse_noted = False

    def _build_optimizer(self) -> torch.optim.Optimizer | None:
        recipe = self.recipe
        return optimisers.build(
            recipe.optimiser,
            self.method.parameter_groups(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            decay_all=recipe.decay_all,
            betas=recipe.betas,
            device=self.device,
        )

    def fit(
        self,
        history: pd.DataFrame,
        epoch_done: Callable[[pd.DataFrame], None],
        deadline: float | None = None,
        evaluated: Callable[[int, np.ndarray], None] | None = None,
    ) -> Embedded:
        """Train the epochs that `history` does not hold yet; return the last representations.

        Args:
            history: a row per finished epoch, empty at the start.
            epoch_done: called with the longer history after each epoch, to save it.
            deadline: no epoch is started that would not end before it, as long as the last one
                took; in seconds of `time.monotonic`. One epoch is trained in any case.
            evaluated: called with the epoch and the test images' headline rows, if there are any,
                at each evaluation and before `epoch_done`.

        Raises:
            RunFailed: at the first loss that is NaN or infinite.
            OutOfTime: if the deadline comes before the last epoch.
        """
        self.history = history
        embedded: Embedded | None = None
        done = int(history["epoch"].iloc[-1]) if len(history) else 0
        if self.epochs == 0 and history.empty:
            untrained = EpochResult({"epoch": 0, "loss": np.nan, "lr": 0.0})
            embedded = self._finish(untrained, True, epoch_done, evaluated)
        for epoch in range(done, self.epochs):
            started = time.monotonic()
            due = self.evaluator.settings.due(epoch + 1, self.epochs)
            embedded = self._finish(self.train_epoch(epoch), due, epoch_done, evaluated)
            now = time.monotonic()
            if deadline is not None and epoch + 1 < self.epochs and 2 * now - started > deadline:
                raise OutOfTime(f"stopped after epoch {epoch + 1} of {self.epochs}")
        return embedded or self.evaluator.embedder.embed_images(every=True)

    def train_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch, counted from 0 over all rounds."""
        started = time.perf_counter()
        torch.manual_seed(derive_seed(self.seed, epoch, "method"))
        draws = generator(self.seed, epoch, "augmentation", self.device)
        self.stopwatch.start()
        self.start(epoch)
        batches = self.batches(epoch)
        clock = self.clock(epoch, len(batches))
        losses, checked = torch.zeros(len(batches), device=self.device), 0
        self.progress.epoch_started(epoch + 1, self.epochs, len(batches))
        self.stopwatch.lap("start of epoch")
        self._note_joined(batches)

        stream = self._stream(batches, epoch)
        for step, (index, images) in enumerate(zip(batches, stream, strict=True)):
            self.stopwatch.lap("sampling")
            views = self.make_views(images, draws)  # each (b, c, h, w)
            self.stopwatch.lap("augmentation")
            now = replace(clock, step=clock.step + step)
            losses[step] = self.train_step(Batch(index, views, now))
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == len(batches):
                self.progress.stepped(step + 1, _last_finite(losses, checked, step + 1, epoch))
                checked = step + 1
            self.stopwatch.lap("logging")

        lr = self.recipe.lr * self.schedule.factor(clock.epoch, 0, len(batches))
        row = {"epoch": epoch + 1, "loss": float(losses.mean()), "lr": lr}
        row |= self._method_metrics(epoch)
        views_passed = sum(len(index) for index in batches) * len(self.views)
        seconds = time.perf_counter() - started
        row["images_per_second"] = views_passed / seconds
        return EpochResult(row, seconds, views_passed)

    def train_step(self, batch: Batch) -> Tensor:
        """Take one step; returns its loss, a scalar without gradient."""
        method, optimizer, lap = self.method, self.optimizer, self.stopwatch.lap
        self._set_rate(batch.clock)
        with autocast(self.device, self.precision):
            loss = method.loss(batch)
        lap("loss")
        if loss.requires_grad and optimizer is not None:
            loss.backward()  # type: ignore[no-untyped-call]
            lap("backward")
            method.before_step(batch.clock)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            lap("optimiser")
        method.after_step(batch)
        lap("after step")
        return loss.detach()

    def clock(self, epoch: int, steps: int = 1) -> Clock:
        """Return the time at the start of an epoch.

        Args:
            epoch: counted from 0 over all rounds.
            steps: batches of the epoch; 1 while they are not drawn yet.
        """
        number, within = divmod(epoch, self.round_epochs)
        return Clock(
            round=number,
            rounds=self.method.rounds,
            epoch=within,
            epochs=self.round_epochs,
            step=within * steps,
            steps=self.round_epochs * steps,
        )

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the (b,) image indices of each of the epoch's batches, on the training device."""
        draws = generator(self.seed, epoch, "order", torch.device("cpu"))
        order = self.method.sample(draws)
        if order is None:
            order = torch.randperm(len(self.images.train), generator=draws)
        return split_order(order.to(self.device), self.recipe.batch_size, self.method.drop_last)

    def training_set(self) -> TrainingSet:
        """Return the training set as the method's hooks may look at it."""
        return TrainingSetPass(self.evaluator.embedder)

    def start(self, epoch: int) -> None:
        """Call the method's hooks before a round and before an epoch."""
        clock, train = self.clock(epoch), self.training_set()
        if clock.epoch == 0:
            self.method.start_round(clock, train)
        self.method.start_epoch(clock, train)
        self.method.train()

    def _set_rate(self, clock: Clock) -> None:
        steps = clock.steps // clock.epochs  # of an epoch
        factor = self.schedule.factor(clock.epoch, clock.step - clock.epoch * steps, steps)
        optimisers.set_rate(self.optimizer, self.recipe.lr, factor)

    def _stream(self, batches: list[Tensor], epoch: int) -> Iterator[Tensor]:
        """Yield the (views * b, 3, h, w) images of which each batch shows a view, view by view."""
        train, views = self.images.train, len(self.views)
        if self.recipe.positive == "self" or views != 2:
            yield from (images.repeat(views, 1, 1, 1) for images in train.stream(batches))
            return
        features = self.evaluator.embedder.training_features()
        positives = self_or_neighbour(features, self.seed, epoch)
        yield from train.stream([torch.cat([index, positives[index]]) for index in batches])

    def _note_joined(self, batches: list[Tensor]) -> None:
        """Say once in what the last batch of an epoch is larger than the recipe's."""
        if self._joined_noted or len(batches[-1]) <= self.recipe.batch_size:
            return
        self._joined_noted = True
        self.progress.note(
            f"the last batch of an epoch has {len(batches[-1])} images, as the "
            "one image that is left over has no batch statistics of its own"
        )

    @property
    def _name(self) -> str:
        """What notes call the method; one that is not registered may have no name."""
        return getattr(self.method, "name", type(self.method).__name__)

    def _note_collapse(self, row: dict[str, Any]) -> None:
        """Warn once of embeddings that are nearly all the same."""
        if self._collapse_noted or not row.get("spread", 1.0) < COLLAPSED:
            return
        self._collapse_noted = True
        self.progress.note(
            f"{self._name}: its embeddings have collapsed at epoch {row['epoch']}: their "
            f"spread is {row['spread']:.3f}, where 0 is one point for all images and 1 the whole "
            "sphere; try a lower recipe.lr"
        )

    def _method_metrics(self, epoch: int) -> dict[str, float]:
        """Return the method's own metrics of an epoch; what is not finite is left out and said."""
        try:
            metrics = as_metrics(self.method.metrics())
        except MethodCheckError as error:
            raise RunFailed(f"{self._name}: {error}") from error
        if broken := not_finite(metrics):
            self.progress.note(
                f"{self._name}: metrics() gave NaN or infinity for {', '.join(broken)} at "
                f"epoch {epoch + 1}; left out"
            )
        return {name: value for name, value in metrics.items() if name not in broken}

    def _finish(
        self,
        result: EpochResult,
        evaluate: bool,
        epoch_done: Callable[[pd.DataFrame], None],
        evaluated: Callable[[int, np.ndarray], None] | None,
    ) -> Embedded | None:
        """Evaluate if it is due, add the epoch to the history, and save."""
        row, taken, embedded = result.row, 0.0, None
        if evaluate:
            started = time.perf_counter()
            self.progress.evaluating()
            found = self.evaluator.evaluate(last=row["epoch"] == self.epochs)
            if evaluated is not None and found.test is not None:
                evaluated(row["epoch"], found.test)
            row, embedded = {**row, **found.metrics}, found.embedded
            self._note_collapse(row)
            taken = time.perf_counter() - started
        self.history = appended(self.history, row, result.seconds, taken, result.views)
        epoch_done(self.history)
        self.progress.epoch_ended(row)
        return embedded


def _last_finite(losses: Tensor, start: int, end: int, epoch: int) -> float:
    """Return the loss of step `end`; raise at the first from `start` on that is not finite."""
    values = losses[start:end].tolist()
    for step, value in enumerate(values, start):
        if not np.isfinite(value):
            kept = f"the checkpoint of epoch {epoch} is kept" if epoch else "no epoch was finished"
            raise RunFailed(
                f"loss is {value} at epoch {epoch + 1}, step {step + 1}; {kept}. Try a lower "
                "recipe.lr, a higher temperature or --precision fp32"
            )
    return float(values[-1])
