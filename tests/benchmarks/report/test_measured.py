"""The report of the committed records shows the numbers that it showed under schema 1.

`measured_numbers.json` was made by the code before schema 2: of every CSV the rows, by what
identifies them, with their finite numbers.
"""

import csv
import io
import json
import math
from pathlib import Path

import pytest

from benchmarks.report.write import write_report
from benchmarks.runs.store import RECORD, read_record, run_folders

MEASURED = Path(__file__).parents[3] / "results" / "measured"
BEFORE = json.loads(Path(__file__).with_name("measured_numbers.json").read_text(encoding="utf-8"))
IDENTITY = ("published_name", "method", "label", "hyper_parameters", "recipe_changed", "split")
RENAMED = {
    "memory_knn": "knn@memory",
    "pooled_knn": "knn@features",
    "pooled_recall_at_1": "recall_at_1@features",
}
"""Columns of schema 1 and what they are called since."""
TABLES = {"retrieval-cub200-unseen-quick-partial-pooled": (
    "retrieval-cub200-unseen-quick-partial-features")}  # fmt: skip


def numbers(row):
    found = {}
    for column, text in row.items():
        try:
            value = float(text)
        except ValueError:
            continue
        if column not in (*IDENTITY, "seeds") and not math.isnan(value):
            found[column] = value
    return found


def now(column):
    name = column.removesuffix("_sd")
    return RENAMED.get(name, name) + column[len(name) :]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Return the rows of every CSV of the report, without writing beside the records."""
    results = tmp_path_factory.mktemp("measured")
    (results / "runs").symlink_to(MEASURED / "runs")
    before = {path: path.stat().st_mtime_ns for path in MEASURED.rglob(RECORD)}
    files = write_report(results, ["csv"], warn=pytest.fail)
    assert {path: path.stat().st_mtime_ns for path in MEASURED.rglob(RECORD)} == before
    return {f.stem: list(csv.DictReader(io.StringIO(f.read_text("utf-8")))) for f in files}


def test_every_committed_record_is_read_as_the_present_schema():
    folders = run_folders(MEASURED)
    assert len(folders) >= 70
    for folder in folders:
        record = read_record(folder)
        assert record is not None
        assert record.schema_version == 2
        assert record.representation == "embedding"
        assert record.folder == folder.name  # the key is what it was


@pytest.mark.parametrize("name", sorted(BEFORE))
def test_the_numbers_are_those_of_schema_1(tables, name):
    rows = tables[TABLES.get(name, name)]
    assert len(rows) == len(BEFORE[name])
    for row, expected in zip(rows, BEFORE[name], strict=True):
        assert " | ".join(row[k] for k in IDENTITY if row.get(k)) == expected["row"]
        wanted = {now(column): value for column, value in expected["numbers"].items()}
        assert numbers(row) == pytest.approx(wanted, rel=1e-12)
