"""The training loop. It knows no method: a method's loss and hooks are all it calls."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.augment import Augmentation, augment
from benchmarks.datasets.base import RECALLS
from benchmarks.errors import OutOfTime, RunFailed, UsageProblem
from benchmarks.images import ImageStore
from benchmarks.progress import Progress
from benchmarks.recipes import Recipe
from benchmarks.stopwatch import Stopwatch
from evaluation.arrays import unit_rows
from evaluation.knn import knn_accuracy
from evaluation.nearest import search
from evaluation.retrieval import recall_at_k
from methods import Batch, Method

CHECK_EVERY = 20
"""Steps between two looks at the losses: each look waits for the device."""
EVALUATION_BATCH, EVALUATION_PIXELS = 1000, 1 << 23
"""Most images, and most pixels of images, that are embedded at a time."""
COMPILER = "inductor"
"""Backend of torch.compile."""


@dataclass(frozen=True)
class Embedded:
    """Embeddings of one evaluation, fp32 on the CPU."""

    bank: np.ndarray
    """Of the images that the kNN classifier compares with: the training set, if it is labelled."""
    test: np.ndarray | None
    bank_pooled: np.ndarray | None = None
    """The backbone's pooled features before the embedding layer, if they were asked for."""
    test_pooled: np.ndarray | None = None


@dataclass(frozen=True)
class Stores:
    """The images of a run.

    Attributes:
        train: what is learned from.
        bank: what the kNN classifier compares with: the same store as `train`, or a labelled one.
        test: what is classified; None if there is nothing to evaluate on.
        unseen: whether the test classes are others than the bank's, which cannot vote on them then;
            test images are retrieved from among themselves instead.
        recalls: how many neighbours count for recall then.
    """

    train: ImageStore
    bank: ImageStore
    test: ImageStore | None
    unseen: bool = False
    recalls: tuple[int, ...] = RECALLS


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part; different parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


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
        self.compiled = compiled
        if compiled:
            method.encoder.compile(backend=COMPILER)
        self.recipe, self.seed, self.progress = recipe, seed, progress
        self.images, self.stopwatch = images, stopwatch or Stopwatch()
        self.device, self.precision = device, precision
        self.epochs = method.epochs(recipe.epochs)
        self.optimizer = self._build_optimizer() if self.epochs else None
        self.history = pd.DataFrame()

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
        self._evaluated = evaluated
        embedded: Embedded | None = None
        done = int(history["epoch"].iloc[-1]) if len(history) else 0
        if self.epochs == 0 and history.empty:
            row, embedded = self._evaluate({"epoch": 0, "loss": np.nan, "lr": 0.0}, 0.0, 0)
            self._append(row, epoch_done)
        for epoch in range(done, self.epochs):
            started, embedded = time.monotonic(), None
            row, seconds, views = self.train_epoch(epoch)
            if self._evaluation_due(epoch):
                row, embedded = self._evaluate(row, seconds, views)
            else:
                row = self._with_totals(row, seconds, 0.0, views)
            self._append(row, epoch_done)
            now = time.monotonic()
            if deadline is not None and epoch + 1 < self.epochs and 2 * now - started > deadline:
                raise OutOfTime(f"stopped after epoch {epoch + 1} of {self.epochs}")
        return embedded or self.embed_images(pooled=True)

    def train_epoch(self, epoch: int) -> tuple[dict[str, Any], float, int]:
        """Train one epoch; returns its row, its seconds and the views that passed."""
        started = time.perf_counter()
        method, recipe = self.method, self.recipe
        lr = self._set_lr(recipe.lr_at(epoch))
        torch.manual_seed(derive_seed(self.seed, epoch, "method"))
        augmentation_draws = self._generator(epoch, "augmentation", self.device)
        clock = self.stopwatch
        clock.start()
        method.start_epoch(epoch, self.embed_training_images)
        method.train()
        batches = self.batches(epoch)
        losses, checked = torch.zeros(len(batches), device=self.device), 0
        self.progress.epoch_started(epoch + 1, self.epochs, len(batches))

        clock.lap("start of epoch")
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
            with self._autocast():
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
        row = {"epoch": epoch + 1, "loss": float(losses.mean()), "lr": lr, **method.figures()}
        seconds = time.perf_counter() - started
        row["images_per_second"] = passed * method.views / seconds
        return row, seconds, passed * method.views

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the image numbers of each of the epoch's batches, on the training device."""
        generator = self._generator(epoch, "order", torch.device("cpu"))
        order = self.method.sample(generator)
        if order is None:
            order = torch.randperm(len(self.images.train), generator=generator)
        batches = list(torch.split(order.to(self.device), self.recipe.batch_size))
        if self.method.drop_last and len(batches[-1]) < self.recipe.batch_size:
            batches.pop()
        return batches

    def _shown(self, batches: list[Tensor], epoch: int) -> Iterator[Tensor]:
        """Yield the (views * b, 3, h, w) images of which each batch shows a view, view by view."""
        train, views = self.images.train, self.method.views
        if self.recipe.partners == "itself" or views != 2:
            yield from (images.repeat(views, 1, 1, 1) for images in train.stream(batches))
            return
        partners = self._partners(epoch)
        yield from train.stream([torch.cat([index, partners[index]]) for index in batches])

    def _partners(self, epoch: int) -> Tensor:
        """Return (n,) training images: each its own or, by one coin each, its nearest neighbour."""
        embeddings, pooled = self._embed_store(self.images.train, pooled=True)
        features = unit_rows(torch.from_numpy(embeddings if pooled is None else pooled))
        nearest = torch.from_numpy(search(features, features, 1, exclude_self=True)[1][:, 0])
        coins = self._generator(epoch, "partners", torch.device("cpu"))
        itself = torch.rand(len(nearest), generator=coins) < 0.5
        return torch.where(itself, torch.arange(len(nearest)), nearest).to(self.device)

    def _set_lr(self, lr: float) -> float:
        for group in self.optimizer.param_groups if self.optimizer else ():
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def _generator(self, epoch: int, purpose: str, device: torch.device) -> torch.Generator:
        return torch.Generator(device).manual_seed(derive_seed(self.seed, epoch, purpose))

    def _eager(self) -> AbstractContextManager[object]:
        """Compiled code would be made anew for evaluation, and pass over hooks."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    # Evaluation

    def _evaluation_due(self, epoch: int) -> bool:
        done = epoch + 1
        return done in (1, self.epochs) or done % self.recipe.evaluate_every == 0

    def _evaluate(
        self, row: dict[str, Any], seconds: float, views: int
    ) -> tuple[dict[str, Any], Embedded | None]:
        started = time.perf_counter()
        self.progress.evaluating()
        last = row["epoch"] == self.epochs
        embedded: Embedded | None = None
        if self.images.unseen and not last:  # only the test images are judged
            test = self._embed_test()
        else:
            embedded = self.embed_images(pooled=last)
            test = embedded.test
            memory = self.method.memory()
            row = {**row, "knn": self._knn(embedded.bank, test)}
            if memory is not None and self.images.bank is self.images.train:
                row["memory_knn"] = self._knn(memory.detach().float().cpu().numpy(), test)
        row |= self._recalls(test)
        if self._evaluated is not None and test is not None:
            self._evaluated(row["epoch"], test)
        return self._with_totals(row, seconds, time.perf_counter() - started, views), embedded

    def _recalls(self, queries: np.ndarray | None) -> dict[str, float]:
        """Return R@K of the test images among themselves, if their classes are unseen ones."""
        test = self.images.test
        if not self.images.unseen or queries is None or test is None or test.labels is None:
            return {}
        recalls = recall_at_k(queries, test.labels, self.images.recalls)
        return {f"recall_at_{k}": recall for k, recall in recalls.items()}

    def _knn(self, bank: np.ndarray, queries: np.ndarray | None) -> float:
        bank_labels = self.images.bank.labels
        query_labels = self.images.test.labels if self.images.test is not None else None
        if self.images.unseen or queries is None or bank_labels is None or query_labels is None:
            return float("nan")
        return knn_accuracy(
            bank,
            bank_labels,
            queries,
            query_labels,
            k=self.recipe.knn_k,
            temperature=self.recipe.knn_temperature,
        )

    def pooled_knn(self, embedded: Embedded) -> float | None:
        """Return the kNN accuracy of the backbone's pooled features, if it has them."""
        if embedded.bank_pooled is None:
            return None
        return self._knn(embedded.bank_pooled, embedded.test_pooled)

    def embed_images(self, pooled: bool = False) -> Embedded:
        """Embed the bank's and the test images in evaluation mode with the test transform.

        Args:
            pooled: whether to keep what enters the encoder's `head` too; costs no second pass.
        """
        bank, bank_pooled = self._embed_store(self.images.bank, pooled)
        if self.images.test is None:
            return Embedded(bank, None, bank_pooled)
        test, test_pooled = self._embed_store(self.images.test, pooled)
        return Embedded(bank, test, bank_pooled, test_pooled)

    def _embed_test(self) -> np.ndarray | None:
        return None if self.images.test is None else self._embed_store(self.images.test, False)[0]

    def embed_two_views(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Embed two views of at most `count` test images (training images if there are none).

        The images are spread evenly over the set. The views are drawn by the default augmentation
        whatever the recipe trains with, so that runs compare; (n, d) each, fp32 on the CPU.
        """
        store = self.images.test or self.images.train
        chosen = torch.arange(0, len(store), -(-len(store) // count))
        draws = self._generator(0, "two views", self.device)
        first: list[Tensor] = []
        second: list[Tensor] = []
        with self._evaluation_mode():
            for images in store.stream(torch.split(chosen, self._embedded_together(store))):
                for kept in (first, second):
                    views = augment(
                        images, Augmentation(), store.mean, store.std, draws, self.recipe.crop_size
                    )
                    kept.append(self.method.embed(views).float().cpu())
        return torch.cat(first).numpy(), torch.cat(second).numpy()

    def _embed_store(self, store: ImageStore, pooled: bool) -> tuple[np.ndarray, np.ndarray | None]:
        kept: list[Tensor] = []
        head = getattr(self.method.encoder, "head", None) if pooled else None
        hook = None
        if isinstance(head, nn.Module):
            hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].float()))
        try:
            with self._evaluation_mode():
                embeddings = self._embed(store)
        finally:
            if hook is not None:
                hook.remove()
        return embeddings.cpu().numpy(), torch.cat(kept).cpu().numpy() if kept else None

    def embed_training_images(self) -> Tensor:
        """Return the (n, d) embeddings of the training images, on the training device."""
        with self._evaluation_mode():
            return self._embed(self.images.train)

    def _embed(self, store: ImageStore) -> Tensor:
        together = self._embedded_together(store)
        return store.embed(self.method.embed, together, self.recipe.crop_size)

    def _embedded_together(self, store: ImageStore) -> int:
        """Return how many images are embedded at a time, fewer of large ones."""
        height, width = store.images.shape[2:]
        return max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (height * width)))

    @contextmanager
    def _evaluation_mode(self) -> Iterator[None]:
        was_training = self.method.training
        self.method.eval()
        try:
            with torch.no_grad(), self._autocast(), self._eager():
                yield
        finally:
            self.method.train(was_training)

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
            raise RunFailed(
                f"loss is {value} at epoch {epoch + 1}, step {step + 1}; the checkpoint of epoch "
                f"{epoch} is kept. Try a lower recipe.lr, a higher temperature or --precision fp32"
            )
    return float(values[-1])
