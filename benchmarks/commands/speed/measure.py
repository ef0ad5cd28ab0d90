"""All of `bench speed`, in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from benchmarks import backbones
from benchmarks.commands.speed import plain_pipeline, training
from benchmarks.commands.speed.evaluator import Sizes, evaluator
from benchmarks.commands.speed.limits import flops_per_view, matrix_peak
from benchmarks.commands.speed.record import Evaluation, Network, SpeedRecord, Training
from benchmarks.commands.speed.scaling import INSTANCES, scaling
from benchmarks.commands.speed.streaming import streaming
from benchmarks.common.allocator import keep_freed_memory
from benchmarks.common.errors import UsageProblem
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs.plan import Choice, choose, make_plan
from benchmarks.runs.provenance import describe
from benchmarks.runs.spec import RunSpec
from benchmarks.runs.store import require_writable
from benchmarks.training import recipe as recipes

SIDE = 32
"""Pixels; CIFAR-10's."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        methods: names, or ("all",).
        backbones: networks; their recipes are the paper's with another network.
        device: where.
        precision: the suite's; the plain pipeline is always fp32.
        budget: seconds for each rate. A figure takes a step at least, whatever the budget.
        images: in the training set, which is CIFAR-10's filled with noise.
        test_images: that an evaluation embeds beside the training set.
        sizes: of what the evaluator is timed on.
        instances: numbers of instances that memory methods are timed with.
        streamed: large images in the file that training streams from.
    """

    methods: Sequence[str]
    backbones: Sequence[str]
    device: torch.device
    precision: str
    budget: float = 2.0
    images: int = 50_000
    test_images: int = 10_000
    sizes: Sizes = field(default_factory=Sizes)
    instances: Sequence[int] = INSTANCES
    streamed: int = 512


def check(settings: Settings, results: Path | None = None) -> None:
    """Refuse settings that would be found wrong only after minutes of measuring.

    Args:
        settings: of the measurement.
        results: the folder that the record is written to; it is made if it is not there.

    Raises:
        UsageProblem: if no network or method is named, or one is unknown.
        DataProblem: if a network needs pre-trained weights.
        BenchError: if nothing can be written below `results`.
    """
    if not settings.backbones:
        raise UsageProblem("--backbones: expected names of networks joined by commas, found none")
    for name in settings.backbones:
        backbones.get(name).identify(None)
    choose(settings.methods)
    if results is not None:
        require_writable(results)


def measure(settings: Settings, say: Callable[[str], None]) -> SpeedRecord:
    """Measure everything and return the record; `say` logs what comes next.

    Raises:
        BenchError: as `check`.
    """
    check(settings)
    started = datetime.now(UTC)
    device, data = settings.device, _noise(settings)
    environment = describe(device, settings.precision)
    plans = {name: _plan(settings, name, data) for name in settings.backbones}
    # First the plain pipeline, with memory handled as by default.
    plain = {}
    for run in _trained(plans):
        say(f"plain pipeline: {run.method.name}, {run.recipe.backbone}")
        plain[run.key] = training.plain_rate(run, device, settings.budget)
    embed_plain = {
        name: _plain_embedding(runs[0], device, settings.budget) for name, runs in plans.items()
    }
    if device.type == "cpu":
        keep_freed_memory()
    rows: list[Training] = []
    for run in _trained(plans):
        say(f"suite and bare network: {run.method.name}, {run.recipe.backbone}")
        rows.append(training.suite(run, device, settings.budget, plain[run.key]))
    say("images that stay on disk")
    streamed = streaming(device, settings.precision, settings.budget, settings.streamed)
    say("evaluator")
    evaluation = evaluator(device, sizes=settings.sizes)
    networks = [
        _network(runs[0], embed_plain[name], evaluation[0], settings)
        for name, runs in plans.items()
    ]
    say("memory methods against the number of instances")
    example = plans[settings.backbones[0]][0].recipe
    return SpeedRecord(
        environment=environment,
        batch_size=example.batch_size,
        images=settings.images,
        test_images=settings.test_images,
        image_size=SIDE,
        matrix_peak=matrix_peak(device, settings.precision),
        networks=networks,
        training=rows,
        evaluation=evaluation,
        scaling=scaling(
            device,
            example.batch_size,
            example.embedding_size,
            settings.budget / 4,
            settings.instances,
        ),
        streaming=streamed,
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _noise(settings: Settings) -> ImageData:
    """Return images of noise: what a pixel shows costs no time."""
    generator = np.random.default_rng(0)

    def split(count: int) -> Split:
        pixels = generator.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        return Split(pixels, np.arange(count) % 10)

    third = (0.5, 0.5, 0.5)
    names = tuple(map(str, range(10)))
    return ImageData(
        "noise", split(settings.images), split(settings.test_images), names, third, third, "0"
    )


def _plan(settings: Settings, backbone: str, data: ImageData) -> list[RunSpec]:
    changes = {"recipe": {"backbone": backbone}}
    recipe = recipes.read("paper").recipe
    choices: list[Choice] = choose(settings.methods)
    return make_plan(choices, lambda *_: data, recipe, 1, changes, settings.precision)


def _trained(plans: dict[str, list[RunSpec]]) -> Iterator[RunSpec]:
    return (run for runs in plans.values() for run in runs if run.method.name != "random-cnn")


def _plain_embedding(run: RunSpec, device: torch.device, budget: float) -> float:
    trainer = training.excerpt(run, device)
    data = run.data.load()
    transform = plain_pipeline.evaluation_transform(data.mean, data.std)
    views = plain_pipeline.Views(data.train.images, transform, 1)
    encoder = trainer.method.encoder.to(memory_format=torch.contiguous_format)
    return plain_pipeline.embedding_rate(encoder, views, 128, device, budget)


def _network(run: RunSpec, embed_plain: float, knn: Evaluation, settings: Settings) -> Network:
    rate = training.embedding_rate(run, settings.device, settings.budget)
    encoder = backbones.get(run.recipe.backbone)(run.recipe.embedding_size)
    eager, compiled, compiling = training.compiled_rate(run, settings.device, settings.budget)
    return Network(
        backbone=run.recipe.backbone,
        precision=run.precision,
        flops_per_view=flops_per_view(encoder, SIDE),
        embed_suite=rate,
        embed_plain=embed_plain,
        evaluation=(settings.images + settings.test_images) / rate + knn.suite,
        bare=eager,
        bare_compiled=compiled,
        compile_seconds=compiling,
    )
