"""Tables that a plug-in brings, with published values: a CSV file beside it, one value a line.

`mine.py` brings `mine.tables.csv`, or `mine.csv` if that has the column `table`. The rows of a
table are runs, as those of the paper's tables are; the file travels with the results, so that a
report knows the table without the plug-in.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks.common.errors import UsageProblem, shown, unknown_name
from benchmarks.common.files import atomic_path, read_whole
from benchmarks.runs.paper_tables import KNN, LINEAR, NMI, TABLES, Metric, Row, Table, recall_at

COLUMNS = (
    "table",
    "title",
    "dataset",
    "recipe",
    "method",
    "hyper_parameters",
    "recipe_changes",
    "metric",
    "protocol",
    "value",
    "note",
)
NEEDED = ("table", "dataset", "recipe", "method", "metric", "value")
"""Columns that must be there; the others may be left out or empty."""
SHARED = ("title", "dataset", "recipe")
"""Columns that all lines of a table have in common; after the first line they may be empty."""
KEPT = "tables"
"""Folder of a results folder that holds the files of the tables that runs were made for."""
METRICS: dict[str, Metric] = {
    metric.published: metric for metric in (KNN, LINEAR, NMI, *recall_at(2, 4, 8, 10, 100, 1000))
}
"""What a line may state a value of."""

T = TypeVar("T")


class Value(NamedTuple):
    """A published value."""

    value: float | None
    """In percent; None where the source prints a dash."""
    protocol: str
    """How it was evaluated, such as knn-200-0.1@embedding; "" if that is not stated."""
    note: str


@dataclass(frozen=True)
class PluginTable(Table):
    """A table of a plug-in: its `number` is its name, and it holds its published values itself."""

    values: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    """By the row's and the metric's published names."""
    source: str = ""
    """Name of the file."""

    def published_value(self, row: Row, metric: Metric = KNN) -> float | None:
        """Return the published value of a row, or None if there is none."""
        found = self.values.get((row.published, metric.published))
        return None if found is None else found.value

    def published_note(self, row: Row) -> str:
        """Return what is noted beside the first of a row's values, its protocol before it."""
        cells = [(row.published, metric.published) for metric in self.metrics]
        found = next((self.values[cell] for cell in cells if cell in self.values), None)
        return "" if found is None else "; ".join(t for t in (found.protocol, found.note) if t)


_tables: dict[str, tuple[PluginTable, bytes]] = {}
"""The tables that were loaded, by name, each with the content of its file."""


def names() -> list[str]:
    """Return the names of the tables that plug-ins brought, sorted."""
    return sorted(_tables)


def get(name: str) -> PluginTable:
    """Return a table that a plug-in brought.

    Raises:
        UsageProblem: there is none of this name.
    """
    if name not in _tables:
        raise unknown_name("table", name, [*map(str, TABLES), *_tables])
    return _tables[name][0]


def on(dataset: str) -> list[PluginTable]:
    """Return the tables of plug-ins on a data set, by name."""
    return [_tables[name][0] for name in names() if _tables[name][0].dataset == dataset]


def forget() -> None:
    """Forget all tables that were loaded."""
    _tables.clear()


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
    content = _content(path)
    made = read(path, content)
    for table in made:
        other = _tables.get(str(table.number))
        if other is not None and other[0].source != str(path.resolve()):
            raise UsageProblem(
                f"two tables are named {table.number!r}: in {other[0].source} and {path}; rename "
                "one"
            )
    _tables.update({str(table.number): (table, content) for table in made})
    return [str(table.number) for table in made]


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
        if name in _tables:
            table, content = _tables[name]
            written[results / KEPT / _plain_name(Path(table.source))] = content
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


def load_kept(results: Path) -> list[str]:
    """Make the tables of a results folder known; return what is wrong, a line for each file.

    Tables that a plug-in has brought already stay.
    """
    problems = []
    for path in sorted((results / KEPT).glob("*.csv")):
        try:
            content = _content(path)
            for table in read(path, content):
                _tables.setdefault(str(table.number), (table, content))
        except UsageProblem as problem:
            problems.append(f"{problem}; its tables are left out")
    return problems


def read(path: Path, content: bytes | None = None) -> list[PluginTable]:
    """Return the tables of a file, in its order.

    Args:
        path: of the file.
        content: of it, if it is known.

    Raises:
        UsageProblem: a column is missing or not known, or a cell cannot be read; names its line.
    """
    lines = list(_lines(path, _content(path) if content is None else content))
    groups: dict[str, list[_Line]] = {}
    for line in lines:
        groups.setdefault(line.cell("table"), []).append(line)
    if not groups:
        raise UsageProblem(f"{path}: expected a line for each published value, found none")
    return [_table(name, group, path) for name, group in groups.items()]


class _Line:
    """A line of a file, and where it stands for messages."""

    def __init__(self, path: Path, number: int, cells: Mapping[str, str | None]) -> None:
        self.place, self._cells = f"{path}, line {number}", cells

    def cell(self, column: str) -> str:
        return (self._cells.get(column) or "").strip()

    def need(self, column: str) -> str:
        if not self.cell(column):
            raise self.wrong(column, "a value", "nothing")
        return self.cell(column)

    def wrong(self, column: str, expected: str, found: str) -> UsageProblem:
        return UsageProblem(f"{self.place}: {column}: expected {expected}, found {found}")

    def options(self, column: str) -> dict[str, Any]:
        """Return a cell of JSON, an object; {} for an empty one."""
        text = self.cell(column)
        try:
            options = json.loads(text) if text else {}
        except ValueError as error:
            raise self.wrong(column, 'JSON such as {"k": 5}', f"{shown(text)} ({error})") from error
        if not isinstance(options, dict):
            raise self.wrong(column, 'an object such as {"k": 5}', shown(text))
        return options

    def value(self) -> Value:
        text = self.cell("value")
        try:
            number = float(text) if text not in ("", "-", "–") else None
        except ValueError as error:
            raise self.wrong("value", "a number, or nothing for a dash", shown(text)) from error
        if number is not None and not math.isfinite(number):
            raise self.wrong("value", "a finite number", shown(text))
        return Value(number, self.cell("protocol"), self.cell("note"))

    def metric(self) -> Metric:
        name = self.need("metric")
        if name not in METRICS:
            raise UsageProblem(f"{self.place}: {unknown_name('metric', name, METRICS)}")
        return METRICS[name]

    def row(self) -> Row:
        method, changes = self.need("method"), self.options("recipe_changes")
        hyper_parameters = self.options("hyper_parameters")
        settings = ", ".join(f"{k}={v}" for k, v in {**hyper_parameters, **changes}.items())
        label = f"{method} ({settings})" if settings else method
        return Row(label, method, hyper_parameters, recipe=changes)


def _table(name: str, lines: Sequence[_Line], path: Path) -> PluginTable:
    first = lines[0]
    if not name:
        raise first.wrong("table", "the name of a table", "nothing")
    if name.isdigit():
        raise first.wrong("table", "a name that is no number, as the paper's tables are", name)
    for column in SHARED:
        for line in lines[1:]:
            if line.cell(column) not in ("", first.cell(column)):
                there = f"{shown(first.cell(column))}, as in the first line of {name}"
                raise line.wrong(column, there, shown(line.cell(column)))
    rows = {line.row().published: line.row() for line in lines}
    metrics = tuple(dict.fromkeys(line.metric() for line in lines))
    if not any(metric.words for metric in metrics):
        able = " or ".join(m.published for m in METRICS.values() if m.words)
        found = ", ".join(metric.published for metric in metrics)
        raise first.wrong("metric", f"{able} among those of table {name}", found)
    values: dict[tuple[str, str], Value] = {}
    for line in lines:
        cell = line.row().published, line.metric().published
        if cell in values:
            raise line.wrong("metric", f"one value of {cell[1]} for {cell[0]}", "a second one")
        values[cell] = line.value()
    return PluginTable(
        number=name,
        title=first.cell("title") or name,
        dataset=first.need("dataset"),
        recipe=first.need("recipe"),
        rows=tuple(rows.values()),
        metrics=metrics,
        values=values,
        source=str(path.resolve()),
    )


def _lines(path: Path, content: bytes) -> Iterator[_Line]:
    reader = csv.DictReader(io.StringIO(_text(path, content), newline=""), strict=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    for column in NEEDED:
        if column not in header:
            raise UsageProblem(
                f"{path}: expected the columns {','.join(COLUMNS)}, found no {column}"
            )
    for column in header:
        if column not in COLUMNS:
            near = get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageProblem(
                f"{path}: expected the columns {','.join(COLUMNS)}, found {shown(column)}{hint}"
            )
    reader.fieldnames = header
    try:
        for cells in reader:
            if None in cells:
                raise UsageProblem(
                    f"{path}, line {reader.line_num}: expected {len(header)} cells, found more; "
                    "quote cells that hold commas"
                )
            yield _Line(path, reader.line_num, cells)
    except csv.Error as error:
        raise UsageProblem(
            f"{path}, line {reader.line_num}: expected CSV, found {error}"
        ) from error


def _content(path: Path) -> bytes:
    content = read_whole(path)
    if content is None:
        raise UsageProblem(f"{path}: expected a file of tables, found none")
    return content


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"{path}: expected text in UTF-8, found other bytes ({error})"
        ) from error


def _header(path: Path) -> list[str]:
    try:
        first = _text(path, _content(path)).partition("\n")[0]
    except UsageProblem:  # not text: no table of ours
        return []
    return [name.strip().strip('"') for name in first.split(",")]


def _names(content: bytes) -> set[str]:
    """Return the names of a file's tables, whatever else is wrong with it."""
    text = content.decode("utf-8-sig", "replace")
    return {line.get("table") or "" for line in csv.DictReader(io.StringIO(text, newline=""))}


def _plain_name(path: Path) -> str:
    return f"{path.name.removesuffix('.csv').removesuffix('.tables')}.csv"
