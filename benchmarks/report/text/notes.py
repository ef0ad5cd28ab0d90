"""Known causes of differences and how to read the figures: facts from remarks.yaml."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from benchmarks.runs import paper_tables


@cache
def _remarks() -> Mapping[str, Any]:
    text = (
        resources.files("benchmarks.report.text").joinpath("notes.yaml").read_text(encoding="utf-8")
    )
    content: Mapping[str, Any] = yaml.safe_load(text)
    return content


def reading() -> list[str]:
    """Return what holds for every table."""
    return list(_remarks()["reading"])


def efficiency(in_paper: bool) -> list[str]:
    """Return what concerns learning speed, and the paper's figures on it if they are shown."""
    texts = _remarks()["efficiency"]
    return [*(texts["published"] if in_paper else ()), *texts["measured"]]


def retrieval() -> list[str]:
    """Return how the figures of retrieval and clustering are defined."""
    return list(_remarks()["retrieval"])


def of_method(method: str, unseen: bool = False) -> list[str]:
    """Return known causes of a difference between a method's published and measured figure.

    Args:
        method: its name.
        unseen: whether the test classes are not among the training classes.
    """
    return list(_remarks()["unseen" if unseen else "methods"].get(method, ()))


def of_row(table: paper_tables.Table, row: paper_tables.Row) -> list[str]:
    """Return known causes for a row: those of its method, then its own."""
    own = _remarks()["rows"].get(table.number, {}).get(row.published, ())
    return [*of_method(row.method, table.headline != paper_tables.KNN), *own]


def of_table(table: paper_tables.Table) -> list[str]:
    """Return what concerns a table as a whole."""
    return list(_remarks()["tables"].get(table.number, ()))
