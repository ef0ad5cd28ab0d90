"""What there is: the lines of `bench list`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks import datasets as all_datasets
from benchmarks import recipes as all_recipes
from benchmarks import records
from benchmarks import tables as all_tables
from benchmarks.errors import one_line
from benchmarks.hyper_parameters import defaults
from benchmarks.plan import LOCK
from benchmarks.session import load_plugins
from methods import get, names, registry


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def methods(plugins: Sequence[Path] = ()) -> list[str]:
    """Describe each method with its hyper-parameters, and each plug-in that failed."""
    load_plugins(plugins)
    rows = []
    for name in names(labelled=True):
        settings = ", ".join(f"{k}={v}" for k, v in defaults(get(name)).items())
        mark = " (learns from labels)" if get(name).uses_labels else ""
        rows.append((name, get(name).paper + mark, settings))
    failed = [f"{name}: not available: {why}" for name, why in registry.failures().items()]
    return _columns(rows) + failed


def datasets() -> list[str]:
    """Describe each data set."""
    return _columns((n, all_datasets.get(n).description) for n in all_datasets.names())


def recipes() -> list[str]:
    """Describe each recipe."""
    return _columns((n, all_recipes.read(n).recipe.description) for n in all_recipes.names())


def tables() -> list[str]:
    """Describe each table of the paper that the suite makes."""
    return _columns((str(t.number), t.title, _row_count(t)) for t in all_tables.TABLES.values())


def _row_count(table: all_tables.Table) -> str:
    quoted = sum(bool(row.quoted) for row in table.rows)
    return f"{len(table.rows)} rows" + (f", {quoted} of them quoted" if quoted else "")


def runs(results: Path) -> list[str]:
    """Describe each run's state."""
    folders = sorted(p for p in records.runs_folder(results).glob("*") if p.is_dir())
    return _columns((folder.name, _state(folder)) for folder in folders)


def _state(folder: Path) -> str:
    try:
        record = records.read_record(folder)
    except records.DamagedRecord as error:
        return one_line(f"damaged: {error}")
    if record is not None:
        return f"finished, {record.headline}"
    if _is_locked(folder):
        return f"in progress, {_epochs_done(folder)}"
    if (folder / records.FAILED).exists():
        return f"failed: {_failure(folder)}"
    return f"interrupted, {_epochs_done(folder)}"


def _failure(folder: Path) -> str:
    """Return why a run failed, as far as its file says."""
    try:
        content = json.loads((folder / records.FAILED).read_text(encoding="utf-8"))
        return one_line(content["message"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return f"its {records.FAILED} cannot be read; `bench run` makes the run anew"


def _is_locked(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _epochs_done(folder: Path) -> str:
    try:
        return f"{int(records.read_epochs(folder)['epoch'].iloc[-1])} epochs done"
    except (records.DamagedRecord, LookupError, ValueError, TypeError):
        return "no epoch done"
