"""`bench list`: what there is, a line each.

Each list imports what it needs and no more: none but those of methods and of backbones, which
read classes and networks, loads torch, and an answer is there at once.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from benchmarks.commands.interrupt import starting
from benchmarks.commands.options import need_results, plugin_option, results_option
from benchmarks.common.errors import MethodProblem, one_line

if TYPE_CHECKING:
    from benchmarks.backbones import Backbone
    from benchmarks.runs.paper_tables import Table


KINDS = ("methods", "datasets", "backbones", "recipes", "tables", "runs")


@click.command("list")
@click.argument("what", type=click.Choice(KINDS))
@results_option
@plugin_option
@click.pass_context
def list_command(context: click.Context, what: str, results: Path, plugin: Sequence[Path]) -> None:
    """List methods by family, datasets, backbones, recipes, tables or runs."""
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "methods": lambda: methods(plugin),
        "datasets": lambda: datasets(plugin),
        "backbones": lambda: backbones(plugin),
        "recipes": recipes,
        "tables": lambda: tables(plugin),
        "runs": lambda: runs(results),
    }
    # Where the default folder does not exist, nothing was run yet: that is no mistake.
    if what == "runs" and context.get_parameter_source("results") != ParameterSource.DEFAULT:
        need_results(results)
    for line in makers[what]():
        click.echo(line)


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def methods(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield the methods with their hyper-parameters by family, and the plug-ins that failed.

    Raises:
        MethodProblem: after the last line, if one of the given plug-ins failed.
    """
    with starting():
        from benchmarks.training.recipe.overrides import declared, defaults
        from methods import get, names
        from methods.base import FAMILIES, registry
        from methods.testing.contract import MethodCheckError, check_declaration

        names(labelled=True)  # imports the methods' files, which load torch

    broken = _load(plugins)
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
    with starting():
        from benchmarks.data.datasets import failures, get, names

    failed = {**_load(plugins), **failures()}
    yield from _columns((name, get(name).description) for name in names())
    yield "hf:NAME: an image data set of the Hugging Face Hub, by its name there"
    yield from _not_available(failed)


def backbones(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield a line for each backbone, and for each plug-in that failed."""
    with starting():
        from benchmarks.backbones import failures, get, names

    failed = {**_load(plugins), **failures()}
    yield from _columns((name, _start(get(name))) for name in names())
    yield "timm:NAME: a network of timm, by its name there"
    yield from _not_available(failed)


def _start(backbone: "Backbone") -> str:
    """Say which weights a backbone starts from, and what its caveat is."""
    file = "" if backbone.weights is None else f" {backbone.weights.file}"
    start = f"starts from --weights{file}" if backbone.needs_weights else "starts random"
    start += f", or from --weights{file}" if file and not backbone.needs_weights else ""
    return f"{start}; {backbone.caveat}" if backbone.caveat else start


def _load(plugins: Sequence[Path]) -> dict[str, str]:
    """Load the given plug-ins; return those that failed, with the reason of each."""
    if not plugins:
        return {}  # what loads them takes torch along
    with starting():
        from benchmarks.runs.plugins import load_plugins

    return load_plugins(plugins)


def _not_available(failed: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{name}: not available: {why}" for name, why in failed.items())


def recipes() -> list[str]:
    """Describe each recipe."""
    with starting():
        from benchmarks.training.recipe import names, read

    return _columns((name, read(name).recipe.description) for name in names())


def tables(plugins: Sequence[Path] = ()) -> Iterator[str]:
    """Yield a line for each table: the paper's that the suite makes, then those of plug-ins."""
    with starting():
        from benchmarks.runs.paper_tables import every

    failed = _load(plugins)
    yield from _columns((t.id, t.title, _row_count(t)) for t in every().values())
    yield from _not_available(failed)


def _row_count(table: "Table") -> str:
    quoted = sum(bool(row.quoted) for row in table.rows)
    return f"{len(table.rows)} rows" + (f", {quoted} of them quoted" if quoted else "")


def runs(results: Path) -> list[str]:
    """Describe each run's state."""
    with starting():
        from benchmarks.runs import store

    return _columns((folder.name, _state(folder)) for folder in store.run_folders(results))


def _state(folder: Path) -> str:
    from benchmarks.runs import store
    from benchmarks.runs.lock import is_locked

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
    from benchmarks.runs import store

    try:
        done = store.epochs_done(folder)
    except store.DamagedRecord:
        done = None
    except store.Unreadable:
        return f"{store.EPOCHS} cannot be read just now"
    return "no epoch done" if done is None else f"{done} epochs done"
