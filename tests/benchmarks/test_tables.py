import pytest

from benchmarks import tables
from benchmarks.errors import UsageProblem
from benchmarks.hyper_parameters import resolve
from methods import get


def test_table_1_holds_every_published_row_in_order():
    table = tables.get(1)
    published = tables.published_tables()
    rows = published[published.table == 1].method.tolist()
    assert [row.published for row in table.rows] == rows
    assert [tables.published_value(table, row) for row in table.rows] == [
        32.1, 44.4, 67.6, 74.5, 80.8, 80.4, 57.5, 78.4, 83.6,
    ]  # fmt: skip


def test_rows_are_runs_that_exist():
    for table in tables.TABLES.values():
        for row in table.rows:
            resolve(get(row.method), row.hyper_parameters)


def test_figure_3_names_exist():
    assert set(tables.FIGURE_3.values()) <= set(tables.published_figure_3().method)
    for method in tables.FIGURE_3:
        get(method)


def test_unknown_table_lists_known_ones():
    with pytest.raises(UsageProblem, match="Known: 1"):
        tables.get(99)
