"""What a finished run leaves on disk: the result schema, atomic writes, reading many."""

import errno
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks import tables
from benchmarks.backbones.weights import WeightsFacts
from benchmarks.errors import BenchError

SCHEMA_VERSION = 1
RECORD, EPOCHS, CHECKPOINT, EMBEDDINGS, FAILED = (
    "run.json",
    "epochs.parquet",
    "checkpoint.pt",
    "embeddings.npz",
    "failed.json",
)
PREDICTIONS = "predictions.parquet"
"""A row per test image, in order: `label` and the class that `knn` predicts; for paired tests."""
SIMILARITIES = "similarities.parquet"
"""Histograms of cosine similarities: `attribute`, `kind`, `low` (edge of the bin), `count`."""
GALLERY = "gallery.npz"
"""Pictures of a few queries with their neighbours; made of the data set's pixels, so never shared.
"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodFacts(_Part):
    """Which method ran, with every hyper-parameter, defaults included."""

    name: str
    paper: str
    hyper_parameters: dict[str, Any] = Field(default_factory=dict)
    changed: dict[str, Any] = Field(default_factory=dict)
    """The hyper-parameters that differ from the method's defaults."""
    uses_labels: bool = False
    """Whether it learns from labels: an upper bound, not one of the compared methods."""


class DatasetFacts(_Part):
    """Which images were used."""

    name: str
    digest: str
    train_images: int
    test_images: int
    classes: int
    image_size: int
    labelled: bool
    split: str = "train"
    """Which of the data set's training splits."""
    bank_images: int | None = None
    """Images that the kNN classifier compares with; None: the training images."""
    unseen: bool = False
    """Whether no class of the test images is in the training set."""
    partial: bool = False
    """Whether the data set was not there as a whole."""
    understood: tuple[str, ...] = ()
    """How files were read whose layout no data set prescribes."""
    notes: tuple[str, ...] = ()
    """What else was said of the images before training."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """How many files were not used, by reason."""
    path: str = ""
    """The user's own folder that was read; it may have moved since."""

    def identity(self) -> dict[str, Any]:
        """Return what tells images apart: all but how and where they were read."""
        return self.model_dump(exclude={"understood", "notes", "left_out", "path"})


class Final(_Part):
    """Figures after the last epoch: the headline. Percentages, 0-100."""

    epoch: int
    knn: float | None = None
    figures: dict[str, float] = Field(default_factory=dict)
    """Side figures such as `memory_knn`, `pooled_knn` and the method's own."""

    def value(self, name: str) -> float | None:
        """Return `knn` or the side figure of this name, or None if it was not measured."""
        return self.knn if name == tables.KNN.figure else self.figures.get(name)


class Best(_Part):
    """The best epoch's headline: chosen on the test set, so shown beside, never instead.

    It is the kNN accuracy, or Recall@1 where the test images are of unseen classes.
    """

    epoch: int
    knn: float | None = None
    recall_at_1: float | None = None


class Environment(_Part):
    """Where the run was made."""

    python: str
    platform: str
    device: str
    precision: Literal["fp32", "bf16"]
    compiled: bool = False
    """Whether torch.compile prepared the encoder for training."""
    threads: int
    packages: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None


class Seconds(_Part):
    """Wall-clock time, in seconds, summed over all the processes that worked on the run."""

    train: float
    evaluate: float


class RunRecord(_Part):
    """The content of run.json."""

    schema_version: int = SCHEMA_VERSION
    key: str
    method: MethodFacts
    dataset: DatasetFacts
    recipe: dict[str, Any]
    """The whole recipe as it was used; `name` is its name."""
    recipe_changed: dict[str, Any] = Field(default_factory=dict)
    """Fields of the recipe that the command changed (`--epochs`, `--set recipe.x=`)."""
    seed: int
    protocols: dict[str, str]
    """Protocol of each metric, such as {"knn": "knn-200-0.1"}."""
    final: Final
    best: Best | None
    weights: WeightsFacts | None = None
    """None if the network started from random weights."""
    images_seen: int
    """Views of training images that passed through the network."""
    seconds: Seconds
    environment: Environment
    started: str
    finished: str

    @property
    def headline(self) -> str:
        """What the last epoch reached, in words."""
        metric = tables.headline(self.dataset.unseen)
        value = self.final.value(metric.figure)
        if value is not None:
            return f"{metric.published} {value:.1f}"
        if not self.dataset.labelled:
            return "no labels"
        return f"{metric.published} not measured" if self.dataset.test_images else "no test images"

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return folder_name(
            self.dataset.name, self.method.name, self.recipe["name"], self.seed, self.key
        )


def folder_name(dataset: str, method: str, recipe: str, seed: int, key: str) -> str:
    """Return `<dataset>-<method>-<recipe>-s<seed>-<key8>`."""
    return f"{dataset}-{method}-{recipe}-s{seed}-{key[:8]}"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` when the block ends well.

    Nothing half-written is ever seen under the target's name; a failure leaves the old file.

    Raises:
        BenchError: if the disk is full or the folder cannot be written; the message says which.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    except RuntimeError as error:  # torch.save reports a failed write so
        if "file write failed" in str(error) or "enforce fail" in str(error):
            full = OSError(errno.ENOSPC, "the file could not be written whole")
            raise _cannot_write(target, full) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _cannot_write(target: Path, error: OSError) -> BenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BenchError(
            f"disk full while writing {target}: {error.strerror}; free some space and give the "
            "same command again, it goes on from the last complete epoch"
        )
    return BenchError(
        f"cannot write {target}: {error.strerror or error}; choose another folder with --results"
    )


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json atomically."""
    with atomic_path(folder / RECORD) as part:
        part.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def write_epochs(folder: Path, epochs: pd.DataFrame) -> None:
    """Write epochs.parquet atomically: a row per epoch."""
    write_frame(folder, EPOCHS, epochs)


def write_frame(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Write a small table of a run atomically, such as PREDICTIONS."""
    with atomic_path(folder / name) as part:
        frame.to_parquet(part, index=False)


def write_embeddings(folder: Path, **arrays: np.ndarray) -> None:
    """Write embeddings.npz atomically (embeddings in half precision: they are for figures)."""
    halved = {
        name: array.astype(np.float16) if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }
    write_arrays(folder, EMBEDDINGS, halved)


def write_arrays(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of an npz file atomically, such as GALLERY."""
    with atomic_path(folder / name) as part, part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


class DamagedRecord(BenchError):
    """A run.json that cannot be read as a record."""


def read_record(folder: Path) -> RunRecord | None:
    """Read a run's record; None if the run is not finished.

    Raises:
        DamagedRecord: if the file is there but is not a record of this schema.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedRecord(f"{path}: not readable as JSON ({error})") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DamagedRecord(f"{path}: expected schema version {SCHEMA_VERSION}, found {version}")
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DamagedRecord(f"{path}: {place}: {first['msg']}") from error


def read_epochs(folder: Path) -> pd.DataFrame:
    """Read epochs.parquet.

    Raises:
        DamagedRecord: if it is missing or unreadable.
    """
    path = folder / EPOCHS
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise DamagedRecord(f"{path}: {str(error).splitlines()[0]}") from error


def read_arrays(folder: Path, name: str) -> dict[str, np.ndarray] | None:
    """Return the arrays of an npz file, such as GALLERY; None if it is not there or damaged."""
    try:
        with np.load(folder / name, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged` (numbered if taken) and return its new path."""
    target = path.with_name(path.name + ".damaged")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(target)
    return target


@dataclass(frozen=True)
class StoredRun:
    """A finished run as the report reads it."""

    folder: Path
    record: RunRecord
    epochs: pd.DataFrame

    def frame(self, name: str) -> pd.DataFrame | None:
        """Return a small table of the run, such as PREDICTIONS; None if it is not there or damaged.

        The report does without: records of older versions have none.
        """
        try:
            return pd.read_parquet(self.folder / name)
        except (OSError, ValueError):  # pyarrow's errors derive from these
            return None

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of EMBEDDINGS or GALLERY; None if they are not there or damaged."""
        return read_arrays(self.folder, name)


def runs_folder(results: Path) -> Path:
    """Return the folder that holds the runs' folders."""
    return results / "runs"


def read_all(results: Path, warn: Callable[[str], None]) -> list[StoredRun]:
    """Read every finished run below `results`, sorted by folder name.

    A damaged record is named through `warn`, set aside where the folder allows it, and left out.
    """
    stored = []
    for folder in sorted(p for p in runs_folder(results).glob("*") if p.is_dir()):
        try:
            record = read_record(folder)
            if record is not None:
                stored.append(StoredRun(folder, record, read_epochs(folder)))
        except DamagedRecord as error:
            warn(f"left out: {error}; {_put_away(folder)}")
    return stored


def _put_away(folder: Path) -> str:
    try:
        return f"set aside as {set_aside(folder / RECORD).name}; `bench run` makes it anew"
    except OSError:
        return "remove it, then `bench run` makes it anew"
