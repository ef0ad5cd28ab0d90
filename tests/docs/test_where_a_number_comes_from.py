"""docs/where-a-number-comes-from.md: files and functions exist, each step calls the next."""

import json
import re
from itertools import pairwise
from statistics import fmean, stdev

import pytest

from benchmarks.runs.store import RunRecord
from helpers.pages import ROOT, code_rows, definitions, mentioned, text

PAGE = ROOT / "docs/where-a-number-comes-from.md"
DOWN, MEASURED = "From the page down", "From the command"
FIELDS = "Where each field"
ROWS = [row for heading in (DOWN, MEASURED, FIELDS) for row in code_rows(PAGE, heading)]
STEPS = [pair for heading in (DOWN, MEASURED) for pair in pairwise(code_rows(PAGE, heading))]


def test_the_page_has_all_its_rows():
    assert len(code_rows(PAGE, DOWN)) >= 8
    assert len(code_rows(PAGE, MEASURED)) >= 8
    assert all(row.names for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_files_and_functions_exist(row):
    assert row.file.is_file()
    assert [name for name in row.names if name not in definitions(row.file)] == []


@pytest.mark.parametrize(("step", "following"), STEPS, ids=str)
def test_each_step_mentions_the_next(step, following):
    body = definitions(step.file)[step.names[0]]
    assert following.names[0].rpartition(".")[2] in mentioned(body)


def test_every_field_of_a_record_is_explained():
    stated = {row.cells[0].strip("`") for row in code_rows(PAGE, FIELDS)}
    assert set(RunRecord.model_fields) - stated == set()


def test_the_line_is_the_line():
    line = re.search(r"\*\*the line\*\*: `([^`]+)`", text(PAGE))[1]
    last = code_rows(PAGE, MEASURED)[-1]
    assert line in last.file.read_text(encoding="utf-8")


def test_the_number_follows_from_the_records():
    rows = re.findall(r"\(\.\./(results\S+/run\.json)\) \| ([\d.]+) \|", text(PAGE))
    values = [json.loads((ROOT / path).read_text(encoding="utf-8"))["final"] for path, _ in rows]
    stated = [float(value) for _, value in rows]
    assert [round(v["knn"], 2) for v in values] == stated
    number = f"{fmean(stated):.1f} ± {stdev(stated):.1f}"
    assert f"**{number}**" in text(PAGE)
    assert re.search(rf"InvaSpread.*\| \*\*{number}\*\* \|", text(ROOT / "README.md"))
