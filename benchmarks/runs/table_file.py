"""A CSV file of tables with published values: one value a line."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.errors import UsageProblem, shown, unknown_name
from benchmarks.common.files import read_whole
from benchmarks.runs.paper_tables import KNN, LINEAR, NMI, Metric, Row, Table, recall_at

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
_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
METRICS: dict[str, Metric] = {
    metric.published: metric for metric in (KNN, LINEAR, NMI, *recall_at(2, 4, 8, 10, 100, 1000))
}
"""What a line may state a value of."""


class Value(NamedTuple):
    """A published value."""

    value: float | None
    """In percent; None where the source prints a dash."""
    protocol: str
    """How it was evaluated, such as knn-200-0.1@embedding; "" if that is not stated."""
    note: str


@dataclass(frozen=True)
class PluginTable(Table):
    """A table of a plug-in: it has a name, its `number` is 0, and it holds its own values."""

    name: str = ""
    values: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    """By the row's and the metric's published names."""
    source: str = ""
    """Path of the file."""
    content: bytes = field(default=b"", repr=False)
    """Of the file."""

    @property
    def id(self) -> str:
        """What `--table` calls it: its name."""
        return self.name

    @property
    def heading(self) -> str:
        """Which table it is, of which file, and what it shows."""
        return f"Table {self.name} of {Path(self.source).name}, {self.title}"

    @property
    def pretrained(self) -> None:
        """Not stated."""

    def published_value(self, row: Row, metric: Metric = KNN) -> float | None:
        """Return the published value of a row, or None if there is none."""
        found = self.values.get((row.published, metric.published))
        return None if found is None else found.value

    def published_note(self, row: Row) -> str:
        """Return what is noted beside the first of a row's values, its protocol before it."""
        cells = [(row.published, metric.published) for metric in self.metrics]
        found = next((self.values[cell] for cell in cells if cell in self.values), None)
        return "" if found is None else "; ".join(t for t in (found.protocol, found.note) if t)


def read(path: Path, content: bytes | None = None) -> list[PluginTable]:
    """Return the tables of a file, in its order.

    Args:
        path: of the file.
        content: of it, if it is known.

    Raises:
        UsageProblem: a column is missing or not known, or a cell cannot be read; names its line.
    """
    content = content_of(path) if content is None else content
    groups: dict[str, list[_Line]] = {}
    for line in _lines(path, content):
        groups.setdefault(line.cell("table"), []).append(line)
    if not groups:
        raise UsageProblem(f"{path}: expected a line for each published value, found none")
    return [_table(name, group, path, content) for name, group in groups.items()]


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
        except (ValueError, RecursionError) as error:
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


def _table(name: str, lines: Sequence[_Line], path: Path, content: bytes) -> PluginTable:
    first = lines[0]
    if not name:
        raise first.wrong("table", "the name of a table", "nothing")
    if name.isdigit():
        raise first.wrong("table", "a name that is no number, as the paper's tables are", name)
    if not _NAME.fullmatch(name):
        raise first.wrong("table", "a name of a-z, 0-9, -, _ and . for --table", shown(name))
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
        number=0,
        name=name,
        title=first.cell("title") or name,
        dataset=first.need("dataset"),
        recipe=_recipe(first.need("recipe"), path),
        rows=tuple(rows.values()),
        metrics=metrics,
        values=values,
        source=str(path.resolve()),
        content=content,
    )


def _recipe(cell: str, path: Path) -> str:
    """Return the name of a recipe, or the path of its file, which is relative to the table's."""
    return str(path.resolve().parent / cell) if cell.endswith((".yaml", ".yml")) else cell


def _lines(path: Path, content: bytes) -> Iterator[_Line]:
    reader = csv.DictReader(io.StringIO(text_of(path, content), newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise UsageProblem(f"{path}, line 1: expected CSV, found {error}") from error
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


def content_of(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        UsageProblem: there is none.
    """
    content = read_whole(path)
    if content is None:
        raise UsageProblem(f"{path}: expected a file of tables, found none")
    return content


def text_of(path: Path, content: bytes) -> str:
    """Return the text of a file's content.

    Raises:
        UsageProblem: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"{path}: expected text in UTF-8, found other bytes ({error})"
        ) from error
