"""What a finished run leaves on disk: the result schema, writing it, reading one run or many."""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.backbones.weights import WeightsFacts
from benchmarks.common.errors import BenchError
from benchmarks.common.files import Unreadable as Unreadable
from benchmarks.common.files import atomic_path as atomic_path
from benchmarks.common.files import cannot_write, one_line, read_whole, unreadable
from benchmarks.common.files import set_aside as set_aside
from benchmarks.runs import paper_tables
from benchmarks.runs.record_checks import flaw_of_epochs, flaw_of_record
from benchmarks.training.slices import Slice

SCHEMA_VERSION = 1
RECORD, EPOCHS, CHECKPOINT, EMBEDDINGS, FAILED = (
    "run.json",
    "epochs.parquet",
    "checkpoint.pt",
    "embeddings.npz",
    "failed.json",
)
PART_BYTES = 64
"""Of a name inside a file's name; three of them stay far below the 255 that systems allow."""
_KEPT = frozenset(" -+_.,=@()")
PREDICTIONS = "predictions.parquet"
"""A row per test image, in order: `label` and the class that `knn` predicts; for paired tests."""
SIMILARITIES = "similarities.parquet"
"""Histograms of cosine similarities: `attribute`, `kind`, `low` (edge of the bin), `count`."""
GALLERY = "gallery.npz"
"""Pictures of a few queries with their neighbours; made of the data set's pixels, so never shared.
"""


Schema = TypeVar("Schema", bound=BaseModel)


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
    revision: int = 1
    """Of the method's results, raised by hand; those recorded without are of the first."""
    file: str | None = None
    """Where the method's class was defined; None in records of older versions."""
    sha256: str | None = None
    """Of that file, as it was imported."""
    package: str | None = None
    """The installed package that the file belongs to; None for a plug-in file."""
    version: str | None = None
    """Of the package."""


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
        return self.knn if name == paper_tables.KNN.figure else self.figures.get(name)


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
    undefined: dict[str, str] = Field(default_factory=dict)
    """Why a metric has no value on this data set, by its name; records of older versions state
    none."""
    caveats: dict[str, str] = Field(default_factory=dict)
    """What a reader of a metric's value must know, by its name, such as that k was clipped."""
    judged: Literal["embedding", "own"] | None = None
    """What was evaluated: the encoder's normalised output, or what the method's own `embed`
    returns; None in records of older versions, where it is not known."""
    final: Final
    best: Best | None
    weights: WeightsFacts | None = None
    """None if the network started from random weights."""
    images_seen: int
    """Views of training images that passed through the network."""
    seconds: Seconds
    environment: Environment
    """Of the process that wrote the record; `slices` has those of all."""
    slices: tuple[Slice, ...] = ()
    """Every process that worked on the run, in order; empty in records of older versions."""
    started: str
    finished: str

    @property
    def headline(self) -> str:
        """What the last epoch reached, in words."""
        metric = paper_tables.headline(self.dataset.unseen)
        value = self.final.value(metric.figure)
        if value is not None:
            return f"{metric.published} {value:.1f}"
        if reason := self.undefined.get(metric.figure):
            return f"{metric.published} undefined: {reason}"
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
    """Return `<dataset>-<method>-<recipe>-s<seed>-<key8>`, the names as `path_part` makes them."""
    names = "-".join(map(path_part, (dataset, method, recipe)))
    return f"{names}-s{seed}-{key[:8]}"


def path_part(name: str) -> str:
    """Return a name as a part of a file's name: it leads nowhere else and is bounded.

    Letters of any script, digits, spaces and `-+_.,=@()` stay; all else, and a point or `~` at the
    start, becomes `_`. More than PART_BYTES in UTF-8 are cut, and a digest tells such names apart.
    """
    kept = "".join(c if c.isalnum() or c in _KEPT else "_" for c in name).strip() or "_"
    if kept[0] in ".~":
        kept = f"_{kept[1:]}"
    coded = kept.encode("utf-8")
    if len(coded) <= PART_BYTES:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{coded[: PART_BYTES - 9].decode('utf-8', 'ignore')}-{digest}"


def require_writable(folder: Path) -> None:
    """Make a folder if it is not there, and see whether files can be written in it.

    Raises:
        BenchError: if not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


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
    """A file of a run that was read whole and is not what it should be."""


class NewerRecord(BenchError):
    """A record of a newer version of the suite, which this one neither reads nor replaces."""


def read_record(folder: Path) -> RunRecord | None:
    """Read a run's record; None if the run is not finished.

    Raises:
        DamagedRecord: if the file was read whole and is not a record of this schema.
        NewerRecord: if it was written by a newer version of the suite.
        Unreadable: if it cannot be read just now.
    """
    path = folder / RECORD
    text = read_whole(path)
    if text is None:
        return None
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(f"{path}: not readable as JSON ({one_line(error)})") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise NewerRecord(
            f"{path}: made by a newer version of the suite (schema version {version}, this one "
            f"reads {SCHEMA_VERSION}); upgrade it, or choose another folder with --results"
        )
    if type(version) is not int or version != SCHEMA_VERSION:
        found = one_line(version, most=40)
        raise DamagedRecord(f"{path}: expected schema version {SCHEMA_VERSION}, found {found}")
    return checked(RunRecord, content, path)


def checked(kind: type[Schema], content: Any, path: Path) -> Schema:
    """Return what a JSON file holds as a record of some kind.

    Raises:
        DamagedRecord: if fields are missing, or hold what no run leaves; the message names one.
    """
    try:
        record = kind.model_validate(content)
        flaw = flaw_of_record(record.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        flaw = ".".join(map(str, first["loc"])) + f": {first['msg']}"
    except (RecursionError, OverflowError) as error:
        flaw = one_line(error)
    if flaw:
        raise DamagedRecord(f"{path}: {one_line(flaw)}")
    return record


def read_failure(folder: Path) -> dict[str, Any] | None:
    """Return the content of failed.json, whatever its fields; None if it is not there or damaged.

    See `report.select.read_failures` for failures that are checked.
    """
    try:
        text = read_whole(folder / FAILED)
        content = None if text is None else json.loads(text)
    except (Unreadable, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_epochs(folder: Path) -> pd.DataFrame:
    """Read epochs.parquet: a row per epoch, numbers only.

    Raises:
        DamagedRecord: if it is missing, or was read whole and is not such a table.
        Unreadable: if it cannot be read just now.
    """
    path = folder / EPOCHS
    frame = read_frame(path)
    if frame is None:
        raise DamagedRecord(f"{path}: it is missing")
    if flaw := flaw_of_epochs(frame):
        raise DamagedRecord(f"{path}: {flaw}")
    return frame


def read_frame(path: Path) -> pd.DataFrame | None:
    """Read a small table of a run, such as PREDICTIONS; None if there is no such file.

    Raises:
        DamagedRecord: if it was read whole and is no table.
        Unreadable: if it cannot be read just now.
    """
    content = read_whole(path)
    if content is None:
        return None
    try:
        frame: pd.DataFrame = pd.read_parquet(io.BytesIO(content))
        if not frame.columns.is_unique:
            raise ValueError("two columns of one name")
    except MemoryError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # pyarrow fails in many ways on a cut or foreign file
        raise DamagedRecord(f"{path}: {one_line(error)}") from error
    return frame


def read_arrays(folder: Path, name: str) -> dict[str, np.ndarray] | None:
    """Read the arrays of an npz file, such as GALLERY; None if there is no such file.

    Raises:
        DamagedRecord: if it was read whole and holds no arrays.
        Unreadable: if it cannot be read just now.
    """
    path = folder / name
    content = read_whole(path)
    if content is None:
        return None
    try:
        if not content.startswith(b"PK"):
            raise ValueError("expected an npz archive")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return dict(file)
    except MemoryError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # a cut or foreign file fails in many ways
        raise DamagedRecord(f"{path}: {one_line(error)}") from error


def _unheard(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run as the report reads it."""

    folder: Path
    record: RunRecord
    epochs: pd.DataFrame
    warn: Callable[[str], None] = field(default=_unheard, compare=False)
    """Told of each further file that is left out because it cannot be read."""

    def frame(self, name: str) -> pd.DataFrame | None:
        """Return a small table of the run, such as PREDICTIONS; None if it is not there or damaged.

        The report does without: records of older versions have none.
        """
        try:
            return read_frame(self.folder / name)
        except (DamagedRecord, Unreadable) as error:
            self.warn(f"left out: {error}")
            return None

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of EMBEDDINGS or GALLERY; None if they are not there or damaged."""
        try:
            return read_arrays(self.folder, name)
        except (DamagedRecord, Unreadable) as error:
            self.warn(f"left out: {error}")
            return None


def runs_folder(results: Path) -> Path:
    """Return the folder that holds the runs' folders."""
    return results / "runs"


def run_folders(results: Path) -> list[Path]:
    """Return the runs' folders below `results`, sorted by name; none if there is no such folder.

    Raises:
        BenchError: if it is no folder, or cannot be read.
    """
    parent = runs_folder(results)
    try:
        with os.scandir(parent) as entries:
            return sorted(parent / entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BenchError(
            f"{parent}: cannot be read ({error.strerror}); choose a folder of results with "
            "--results"
        ) from error


def read_all(
    results: Path,
    warn: Callable[[str], None],
    warn_of_files: Callable[[str], None] = _unheard,
) -> list[StoredRun]:
    """Read every finished run below `results`, sorted by folder name; changes nothing on disk.

    Args:
        results: the folder that `bench run` wrote to.
        warn: told of each run that cannot be read, or is damaged, and is left out.
        warn_of_files: told, once each, of further files of the runs that are left out when they
            are asked for.
    """
    stored, told = [], set[str]()

    def warn_once(text: str) -> None:
        if text not in told:
            told.add(text)
            warn_of_files(text)

    for folder in run_folders(results):
        try:
            record = read_record(folder)
            if record is not None:
                stored.append(StoredRun(folder, record, read_epochs(folder), warn_once))
        except DamagedRecord as error:
            warn(f"left out: {error}; the command that made the run mends it")
        except (Unreadable, NewerRecord) as error:
            warn(f"left out: {error}")
    return stored
