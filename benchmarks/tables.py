"""The paper's tables and figures, declared as data: which runs fill which row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.errors import unknown_name


@dataclass(frozen=True)
class Row:
    """One row of a table: its name in the paper and the run that measures it."""

    published: str
    """Name in results/published/tables.csv."""
    method: str
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    number: int
    title: str
    dataset: str
    recipe: str
    metric: str
    """The column of results/published/tables.csv."""
    rows: tuple[Row, ...]


TABLES = {
    1: Table(
        number=1,
        title="kNN accuracy (%) on CIFAR-10",
        dataset="cifar10",
        recipe="paper",
        metric="kNN",
        rows=(
            Row("RandomCNN", "random-cnn"),
            Row("DeepCluster (10)", "deepcluster", {"clusters": 10}),
            Row("DeepCluster (1000)", "deepcluster", {"clusters": 1000}),
            Row("Exemplar", "exemplar"),
            Row("NPSoftmax", "npsoftmax"),
            Row("NCE", "nce"),
            Row("Triplet", "triplet"),
            Row("Triplet (Hard)", "triplet-hard"),
            Row("Ours", "invaspread"),
        ),
    ),
}

FIGURE_3 = {
    "invaspread": "Ours",
    "nce": "NCE",
    "exemplar": "Exemplar",
    "deepcluster": "DeepCluster",
}
"""Name in results/published/figure3.csv of the methods that Figure 3 shows."""


def get(number: int) -> Table:
    """Return a table by its number.

    Raises:
        UsageProblem: if the suite does not make that table.
    """
    if number not in TABLES:
        raise unknown_name("table", str(number), map(str, TABLES))
    return TABLES[number]


def _published_folder() -> Path:
    here = Path(__file__).parent
    installed = here / "published"  # the wheel carries it there
    return installed if installed.is_dir() else here.parent / "results" / "published"


@cache
def published_tables() -> pd.DataFrame:
    """Return the paper's tables: table, dataset, method, metric, value, note."""
    return pd.read_csv(_published_folder() / "tables.csv")


@cache
def published_figure_3() -> pd.DataFrame:
    """Return figures stated in the text or digitised from Figure 3."""
    return pd.read_csv(_published_folder() / "figure3.csv")


def published_value(table: Table, row: Row) -> float | None:
    """Return the paper's figure for a row, or None if the paper prints a dash."""
    values = published_tables()
    match = values[
        (values.table == table.number)
        & (values.method == row.published)
        & (values.metric == table.metric)
    ].value
    return None if match.empty or match.isna().all() else float(match.iloc[0])
