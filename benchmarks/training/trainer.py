"""The training loop. It knows no method: a method's loss and hooks are all it calls."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.device import autocast
from benchmarks.common.errors import OutOfTime, RunFailed, UsageProblem
from benchmarks.common.profiler import Stopwatch
from benchmarks.common.seeds import derive_seed, generator
from benchmarks.data.transforms.augment import augment
from benchmarks.evaluator.per_epoch import Embedded, Evaluator, Stores
from benchmarks.training.loggers.console import Progress
from benchmarks.training.recipe import Recipe
from evaluation.backends.neighbours import search
from evaluation.validation import unit_rows
from methods import Batch, Method
from methods.testing.contract import MethodCheckError, as_metrics, not_finite

CHECK_EVERY = 20
"""Steps between two looks at the losses: each look waits for the device."""
COMPILER = "inductor"
"""Backend of torch.compile."""


def check_batch_size(method: Method | type[Method], recipe: Recipe, instances: int) -> None:
    """Raise UsageProblem if the training images do not fill the one batch a method needs."""
    if method.drop_last and recipe.batch_size > instances:
        raise UsageProblem(
            f"batch_size: expected at most {instances}, the number of training images, found "
            f"{recipe.batch_size}; set a smaller one with --set recipe.batch_size=N"
        )


class Trainer:
    """Trains one method on one set of images by one recipe.

    Args:
        method: already on `device`.
        recipe: shared by all methods of a comparison.
        images: what to train and to evaluate on.
        seed: every random number of the run follows from it.
        device: where to train.
        precision: "bf16" runs the network under autocast; losses stay in fp32.
        progress: is told of steps and epochs.
        stopwatch: is told of phases.
        compiled: whether torch.compile prepares the encoder for training; evaluation stays eager.

    Raises:
        UsageProblem: if a batch is larger than the training set.
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
        self.epochs = method.epochs(recipe.epochs)
        if self.epochs and method.views * len(images.train) == 1:
            raise UsageProblem(
                "expected at least 2 training images, as one view of one image has "
                "no batch statistics, found 1; give more images"
            )
        self.schedule = recipe.schedule_of(self.epochs) if self.epochs else None
        self.optimizer = self._build_optimizer() if self.epochs else None
        self.history = pd.DataFrame()
        self._joined_logged = False
        self.evaluator = Evaluator(method, recipe, images, seed, device, precision, compiled)

    def _build_optimizer(self) -> torch.optim.Optimizer | None:
        groups = [g for g in self.method.parameter_groups() if list(g["params"])]
        if not groups:
            return None
        return torch.optim.SGD(
            groups,
            lr=self.recipe.lr,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
            nesterov=self.recipe.nesterov,
            fused=self.device.type in ("cpu", "cuda"),
        )

    def fit(
        self,
        history: pd.DataFrame,
        epoch_done: Callable[[pd.DataFrame], None],
        deadline: float | None = None,
        evaluated: Callable[[int, np.ndarray], None] | None = None,
    ) -> Embedded:
        """Train the epochs that `history` does not hold yet; return the last embeddings.

        Args:
            history: a row per finished epoch, empty at the start.
            epoch_done: called with the longer history after each epoch, to save it.
            deadline: no epoch is started that would not end before it, as long as the last one
                took; in seconds of `time.monotonic`. One epoch is trained in any case.
            evaluated: called with the epoch and the test images' embeddings, if there are any, at
                each evaluation and before `epoch_done`.

        Raises:
            RunFailed: at the first loss that is NaN or infinite.
            OutOfTime: if the deadline comes before the last epoch.
        """
        self.history = history
        embedded: Embedded | None = None
        done = int(history["epoch"].iloc[-1]) if len(history) else 0
        if self.epochs == 0 and history.empty:
            untrained = {"epoch": 0, "loss": np.nan, "lr": 0.0}
            row, embedded = self._evaluate(untrained, 0.0, 0, evaluated)
            self._append(row, epoch_done)
        for epoch in range(done, self.epochs):
            started, embedded = time.monotonic(), None
            row, seconds, views = self.train_epoch(epoch)
            if self._evaluation_due(epoch):
                row, embedded = self._evaluate(row, seconds, views, evaluated)
            else:
                row = self._with_totals(row, seconds, 0.0, views)
            self._append(row, epoch_done)
            now = time.monotonic()
            if deadline is not None and epoch + 1 < self.epochs and 2 * now - started > deadline:
                raise OutOfTime(f"stopped after epoch {epoch + 1} of {self.epochs}")
        return embedded or self.evaluator.embed_images(pooled=True)

    def train_epoch(self, epoch: int) -> tuple[dict[str, Any], float, int]:
        """Train one epoch; returns its row, its seconds and the views that passed."""
        started = time.perf_counter()
        method, recipe = self.method, self.recipe
        lr = self._set_lr(recipe.lr * self.schedule.factor(epoch) if self.schedule else 0.0)
        torch.manual_seed(derive_seed(self.seed, epoch, "method"))
        augmentation_draws = generator(self.seed, epoch, "augmentation", self.device)
        clock = self.stopwatch
        clock.start()
        method.start_epoch(epoch, self.embed_training_images)
        method.train()
        batches = self.batches(epoch)
        losses, checked = torch.zeros(len(batches), device=self.device), 0
        self.progress.epoch_started(epoch + 1, self.epochs, len(batches))

        clock.lap("start of epoch")
        self._log_joined(batches)
        shown = self._shown(batches, epoch)
        for step, (index, images) in enumerate(zip(batches, shown, strict=True)):
            clock.lap("sampling")
            views = augment(
                images,
                recipe.augmentation,
                self.images.train.mean,
                self.images.train.std,
                augmentation_draws,
                recipe.crop_size,
            )
            batch = Batch(index, views.chunk(method.views))
            clock.lap("augmentation")
            with autocast(self.device, self.precision):
                loss = method.loss(batch)
            clock.lap("loss")
            if loss.requires_grad and self.optimizer is not None:
                loss.backward()  # type: ignore[no-untyped-call]
                clock.lap("backward")
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                clock.lap("optimiser")
            method.after_step(batch)
            clock.lap("after step")
            losses[step] = loss.detach()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == len(batches):
                self.progress.stepped(step + 1, _last_finite(losses, checked, step + 1, epoch))
                checked = step + 1
            clock.lap("logging")

        passed = sum(len(index) for index in batches)
        row = {"epoch": epoch + 1, "loss": float(losses.mean()), "lr": lr}
        row |= self._side_metrics(epoch)
        seconds = time.perf_counter() - started
        row["images_per_second"] = passed * method.views / seconds
        return row, seconds, passed * method.views

    def _side_metrics(self, epoch: int) -> dict[str, float]:
        """Return the method's own metrics of an epoch; what is not finite is left out and said."""
        try:
            metrics = as_metrics(self.method.figures())
        except MethodCheckError as error:
            raise RunFailed(f"{self.method.name}: {error}") from error
        if broken := not_finite(metrics):
            self.progress.note(
                f"{self.method.name}: figures() gave NaN or infinity for {', '.join(broken)} at "
                f"epoch {epoch + 1}; left out"
            )
        return {name: value for name, value in metrics.items() if name not in broken}

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the image numbers of each of the epoch's batches, on the training device."""
        draws = generator(self.seed, epoch, "order", torch.device("cpu"))
        order = self.method.sample(draws)
        if order is None:
            order = torch.randperm(len(self.images.train), generator=draws)
        batches = list(torch.split(order.to(self.device), self.recipe.batch_size))
        if self.method.drop_last and len(batches[-1]) < self.recipe.batch_size:
            batches.pop()
        if len(batches) > 1 and len(batches[-1]) == 1:  # one image has no batch statistics
            last = batches.pop()
            batches[-1] = torch.cat([batches[-1], last])
        return batches

    def _log_joined(self, batches: list[Tensor]) -> None:
        """Say once in what the last batch of an epoch is larger than the recipe's."""
        if self._joined_logged or len(batches[-1]) <= self.recipe.batch_size:
            return
        self._joined_logged = True
        self.progress.note(
            f"the last batch of an epoch has {len(batches[-1])} images, as the "
            "one image that is left over has no batch statistics of its own"
        )

    def _shown(self, batches: list[Tensor], epoch: int) -> Iterator[Tensor]:
        """Yield the (views * b, 3, h, w) images of which each batch shows a view, view by view."""
        train, views = self.images.train, self.method.views
        if self.recipe.positive == "self" or views != 2:
            yield from (images.repeat(views, 1, 1, 1) for images in train.stream(batches))
            return
        partners = self._partners(epoch)
        yield from train.stream([torch.cat([index, partners[index]]) for index in batches])

    def _partners(self, epoch: int) -> Tensor:
        """Return (n,) training images: each its own or, by one coin each, its nearest neighbour."""
        features = unit_rows(torch.from_numpy(self.evaluator.training_features()))
        nearest = torch.from_numpy(search(features, features, 1, exclude_self=True)[1][:, 0])
        coins = generator(self.seed, epoch, "partners", torch.device("cpu"))
        itself = torch.rand(len(nearest), generator=coins) < 0.5
        return torch.where(itself, torch.arange(len(nearest)), nearest).to(self.device)

    def _set_lr(self, lr: float) -> float:
        for group in self.optimizer.param_groups if self.optimizer else ():
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def _evaluation_due(self, epoch: int) -> bool:
        done = epoch + 1
        return done in (1, self.epochs) or done % self.recipe.evaluate_every == 0

    def _evaluate(
        self,
        row: dict[str, Any],
        seconds: float,
        views: int,
        evaluated: Callable[[int, np.ndarray], None] | None,
    ) -> tuple[dict[str, Any], Embedded | None]:
        started = time.perf_counter()
        self.progress.evaluating()
        found = self.evaluator.evaluate(last=row["epoch"] == self.epochs)
        if evaluated is not None and found.test is not None:
            evaluated(row["epoch"], found.test)
        taken = time.perf_counter() - started
        return self._with_totals({**row, **found.figures}, seconds, taken, views), found.embedded

    def embed_training_images(self) -> Tensor:
        """Return the (n, d) embeddings of the training images, on the training device."""
        return self.evaluator.embed_training_images()

    # History

    def _with_totals(
        self, row: dict[str, Any], train: float, evaluate: float, views: int
    ) -> dict[str, Any]:
        previous = self.history.iloc[-1] if len(self.history) else None
        for column, value in (
            ("images_seen", views),
            ("train_seconds", train),
            ("evaluate_seconds", evaluate),
        ):
            row[column] = value + (0 if previous is None else previous[column])
        row["images_seen"] = int(row["images_seen"])
        leading = {"epoch": row["epoch"], "knn": float("nan"), "images_per_second": float("nan")}
        return {**leading, **row}

    def _append(self, row: dict[str, Any], epoch_done: Callable[[pd.DataFrame], None]) -> None:
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        epoch_done(self.history)
        self.progress.epoch_ended(row)


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
