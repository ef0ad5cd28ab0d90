"""`bench list`: what there is, a line each.

Each list imports what it needs and no more: none but that of methods, which reads their classes,
loads torch, and an answer is there at once.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from benchmarks.commands.interrupt import starting
from benchmarks.commands.options import need_results, plugin_option, results_option
from benchmarks.common.errors import MethodProblem, one_line

if TYPE_CHECKING:
    from benchmarks.runs.paper_tables import Table


@click.command("list")
@click.argument("what", type=click.Choice(["methods", "datasets", "recipes", "tables", "runs"]))
@results_option
@plugin_option
@click.pass_context
def list_command(context: click.Context, what: str, results: Path, plugin: Sequence[Path]) -> None:
    """List methods, datasets, recipes, tables or runs."""
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "methods": lambda: methods(plugin),
        "datasets": datasets,
        "recipes": recipes,
        "tables": tables,
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
    """Yield a line for each method with its hyper-parameters, and for each plug-in that failed.

    Raises:
        MethodProblem: after the last line, if one of the given plug-ins failed.
    """
    with starting():
        from benchmarks.runs.plugins import load_plugins
        from benchmarks.training.recipe.overrides import declared, defaults
        from methods import get, names
        from methods.base import registry
        from methods.testing.contract import MethodCheckError, check_declaration

    broken = load_plugins(plugins)
    failed = {**broken, **registry.failures()}
    rows = []
    for name in names(labelled=True):
        try:
            values = declared(get(name), defaults(get(name)))
            check_declaration(get(name))
        except (MethodProblem, MethodCheckError) as error:
            failed[name] = str(error)
            continue
        settings = ", ".join(f"{k}={v}" for k, v in values.items())
        mark = " (learns from labels)" if get(name).uses_labels else ""
        rows.append((name, get(name).paper + mark, settings))
    yield from _columns(rows)
    yield from (f"{name}: not available: {why}" for name, why in failed.items())
    if broken:
        raise MethodProblem(f"{len(broken)} of the plug-ins cannot be used: {', '.join(broken)}")


def datasets() -> list[str]:
    """Describe each data set."""
    with starting():
        from benchmarks.data.datasets import get, names

    return _columns((name, get(name).description) for name in names())


def recipes() -> list[str]:
    """Describe each recipe."""
    with starting():
        from benchmarks.training.recipe import names, read

    return _columns((name, read(name).recipe.description) for name in names())


def tables() -> list[str]:
    """Describe each table of the paper that the suite makes."""
    with starting():
        from benchmarks.runs.paper_tables import TABLES

    return _columns((str(t.number), t.title, _row_count(t)) for t in TABLES.values())


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
