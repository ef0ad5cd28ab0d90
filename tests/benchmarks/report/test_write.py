import shutil

import pandas as pd
import pytest

from benchmarks.common.errors import BenchError, UsageProblem
from benchmarks.report.write import FORMATS, write_report


@pytest.fixture
def filled(results):
    for seed in range(2):
        results.add("random-cnn", [30.0 + seed], seed=seed)
        results.add("invaspread", [40.0, 53.123456789 + seed], seed=seed)
    results.add("invaspread", [40.0, 45.0], recipe="paper", recipe_changed={"epochs": 2})
    results.add("nce", [80.0, 90.0], dataset="digits", recipe="digits")
    results.add("nce", [None, None], dataset="folder", figures={"loss": 1.0})
    results.fail("triplet", "loss is nan")
    return results


MISSING = (
    "table-1-paper",
    "table-7-paper",
    "table-8-paper",
    "efficiency-cifar10-paper",
    "table-2-stl10",
    "table-3-cub200",
    "table-4-unseen",
    "table-5-unseen",
    "table-6-unseen-scratch",
)


def names(paths):
    return [path.name for path in paths]


def test_without_a_results_folder_the_report_says_what_is_missing(results):
    written = write_report(results.path, warn=pytest.fail)
    assert names(written) == [
        "report.html",
        "report.md",
        *(f"{name}.{suffix}" for suffix in ("tex", "csv") for name in MISSING),
    ]
    assert all(path.stat().st_size for path in written)
    table = pd.read_csv(results.path / "report" / "table-1-paper.csv")
    assert table["status"].tolist() == ["missing"] * 9
    assert table["command"].str.startswith("bench run --methods ").all()
    assert table["published"].max() == 83.6


def test_every_format_is_written_for_every_comparison(filled):
    written = names(write_report(filled.path, warn=pytest.fail))
    for recipe in ("quick", "paper-epochs-2"):
        assert f"table-1-{recipe}.tex" in written
        assert f"table-1-{recipe}.csv" in written
        assert f"curves-cifar10-{recipe}.csv" in written
        for panel in ("epochs", "images", "seconds"):
            assert f"efficiency-cifar10-{recipe}-{panel}.svg" in written
    assert "table-digits-digits.csv" in written
    assert "table-folder-quick.csv" in written
    assert not [name for name in written if name.startswith("efficiency-folder")]


def test_what_is_returned_is_what_is_there(filled):
    written = write_report(filled.path, warn=pytest.fail)
    report = filled.path / "report"
    assert sorted([*written, report / ".written"]) == sorted(report.iterdir())


@pytest.mark.parametrize(
    ("formats", "suffixes"),
    [
        (["html"], {".html", ".svg"}),
        (["md"], {".md", ".svg"}),
        (["tex"], {".tex"}),
        (["csv"], {".csv"}),
        ([], set()),
    ],
)
def test_only_the_formats_asked_for_are_written(filled, formats, suffixes):
    written = write_report(filled.path, formats, warn=pytest.fail)
    assert {path.suffix for path in written} == suffixes


def test_csv_holds_full_precision(filled):
    write_report(filled.path, ["csv"], warn=pytest.fail)
    folder = filled.path / "report"
    table = pd.read_csv(folder / "table-1-quick.csv").set_index("published_name")
    assert table.loc["Ours", "measured"] == pytest.approx(53.623456789, abs=1e-9)
    assert table.loc["Ours", "difference"] == pytest.approx(53.623456789 - 83.6, abs=1e-9)
    assert table.loc["Ours", "seeds"] == "0 1"
    assert table.loc["Triplet", "failures"] == "seed 0: loss is nan"
    assert len(table.loc["Ours", "runs"].split()) == 2
    curves = pd.read_csv(folder / "curves-cifar10-quick.csv")
    assert curves[curves["method"] == "invaspread"]["epoch"].tolist() == [1, 2]


def test_the_same_records_give_the_same_files(filled):
    first = {p: p.read_bytes() for p in write_report(filled.path, warn=pytest.fail)}
    second = {p: p.read_bytes() for p in write_report(filled.path, warn=pytest.fail)}
    assert first == second


def test_a_damaged_record_is_named_and_the_others_are_made(filled):
    broken = next((filled.path / "runs").glob("digits-nce-*")) / "run.json"
    broken.write_text("{")
    told = []
    written = names(write_report(filled.path, warn=told.append))
    assert len(told) == 1
    assert str(broken) in told[0]
    assert "table-1-quick.csv" in written
    assert "table-digits-digits.csv" not in written
    html = (filled.path / "report" / "report.html").read_text()
    assert f"left out: {broken}" in html


def test_problems_are_told_on_the_error_stream_by_default(filled, capsys):
    next((filled.path / "runs").glob("digits-nce-*")).joinpath("run.json").write_text("{")
    write_report(filled.path, ["csv"])
    assert "left out" in capsys.readouterr().err


def test_an_unknown_format_is_refused_before_anything_is_written(filled):
    with pytest.raises(UsageProblem, match=r"'pdf'.*html"):
        write_report(filled.path, ["csv", "pdf"])
    assert not (filled.path / "report").exists()
    assert FORMATS == ("html", "md", "tex", "csv")


def test_a_folder_that_cannot_be_written_is_a_plain_error(filled):
    (filled.path / "report").write_text("in the way")
    with pytest.raises(BenchError, match="cannot write"):
        write_report(filled.path, warn=pytest.fail)


def test_files_that_a_report_no_longer_has_are_taken_away(results):
    report = results.path / "report"
    gone = results.add("nce", [80.0, 90.0], dataset="digits", recipe="digits")
    first = set(names(write_report(results.path, warn=pytest.fail)))
    (report / "mine.csv").write_text("not a report's")
    shutil.rmtree(gone)
    later = set(names(write_report(results.path, ["csv"], warn=pytest.fail)))
    assert "table-digits-digits.csv" in first - later
    assert not (report / "table-digits-digits.csv").exists()
    assert (report / "table-digits-digits.tex").exists()  # was not asked for anew
    write_report(results.path, warn=pytest.fail)
    assert not (report / "table-digits-digits.tex").exists()
    assert not list(report.glob("*digits*"))
    assert (report / "mine.csv").read_text() == "not a report's"


def test_a_list_of_files_reaches_no_other_folder(results):
    report = results.path / "report"
    report.mkdir(parents=True)
    (results.path / "kept.csv").write_text("kept")
    (report / ".written").write_text("../kept.csv\n")
    write_report(results.path, warn=pytest.fail)
    assert (results.path / "kept.csv").exists()
