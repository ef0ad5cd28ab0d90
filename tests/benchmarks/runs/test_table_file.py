from pathlib import Path

import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.runs.paper_tables import KNN, LINEAR, NMI
from benchmarks.runs.table_file import read

HEADER = (
    "table,title,dataset,recipe,method,hyper_parameters,recipe_changes,metric,protocol,value,note"
)
LINES = (
    "ours,On digits,digits,digits,nce,,,kNN,knn-50-0.1@embedding,71.5,their Table 2",
    "ours,,,,nce,,,Linear,,80,",
    'ours,,,,nce,"{""noise"": 16}","{""epochs"": 2}",kNN,,-,',
    "other,,cifar10,paper,invaspread,,,R@1,,1.5,",
)  # fmt: skip


PLACE = Path("mine.csv")


def content(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join((header, *lines, "")).encode()


def test_lines_of_one_table_may_stand_apart_and_blanks_repeat_the_first():
    ours, other = read(PLACE, content(LINES[0], LINES[3], LINES[1]))
    assert (ours.name, ours.title, ours.dataset, ours.recipe) == (
        "ours", "On digits", "digits", "digits",
    )  # fmt: skip
    assert (ours.number, ours.metrics, len(ours.rows)) == (0, (KNN, LINEAR), 1)
    assert (other.title, other.dataset, other.recipe) == ("other", "cifar10", "paper")
    assert ours.source == str(PLACE.resolve())


def test_a_value_is_known_by_its_row_and_metric_and_a_dash_is_none():
    (table,) = read(PLACE, content(*LINES[:3]))
    plain, changed = table.rows
    assert [table.published_value(plain, m) for m in (KNN, LINEAR, NMI)] == [71.5, 80.0, None]
    assert table.published_value(changed) is None
    assert table.published_note(plain) == "knn-50-0.1@embedding; their Table 2"
    assert table.published_note(changed) == ""
    assert (changed.hyper_parameters, changed.recipe) == ({"noise": 16}, {"epochs": 2})


@pytest.mark.parametrize(("text", "value"), [("", None), ("-", None), ("–", None), ("-3.5", -3.5)])
def test_dashes_and_numbers(text, value):
    (table,) = read(PLACE, content(f"t,,digits,digits,nce,,,kNN,,{text},"))
    assert table.published_value(table.rows[0]) == value


def test_optional_columns_may_be_left_out_and_cells_have_spaces_around_them():
    header = " table, dataset ,recipe,method,metric,value"
    (table,) = read(PLACE, content("t, digits,digits , nce ,kNN, 5 ", header=header))
    assert (table.dataset, table.recipe, table.rows[0].method) == ("digits", "digits", "nce")
    assert table.published_value(table.rows[0]) == 5.0


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    text = content(LINES[0]).replace(b"\n", b"\r\n")
    (table,) = read(PLACE, b"\xef\xbb\xbf" + text)
    assert table.published_value(table.rows[0]) == 71.5


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageProblem, match="expected a file of tables, found none"):
        read(tmp_path / "none.csv")


def test_an_open_quote_is_named_with_its_line():
    with pytest.raises(UsageProblem, match=r"mine.csv, line \d: expected CSV, found"):
        read(PLACE, content(LINES[0], 'ours,,,,nce,"{,,Linear,,80,'))


def test_an_open_quote_in_the_header_is_named():
    with pytest.raises(UsageProblem, match=r"mine.csv, line 1: expected CSV, found"):
        read(PLACE, b'table,"dataset')


@pytest.mark.parametrize("text", ["[" * 10**5, '"' + "x" * 10**4])
def test_json_of_any_depth_or_length_is_refused_in_one_short_line(text):
    cell = '"' + text.replace('"', '""') + '"'
    with pytest.raises(UsageProblem, match="hyper_parameters: expected") as raised:
        read(PLACE, content(f"t,,digits,digits,nce,{cell},,kNN,,1,"))
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["t,,digits,digits,nce,,,kNN,,seventy,"], "line 2: value: expected a number.*'seventy'"),
        (["t,,digits,digits,nce,,,kNN,,nan,"], "value: expected a finite number"),
        (["t,,digits,digits,nce,{noise: 3},,kNN,,1,"], "hyper_parameters: expected JSON"),
        (["t,,digits,digits,nce,,[],kNN,,1,"], "recipe_changes: expected an object"),
        (["t,,digits,digits,nce,,,kN,,1,"], r"line 2: Unknown metric 'kN'\. Did you mean kNN"),
        (["t,,digits,digits,nce,,,Linear,,1,"], "metric: expected kNN or R@1 among those of table"),
        (["t,,digits,digits,,,,kNN,,1,"], "method: expected a value, found nothing"),
        (["t,,,digits,nce,,,kNN,,1,"], "dataset: expected a value, found nothing"),
        ([",,digits,digits,nce,,,kNN,,1,"], "table: expected the name of a table"),
        (["7,,digits,digits,nce,,,kNN,,1,"], "table: expected a name that is no number"),
        (["t,,digits,digits,nce,,,kNN,,1,,more"], "line 2: expected 11 cells, found more"),
        (
            ["t,,digits,digits,nce,,,kNN,,1,", "t,,cifar10,,nce,,,Linear,,1,"],
            "line 3: dataset: expected 'digits', as in the first line of t, found 'cifar10'",
        ),
        (
            ["t,,digits,digits,nce,,,kNN,,1,", "t,,,,nce,,,kNN,,2,"],
            "line 3: metric: expected one value of kNN for nce, found a second one",
        ),
    ],
)
def test_a_malformed_line_is_named(tmp_path, lines, words):
    path = tmp_path / "mine.csv"
    with pytest.raises(UsageProblem, match=words) as raised:
        read(path, content(*lines))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace("value", "valeu"), "found no value"),
        (f"{HEADER},valeu", "found 'valeu'; did you mean value"),
    ],
)
def test_a_wrong_header_is_named(tmp_path, header, words):
    with pytest.raises(UsageProblem, match=words):
        read(tmp_path / "mine.csv", content(*LINES, header=header))


def test_an_empty_file_and_other_bytes_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text(f"{HEADER}\n")
    with pytest.raises(UsageProblem, match="a line for each published value, found none"):
        read(tmp_path / "empty.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageProblem, match="expected text in UTF-8"):
        read(tmp_path / "bytes.csv")
