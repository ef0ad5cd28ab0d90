"""Known causes of differences and how to read the values: facts from notes.yaml."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from benchmarks.runs import paper_tables
from benchmarks.runs.table_file import PluginTable


@cache
def _content() -> Mapping[str, Any]:
    text = (
        resources.files("benchmarks.report.text").joinpath("notes.yaml").read_text(encoding="utf-8")
    )
    content: Mapping[str, Any] = yaml.safe_load(text)
    return content


def reading() -> list[str]:
    """Return what holds for every table."""
    return list(_content()["reading"])


def efficiency(in_paper: bool) -> list[str]:
    """Return what concerns learning speed, and the paper's values on it if they are shown."""
    texts = _content()["efficiency"]
    return [*(texts["published"] if in_paper else ()), *texts["measured"]]


def retrieval() -> list[str]:
    """Return how the values of retrieval and clustering are defined."""
    return list(_content()["retrieval"])


def of_method(method: str, unseen: bool = False) -> list[str]:
    """Return known causes of a difference between a method's published and measured figure.

    Args:
        method: its name.
        unseen: whether the test classes are not among the training classes.
    """
    return list(_content()["unseen" if unseen else "methods"].get(method, ()))


def of_row(table: paper_tables.Table, row: paper_tables.Row) -> list[str]:
    """Return known causes for a row: those of its method, then its own.

    Of a plug-in's table nothing is known but what its file notes.
    """
    if isinstance(table, PluginTable):
        note = table.published_note(row)
        return [f"Published: {note}."] if note else []
    own = _content()["rows"].get(table.number, {}).get(row.published, ())
    return [*of_method(row.method, table.headline != paper_tables.KNN), *own]


def of_table(table: paper_tables.Table) -> list[str]:
    """Return what concerns a table as a whole."""
    return list(_content()["tables"].get(table.number, ()))
