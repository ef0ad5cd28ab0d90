"""The trainer's own speed: its real loop on a few steps of an epoch, phase by phase."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import backbones
from benchmarks.commands.speed import memory, plain_pipeline
from benchmarks.commands.speed.limits import Bare
from benchmarks.commands.speed.record import Training
from benchmarks.commands.speed.timing import repeated, seconds
from benchmarks.common.profiler import Stopwatch
from benchmarks.data.datasets.base import Split
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext, build_trainer
from benchmarks.runs.images import ImageRequest
from benchmarks.runs.spec import DatasetSpec, RunSpec
from benchmarks.training import checkpoint
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.trainer import Trainer
from methods.base import TrainingSet, views_of

ROUNDS = 4
"""The suite and the bare network take turns so often; the fastest turns of both are compared, as
whatever else the machine does can only slow them down."""
ONCE_AN_EPOCH = "start of epoch"
EMBEDDED = 2000
"""Images that are embedded to measure the evaluator's rate."""


class Excerpt(Trainer):
    """Trains the first steps of each epoch, without a pass over all images before it."""

    steps = 1

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the first batches."""
        return super().batches(epoch)[: self.steps]

    def training_set(self) -> TrainingSet:
        """Return random rows: the pass over all images is measured by itself."""
        return RandomRows(self)


@dataclass(frozen=True)
class RandomRows:
    """A training set whose rows are random, of the shapes that the encoder gives."""

    trainer: Trainer

    def features(self) -> Tensor:
        """Return (n, feature_size)."""
        return self._rows(self.trainer.method.backbone.feature_size)

    def embeddings(self) -> Tensor:
        """Return (n, d), of unit norm."""
        return F.normalize(self._rows(self.trainer.recipe.embedding_size))

    def _rows(self, width: int) -> Tensor:
        device = self.trainer.device
        draws = torch.Generator(device).manual_seed(0)
        shape = len(self.trainer.images.train), width
        return torch.randn(shape, generator=draws, device=device)


def plain_rate(run: RunSpec, device: torch.device, budget: float) -> float:
    """Return the views a second of the plain pipeline with the run's method and network."""
    trainer = excerpt(replace(run, precision="fp32"), device)
    trainer.method.to(memory_format=torch.contiguous_format)
    trainer.start(0)
    data, recipe = run.data.load(), run.recipe
    transform = plain_pipeline.training_transform(
        data.image_size, recipe.augmentation, data.mean, data.std
    )
    views = plain_pipeline.Views(data.train.images, transform, len(trainer.views))
    return plain_pipeline.training_rate(trainer.method, recipe, views, device, budget)


def excerpt(run: RunSpec, device: torch.device) -> Excerpt:
    """Return the run's trainer at its start."""
    trainer = build_trainer(run, null_context(device), Excerpt)
    if not isinstance(trainer, Excerpt):
        raise TypeError(f"expected an Excerpt, got {type(trainer).__name__}")
    return trainer


def null_context(device: torch.device) -> RunContext:
    """Return a context that writes nothing and says nothing."""
    return RunContext(Path(), device, PlainProgress(lambda text: None))


def embedding_rate(run: RunSpec, device: torch.device, budget: float) -> float:
    """Return the images a second that the evaluator embeds, after a warm-up."""
    whole = run.data.load()
    data = replace(whole, train=Split(whole.train.images[:EMBEDDED], None), test=None)
    spec = DatasetSpec.of(ImageRequest(lambda *_: data), data)
    trainer = build_trainer(replace(run, data=spec), null_context(device))
    return EMBEDDED / repeated(trainer.evaluator.embedder.training_embeddings, device, budget)


def compiled_rate(
    run: RunSpec, device: torch.device, budget: float
) -> tuple[float, float | None, float | None]:
    """Return the bare network's views a second, eager and compiled, and the seconds to compile.

    The last two are None where compiling fails, for want of a compiler.
    """
    bare = _bare(run, device)
    views = len(bare.images)
    eager = views / repeated(bare, device, budget)
    bare.encoder.compile()
    try:
        compiling = seconds(bare, device)
    except Exception:  # which one depends on what is missing, and on torch's version
        return eager, None, None
    return eager, views / repeated(bare, device, budget), compiling


def suite(run: RunSpec, device: torch.device, budget: float, plain: float) -> Training:
    """Return the suite's figures on one method, side by side with the bare network's.

    Args:
        run: what to train, on as many images as a real run has.
        device: where.
        budget: seconds that the suite and the bare network get, together.
        plain: the plain pipeline's rate, for the row.
    """
    memory.forget_peak(device)
    trainer = excerpt(run, device)
    trainer.stopwatch = Stopwatch(device)
    _lap_at_encoder(trainer)
    bare = _bare(run, device)
    trainer.train_epoch(0)  # warm-up
    trainer.steps = max(1, round(budget / (2 * ROUNDS + 1) / seconds(bare, device)))
    starts, turns, bares = [], [], []
    for epoch in range(1, ROUNDS + 1):
        trainer.train_epoch(epoch)
        phases = trainer.stopwatch.seconds()
        starts.append(phases.pop(ONCE_AN_EPOCH))
        turns.append({name: value / trainer.steps for name, value in phases.items()})
        bares.append(seconds(bare, device, trainer.steps))
    fastest = min(turns, key=lambda phases: sum(phases.values()))
    step = sum(fastest.values())
    start, saved = min(starts), _checkpoint_seconds(trainer, run, device)
    views = run.recipe.batch_size * len(trainer.views)
    training = step * _steps(run) + saved
    return Training(
        method=run.method.name,
        backbone=run.recipe.backbone,
        views=len(trainer.views),
        plain=plain,
        suite=_steps(run) * views / training,
        bare=views / min(bares),
        phases={name: 1000 * value for name, value in fastest.items()},
        start_of_epoch=start,
        checkpoint=saved,
        epoch=training + start,
        peak_memory=memory.peak(device),
    )


def _steps(run: RunSpec) -> int:
    """Return the steps of a whole epoch, its last, smaller batch left out."""
    return int(run.data.facts()["train_images"]) // run.recipe.batch_size


def _lap_at_encoder(trainer: Trainer) -> None:
    """Tell the network's forward pass from the rest of the loss."""
    encoder, clock = trainer.method.encoder, trainer.stopwatch
    encoder.register_forward_pre_hook(lambda *_: clock.lap("loss"))
    encoder.register_forward_hook(lambda *_: clock.lap("forward"))


def _bare(run: RunSpec, device: torch.device) -> Bare:
    """Return the bare pass of the run's network on as many images as a step has."""
    side = run.recipe.crop_size or run.data.image_size
    views = len(views_of(run.method.views))
    shape = run.recipe.batch_size * views, 3, side, side
    images = torch.randn(shape, device=device).to(memory_format=torch.channels_last)
    encoder = backbones.get(run.recipe.backbone)(run.recipe.embedding_size).to(device)
    return Bare(encoder.to(memory_format=torch.channels_last), images, run.precision)


def _checkpoint_seconds(trainer: Trainer, run: RunSpec, device: torch.device) -> float:
    history = pd.DataFrame([{"epoch": 1, "loss": 1.0, "knn": 50.0, "images_seen": 1}])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def save() -> None:
            checkpoint.save(folder, run.key, trainer.method, trainer.optimizer, history)
            store.write_epochs(folder, history)

        return seconds(save, device, repeats=3)
