"""What there is: the lines of `bench list`."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import backbones as all_backbones
from benchmarks.common.errors import MethodProblem, one_line
from benchmarks.data import datasets as all_datasets
from benchmarks.runs import paper_tables as all_tables
from benchmarks.runs import store
from benchmarks.runs.lock import is_locked
from benchmarks.runs.plugins import load_plugins
from benchmarks.training import recipe as all_recipes
from benchmarks.training.recipe.overrides import declared, defaults
from methods import get, names
from methods.base import FAMILIES, registry
from methods.testing.contract import MethodCheckError, check_declaration


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def methods(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield the methods with their hyper-parameters by family, and the plug-ins that failed.

    Raises:
        MethodProblem: after the last line, if one of the given plug-ins failed.
    """
    broken = load_plugins(plugins)
    failed = {**broken, **registry.failures()}
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for name in names(labelled=True):
        try:
            values = declared(get(name), defaults(get(name)))
            check_declaration(get(name))
        except (MethodProblem, MethodCheckError) as error:
            failed[name] = str(error)
            continue
        settings = ", ".join(f"{k}={v}" for k, v in values.items())
        mark = " (learns from labels)" if get(name).uses_labels else ""
        row = f"  {name}", get(name).paper + mark, settings
        rows.setdefault(get(name).family, []).append(row)
    lines = iter(_columns(row for family in FAMILIES for row in rows.get(family, ())))
    for family in (family for family in FAMILIES if family in rows):
        yield f"{family}:"
        yield from itertools.islice(lines, len(rows[family]))
    yield from _not_available(failed)
    if broken:
        raise MethodProblem(f"{len(broken)} of the plug-ins cannot be used: {', '.join(broken)}")


def datasets(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield a line for each data set, and for each plug-in that failed."""
    failed = {**load_plugins(plugins), **all_datasets.failures()}
    yield from _columns((n, all_datasets.get(n).description) for n in all_datasets.names())
    yield "hf:NAME: an image data set of the Hugging Face Hub, by its name there"
    yield from _not_available(failed)


def backbones(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield a line for each backbone, and for each plug-in that failed."""
    failed = {**load_plugins(plugins), **all_backbones.failures()}
    yield from _columns((n, _start(all_backbones.get(n))) for n in all_backbones.names())
    yield "timm:NAME: a network of timm, by its name there"
    yield from _not_available(failed)


def _start(backbone: all_backbones.Backbone) -> str:
    """Say which weights a backbone starts from, and what its caveat is."""
    file = "" if backbone.weights is None else f" {backbone.weights.file}"
    start = f"starts from --weights{file}" if backbone.needs_weights else "starts random"
    start += f", or from --weights{file}" if file and not backbone.needs_weights else ""
    return f"{start}; {backbone.caveat}" if backbone.caveat else start


def _not_available(failed: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{name}: not available: {why}" for name, why in failed.items())


def recipes() -> list[str]:
    """Describe each recipe."""
    return _columns((n, all_recipes.read(n).recipe.description) for n in all_recipes.names())


def tables(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield a line for each table: the paper's that the suite makes, then those of plug-ins."""
    failed = load_plugins(plugins)
    yield from _columns((t.id, t.title, _row_count(t)) for t in all_tables.every().values())
    yield from _not_available(failed)


def _row_count(table: all_tables.Table) -> str:
    quoted = sum(bool(row.quoted) for row in table.rows)
    return f"{len(table.rows)} rows" + (f", {quoted} of them quoted" if quoted else "")


def runs(results: Path) -> list[str]:
    """Describe each run's state."""
    return _columns((folder.name, _state(folder)) for folder in store.run_folders(results))


def _state(folder: Path) -> str:
    try:
        record = store.read_record(folder)
    except store.DamagedRecord as error:
        return f"damaged: {error}"
    except (store.NewerRecord, store.Unreadable) as error:
        return f"not known: {error}"
    if record is not None:
        return f"finished, {record.headline}"
    if is_locked(folder):
        return f"in progress, {_epochs_done(folder)}"
    if os.path.lexists(folder / store.FAILED):
        message = (store.read_failure(folder) or {}).get("message")
        why = message if isinstance(message, str) else f"{store.FAILED} cannot be read"
        return f"failed: {one_line(why, most=1000)}"
    return f"interrupted, {_epochs_done(folder)}"


def _epochs_done(folder: Path) -> str:
    try:
        return f"{int(store.read_epochs(folder)['epoch'].iloc[-1])} epochs done"
    except (store.DamagedRecord, LookupError, ValueError, TypeError):
        return "no epoch done"
    except store.Unreadable:
        return f"{store.EPOCHS} cannot be read just now"
