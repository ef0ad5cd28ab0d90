"""Tables that plug-ins bring, with published values: a CSV file beside the plug-in's.

`mine.py` brings `mine.tables.csv`, or `mine.csv` if that has the column `table`. The rows of a
table are runs, as those of the paper's tables are; the file travels with the results, so that a
report knows the table without the plug-in.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.errors import UsageProblem, unknown_name
from benchmarks.common.files import atomic_path, read_whole
from benchmarks.runs.paper_tables import FURTHER, every
from benchmarks.runs.table_file import PluginTable, content_of, read, text_of

KEPT = "tables"
"""Folder of a results folder that holds the files of the tables that runs were made for."""


def names() -> list[str]:
    """Return the names of the tables that plug-ins brought, sorted."""
    return sorted(FURTHER)


def get(name: str) -> PluginTable:
    """Return a table that a plug-in brought.

    Raises:
        UsageProblem: there is none of this name.
    """
    table = FURTHER.get(name)
    if not isinstance(table, PluginTable):
        raise unknown_name("table", name, every())
    return table


def on(dataset: str) -> list[PluginTable]:
    """Return the tables of plug-ins on a data set, by name."""
    return [table for table in map(get, names()) if table.dataset == dataset]


def forget() -> None:
    """Forget all tables that were loaded."""
    FURTHER.clear()


def beside(plugin: Path) -> list[Path]:
    """Return the files with tables beside a plug-in's file; one that is no table is not among them.

    Raises:
        UsageProblem: a file cannot be read as text.
    """
    named = plugin.with_suffix(".tables.csv")
    plain = plugin.with_suffix(".csv")
    found = [named] if named.is_file() else []
    if plain.is_file() and "table" in _header(plain):  # else it is data of the plug-in's
        found.append(plain)
    return found


def load(path: Path) -> list[str]:
    """Make the tables of a file known by name, and return their names.

    Raises:
        UsageProblem: the file is not as said above, or another file has a table of the same name.
    """
    content = content_of(path)
    made = read(path, content)
    for table in made:
        other = get(table.name).source if table.name in FURTHER else table.source
        if other != table.source:
            raise UsageProblem(
                f"two tables are named {table.name!r}: in {other} and {path}; rename one"
            )
    FURTHER.update({table.name: table for table in made})
    return [table.name for table in made]


def keep(results: Path, chosen: Iterable[str]) -> list[Path]:
    """Copy the files of tables into a results folder, each whole or not at all.

    Args:
        results: the folder.
        chosen: names of the tables; those of the paper need no file.

    Raises:
        UsageProblem: another plug-in's file of the same name is there.
        BenchError: the folder cannot be written.
    """
    written = {}
    for name in chosen:
        if name in FURTHER:
            written[kept_file(results, get(name))] = get(name).content
    for target, content in written.items():
        there = read_whole(target)
        if there == content:
            continue
        if there is not None and _names(there).isdisjoint(_names(content)):
            raise UsageProblem(
                f"{target}: expected an earlier version of the plug-in's tables "
                f"{', '.join(sorted(_names(content)))}, found others; rename the plug-in's file, "
                "or give another --results"
            )
        with atomic_path(target) as part:
            part.write_bytes(content)
    return list(written)


def kept_file(results: Path, table: PluginTable) -> Path:
    """Return where a results folder holds the file of a table."""
    return results / KEPT / _plain_name(Path(table.source))


@contextmanager
def with_kept(results: Path) -> Iterator[list[str]]:
    """Make the tables of a results folder known for a while; gives what `load_kept` returns."""
    before = dict(FURTHER)
    try:
        yield load_kept(results)
    finally:
        FURTHER.clear()
        FURTHER.update(before)


def load_kept(results: Path) -> list[str]:
    """Make the tables of a results folder known; return what is wrong, a line for each file.

    Tables that a plug-in has brought already stay.
    """
    problems = []
    for path in sorted((results / KEPT).glob("*.csv")):
        try:
            content = content_of(path)
            for table in read(path, content):
                FURTHER.setdefault(table.name, table)
        except UsageProblem as problem:
            problems.append(f"{problem}; its tables are left out")
    return problems


def _header(path: Path) -> list[str]:
    try:
        first = text_of(path, content_of(path)).partition("\n")[0]
    except UsageProblem:  # not text: no table of ours
        return []
    return [name.strip().strip('"') for name in first.split(",")]


def _names(content: bytes) -> set[str]:
    """Return the names of a file's tables, whatever else is wrong with it."""
    text = content.decode("utf-8-sig", "replace")
    return {line.get("table") or "" for line in csv.DictReader(io.StringIO(text, newline=""))}


def _plain_name(path: Path) -> str:
    return f"{path.name.removesuffix('.csv').removesuffix('.tables')}.csv"
