"""The files of a finished run: writing them, reading those of one run or of many."""

import io
import json
import os
import tempfile
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from benchmarks.common.errors import BenchError
from benchmarks.common.files import Unreadable as Unreadable
from benchmarks.common.files import atomic_path as atomic_path
from benchmarks.common.files import cannot_write, one_line, read_whole, unreadable
from benchmarks.common.files import set_aside as set_aside
from benchmarks.runs.folder_names import folder_name as folder_name
from benchmarks.runs.folder_names import path_part as path_part
from benchmarks.runs.record import KEY_SCHEMA as KEY_SCHEMA
from benchmarks.runs.record import SCHEMA_VERSION as SCHEMA_VERSION
from benchmarks.runs.record import DatasetFacts as DatasetFacts
from benchmarks.runs.record import Environment as Environment
from benchmarks.runs.record import RunRecord as RunRecord
from benchmarks.runs.record_checks import flaw_of_record
from benchmarks.runs.upgrade import upgrade
from benchmarks.training.history import CHECKPOINT as CHECKPOINT
from benchmarks.training.history import flaw_of_epochs

if TYPE_CHECKING:
    import pandas as pd

RECORD, EPOCHS, EMBEDDINGS, FAILED = (
    "run.json",
    "epochs.parquet",
    "embeddings.npz",
    "failed.json",
)
PREDICTIONS = "predictions.parquet"
"""A row per test image, in order: `label` and the class that `knn` predicts; for paired tests."""
SIMILARITIES = "similarities.parquet"
"""Histograms of cosine similarities: `attribute`, `kind`, `low` (edge of the bin), `count`."""
GALLERY = "gallery.npz"
"""Images of a few queries with their neighbours; made of the data set's pixels, so never shared.
"""
SHARED = (RECORD, EPOCHS, PREDICTIONS, SIMILARITIES, FAILED)
"""What a report is made of, some kilobytes a run; no checkpoint, no embedding, no pixel."""

Schema = TypeVar("Schema", bound=BaseModel)


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


def write_epochs(folder: Path, epochs: "pd.DataFrame") -> None:
    """Write epochs.parquet atomically: a row per epoch."""
    write_frame(folder, EPOCHS, epochs)


def write_frame(folder: Path, name: str, frame: "pd.DataFrame") -> None:
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
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        found = one_line(version, most=40)
        raise DamagedRecord(f"{path}: expected schema version 1 to {SCHEMA_VERSION}, found {found}")
    try:
        content = upgrade(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"not a record of schema version {version} ({one_line(error)})"
        raise DamagedRecord(f"{path}: {reason}") from error
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


def read_epochs(folder: Path) -> "pd.DataFrame":
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


def epochs_done(folder: Path) -> int | None:
    """Return the last epoch of epochs.parquet, read without pandas; None if it is missing or empty.

    Raises:
        DamagedRecord: if it was read whole and is not a table with a column of epochs.
        Unreadable: if it cannot be read just now.
    """
    path = folder / EPOCHS
    content = read_whole(path)
    if content is None:
        return None
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(content))  # read_table would load pandas
        epochs = file.read(["epoch"], use_threads=False)["epoch"]
        return int(epochs[-1].as_py()) if len(epochs) else None
    except MemoryError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # pyarrow fails in many ways on a cut or foreign file
        raise DamagedRecord(f"{path}: {one_line(error)}") from error


def read_frame(path: Path) -> "pd.DataFrame | None":
    """Read a small table of a run, such as PREDICTIONS; None if there is no such file.

    Raises:
        DamagedRecord: if it was read whole and is no table.
        Unreadable: if it cannot be read just now.
    """
    content = read_whole(path)
    if content is None:
        return None
    import pandas as pd  # at need: commands that only list runs do without

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
    epochs: "pd.DataFrame"
    warn: Callable[[str], None] = field(default=_unheard, compare=False)
    """Told of each further file that is left out because it cannot be read."""
    derived: dict[Hashable, "pd.DataFrame"] = field(default_factory=dict, compare=False, repr=False)
    """Tables that were made of its epochs, kept because several sections want the same ones."""

    def frame(self, name: str) -> "pd.DataFrame | None":
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
