"""What `bench speed` leaves: a JSON record, and its tables as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.common.files import atomic_path
from benchmarks.runs.store import Environment

SCHEMA_VERSION = 1
NAME = "speed"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Part):
    """What a backbone costs and how fast the machine runs it with nothing around it."""

    backbone: str
    precision: str
    flops_per_view: float
    """Floating-point operations of one forward and backward pass, two a multiply-add."""
    embed_suite: float
    """Images a second that the evaluator embeds."""
    embed_plain: float
    """The same with per-image transforms in DataLoader workers, fp32 and eager."""
    evaluation: float
    """Seconds of one evaluation, derived from the embedding rate and the kNN's time."""
    bare: float
    """Views a second of two views' forward and backward pass, eager."""
    bare_compiled: float | None
    """The same through torch.compile; None where there is no compiler."""
    compile_seconds: float | None


class Training(_Part):
    """One method on one backbone. Rates are views a second."""

    method: str
    backbone: str
    views: int
    plain: float
    """Per-image torchvision transforms in DataLoader workers, fp32, eager."""
    suite: float
    """The trainer, with logging and, spread over an epoch, the checkpoint."""
    bare: float
    """Forward and backward pass of the network alone, at the suite's precision."""
    phases: dict[str, float]
    """Milliseconds of each phase of a step."""
    start_of_epoch: float
    """Seconds before an epoch's first step, without the pass that embeds the training images."""
    checkpoint: float
    """Seconds to save one."""
    epoch: float
    """Seconds of a whole epoch without evaluation, derived from the figures above."""
    peak_memory: float
    """Of the process (of the GPU, on one), in bytes."""


class Evaluation(_Part):
    """One part of the evaluator alone, in seconds."""

    task: str
    suite: float
    size: str
    """What `suite` was measured on."""
    reference: str
    reference_size: str
    """What the two following figures were measured on; smaller where the reference is slow."""
    suite_at_reference_size: float
    reference_seconds: float
    peak_memory: float
    """Of the process (of the GPU, on one) during `suite`, in bytes."""


class Streaming(_Part):
    """Training on large images that stay in a memory-mapped file. Rates are views a second."""

    backbone: str
    batch_size: int
    images: int
    image_size: int
    crop_size: int
    suite: float
    bare: float
    """Forward and backward pass of the network alone, at the suite's precision."""


class Scaling(_Part):
    """Milliseconds of a loss, its gradient and its memory update, by the number of instances."""

    instances: int
    npsoftmax: float
    nce: float
    invaspread: float
    """Needs no memory: the same for any number."""


class SpeedRecord(_Part):
    """The content of speed.json."""

    schema_version: int = SCHEMA_VERSION
    environment: Environment
    batch_size: int
    images: int
    test_images: int
    image_size: int
    matrix_peak: float
    """Floating-point operations a second of a large matrix product at the suite's precision."""
    networks: list[Network]
    training: list[Training]
    evaluation: list[Evaluation]
    scaling: list[Scaling]
    streaming: Streaming
    started: str
    finished: str


def write(record: SpeedRecord, results: Path) -> list[Path]:
    """Write speed.json and speed.md below `results`; returns their paths.

    Raises:
        BenchError: if a file cannot be written.
    """
    texts = {"json": record.model_dump_json(indent=2) + "\n", "md": markdown(record)}
    paths = []
    for suffix, text in texts.items():
        path = results / f"{NAME}.{suffix}"
        with atomic_path(path) as part:
            part.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def markdown(record: SpeedRecord) -> str:
    """Return the record as tables."""
    blocks = [
        "# Speed",
        f"{record.environment.device}, {record.environment.threads} threads, "
        f"{record.environment.precision}; matrix peak {record.matrix_peak / 1e9:,.0f} GFLOP/s; "
        f"batches of {record.batch_size} images of {record.image_size} pixels. Rates are views a "
        "second, measured side by side in one process. Plain: torchvision's per-image transforms "
        "in DataLoader workers, fp32, eager. Bare: the network's forward and backward pass alone. "
        "Suite and bare take turns; the fastest turn of each counts.",
    ]
    for network in record.networks:
        rows = [row for row in record.training if row.backbone == network.backbone]
        blocks += [f"## Training, {network.backbone}", _training(rows, network, record)]
        blocks.append(_compiled(network))
        blocks += [f"Milliseconds of a step's phases, {network.backbone}:", _phases(rows)]
        blocks.append(_epochs(rows, network, record))
    blocks += ["## Training on images that stay on disk", _streaming(record.streaming)]
    blocks += ["## Evaluator", _evaluation(record)]
    blocks += ["## Memory methods against the number of instances", _scaling(record)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _training(rows: Sequence[Training], network: Network, record: SpeedRecord) -> str:
    head = ("Method", "Plain", "Suite", "Bare", "Suite / plain", "Bare / plain", "Suite / bare",
            "MFU", "Memory")  # fmt: skip
    return _table(
        head,
        (
            (
                f"`{row.method}`",
                f"{row.plain:,.0f}",
                f"{row.suite:,.0f}",
                f"{row.bare:,.0f}",
                f"{row.suite / row.plain:.1f}",
                f"{row.bare / row.plain:.1f}",
                f"{row.suite / row.bare:.0%}",
                f"{row.suite * network.flops_per_view / record.matrix_peak:.0%}",
                f"{row.peak_memory / 1e9:.2f} GB",
            )
            for row in rows
        ),
    )


def _compiled(network: Network) -> str:
    if network.bare_compiled is None or network.compile_seconds is None:
        return "torch.compile: no compiler here."
    return (
        f"`--compile`: the bare network makes {network.bare_compiled:,.0f} views a second, "
        f"{network.bare_compiled / network.bare - 1:+.0%} against {network.bare:,.0f} eager in the "
        f"same minute, after {network.compile_seconds:.0f} s of compiling."
    )


def _phases(rows: Sequence[Training]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.phases))
    return _table(
        ("Method", *names),
        (
            (f"`{row.method}`", *(f"{row.phases.get(name, 0.0):.1f}" for name in names))
            for row in rows
        ),
    )


def _epochs(rows: Sequence[Training], network: Network, record: SpeedRecord) -> str:
    words = (
        f"`{row.method}` {row.epoch:,.1f} s (start of epoch {row.start_of_epoch / row.epoch:.1%}, "
        f"checkpoint {row.checkpoint / row.epoch:.2%}, evaluation "
        f"{network.evaluation / row.epoch:.0%} on top)"
        for row in rows
    )
    return (
        f"An epoch of {record.images:,} images, derived from the steps: {'; '.join(words)}. An "
        f"evaluation embeds {record.images + record.test_images:,} images and takes "
        f"{network.evaluation:,.1f} s. The start of an epoch is DeepCluster's clustering, without "
        "the pass that embeds the images."
    )


def _streaming(row: Streaming) -> str:
    return (
        f"InvaSpread on {row.backbone}, batches of {row.batch_size}, crops of {row.crop_size} out "
        f"of {row.images:,} images of {row.image_size} pixels in a memory-mapped file that the "
        f"system has in its page cache: {row.suite:,.1f} views a second, "
        f"{row.suite / row.bare:.0%} of the bare network's {row.bare:,.1f}."
    )


def _evaluation(record: SpeedRecord) -> str:
    head = ("Task", "Size", "Suite, s", "Memory", "Reference", "At size", "Reference / suite")
    rows = [
        (
            row.task,
            row.size,
            f"{row.suite:.2f}",
            f"{row.peak_memory / 1e9:.2f} GB",
            row.reference,
            row.reference_size,
            f"{row.reference_seconds / row.suite_at_reference_size:.1f}",
        )
        for row in record.evaluation
    ]
    rows += [
        (
            f"embedding, {network.backbone}",
            f"{record.images + record.test_images:,}",
            f"{(record.images + record.test_images) / network.embed_suite:.1f}",
            "",
            "DataLoader, fp32",
            "derived",
            f"{network.embed_suite / network.embed_plain:.1f}",
        )
        for network in record.networks
    ]
    return _table(head, rows)


def _scaling(record: SpeedRecord) -> str:
    table = _table(
        ("Instances", "npsoftmax, ms", "nce, ms", "invaspread, ms"),
        (
            (
                f"{row.instances:,}",
                f"{row.npsoftmax:.1f}",
                f"{row.nce:.1f}",
                f"{row.invaspread:.1f}",
            )
            for row in record.scaling
        ),
    )
    cheaper = [row.instances for row in record.scaling if row.nce < row.npsoftmax]
    word = (
        f"Sampling beats the full softmax from {min(cheaper):,} instances on."
        if cheaper
        else "Sampling does not beat the full softmax at any of these sizes."
    )
    return f"{table}\n\n{word}"
