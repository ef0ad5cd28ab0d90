import subprocess
import sys

import pytest

from benchmarks.report.document import (
    Cell,
    Column,
    Notes,
    Table,
    TableRow,
    around_code,
    in_seconds,
    interval,
    letter,
)


@pytest.mark.parametrize(
    ("place", "mark"), [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (52, "ba"), (701, "zz")]
)
def test_footnotes_are_lettered(place, mark):
    assert letter(place) == mark


def test_equal_notes_are_kept_once():
    notes = Notes()
    assert notes.add("x", "y") == (0, 1)
    assert notes.add("y", "z") == (1, 2)
    assert notes.texts == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("numbers", "text"), [([12], "12"), ([16, 12, 14], "12–16"), ([3, 3], "3")]
)
def test_an_interval_has_one_or_two_ends(numbers, text):
    assert interval(numbers) == text


def test_words_and_code_are_treated_apart():
    assert (
        around_code("run `a b` or `c`!", str.upper, lambda code: f"<{code}>") == "RUN <a b> OR <c>!"
    )
    assert around_code("an odd ` stays", str.upper, str.lower) == "AN ODD ` STAYS"


def test_a_column_is_shown_if_it_is_required_or_says_something():
    columns = (
        Column("method", "Method", given=True),
        Column("published", "Published", given=True),
        Column("measured", "Measured", required=True),
        Column("best", "Best"),
    )
    rows = (TableRow({"method": Cell("a"), "best": Cell("1")}, {}), TableRow({}, {}))
    table = Table("slug", "caption", columns, rows)
    assert [column.key for column in table.shown] == ["method", "measured", "best"]
    assert table.given == 1


def test_a_cell_has_its_aside_in_brackets():
    assert Cell("53.1", aside="epoch 3").full == "53.1 (epoch 3)"
    assert Cell("53.1").full == "53.1"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.26, "1.3"), (99.0, "99.0"), (100.4, "100"), (12345.6, "12,346")]
)
def test_seconds_have_a_decimal_where_it_says_something(seconds, text):
    assert in_seconds(seconds) == text


def test_a_table_of_many_columns_is_wide():
    columns = tuple(Column(str(number), "Title", required=True) for number in range(14))
    assert Table("t", "T", columns, ()).wide
    assert not Table("t", "T", columns[:13], ()).wide


def test_importing_the_document_loads_no_plots():
    code = "import sys, benchmarks.report.document; print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
