"""Tables of plug-ins: read from CSV, kept with the results, known without the plug-in."""

from pathlib import Path

import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.runs import plugin_tables
from benchmarks.runs.paper_tables import KNN, LINEAR
from benchmarks.runs.plugins import load_plugins

HEADER = (
    "table,title,dataset,recipe,method,hyper_parameters,recipe_changes,metric,protocol,value,note"
)
LINES = (
    "ours,On digits,digits,digits,nce,,,kNN,knn-50-0.1@embedding,71.5,their Table 2",
    "ours,,,,nce,,,Linear,,80,",
    'ours,,,,nce,"{""noise"": 16}","{""epochs"": 2}",kNN,,-,',
    "other,,cifar10,paper,invaspread,,,R@1,,1.5,",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_tables():
    plugin_tables.forget()
    yield
    plugin_tables.forget()


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *(lines or LINES))) + "\n")
    return path


def test_rows_are_runs_and_cells_published_values(tmp_path):
    assert plugin_tables.load(write(tmp_path / "mine.csv")) == ["ours", "other"]
    table = plugin_tables.get("ours")
    assert (table.title, table.dataset, table.recipe) == ("On digits", "digits", "digits")
    assert table.metrics == (KNN, LINEAR)
    plain, changed = table.rows
    assert (plain.published, plain.method, plain.settings) == ("nce", "nce", {})
    assert changed.settings == {"noise": 16, "epochs": 2}
    assert changed.published == "nce (noise=16, epochs=2)"
    assert table.published_value(plain) == 71.5
    assert table.published_value(plain, LINEAR) == 80
    assert table.published_value(changed) is None
    assert table.published_note(plain) == "knn-50-0.1@embedding; their Table 2"
    assert plugin_tables.get("other").title == "other"
    assert [found.name for found in plugin_tables.on("digits")] == ["ours"]


def test_a_refused_file_brings_no_table(tmp_path):
    path = write(tmp_path / "mine.csv", LINES[0], "t,,digits,digits,nce,,,kNN,,seventy,")
    with pytest.raises(UsageProblem, match="line 3: value: expected a number"):
        plugin_tables.load(path)
    assert plugin_tables.names() == []


def test_an_unknown_table_gets_near_matches(tmp_path):
    plugin_tables.load(write(tmp_path / "mine.csv"))
    with pytest.raises(UsageProblem, match=r"Unknown table 'our'\. Did you mean ours"):
        plugin_tables.get("our")


def test_two_files_cannot_bring_a_table_of_one_name(tmp_path):
    plugin_tables.load(write(tmp_path / "mine.csv"))
    plugin_tables.load(write(tmp_path / "mine.csv"))  # the same file again is no conflict
    with pytest.raises(UsageProblem, match="two tables are named 'ours'"):
        plugin_tables.load(write(tmp_path / "yours.csv"))


@pytest.mark.parametrize("name", ["mine.csv", "mine.tables.csv"])
def test_the_tables_travel_with_the_results(tmp_path, name):
    results = tmp_path / "results"
    content = write(tmp_path / name).read_bytes()
    plugin_tables.load(tmp_path / name)
    (kept,) = plugin_tables.keep(results, ["ours", "other"])
    assert kept == results / "tables" / "mine.csv"
    assert kept.read_bytes() == content
    assert [file.name for file in kept.parent.iterdir()] == ["mine.csv"]
    plugin_tables.forget()
    assert plugin_tables.load_kept(results) == []
    assert plugin_tables.get("ours").published_value(plugin_tables.get("ours").rows[0]) == 71.5


def test_an_edited_table_replaces_the_kept_one_and_another_plugins_does_not(tmp_path):
    results = tmp_path / "results"
    plugin_tables.load(write(tmp_path / "mine.csv"))
    plugin_tables.keep(results, ["ours"])
    plugin_tables.load(write(tmp_path / "mine.csv", LINES[0].replace("71.5", "72")))
    plugin_tables.keep(results, ["ours"])
    assert b",72," in (results / "tables" / "mine.csv").read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plugin_tables.load(write(elsewhere / "mine.csv", LINES[0].replace("ours", "theirs")))
    with pytest.raises(UsageProblem, match="found others; rename the plug-in's file"):
        plugin_tables.keep(results, ["theirs"])
    assert b",72," in (results / "tables" / "mine.csv").read_bytes()


def test_a_damaged_kept_table_is_said_and_hides_no_other(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    write(folder / "good.csv", LINES[0])
    (folder / "bad.csv").write_text("not,a,table\n")
    (problem,) = plugin_tables.load_kept(tmp_path)
    assert "bad.csv" in problem
    assert "left out" in problem
    assert plugin_tables.names() == ["ours"]


def test_a_table_may_stand_alone_or_beside_a_plugin_without_classes(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("value = 1\n")
    write(tmp_path / "mine.csv")
    assert load_plugins([plugin]) == {}
    assert plugin_tables.names() == ["other", "ours"]
    plugin_tables.forget()
    assert load_plugins([tmp_path / "mine.csv"]) == {}
    assert plugin_tables.names() == ["other", "ours"]


def test_data_of_a_plugin_beside_it_are_no_table(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("value = 1\n")
    (tmp_path / "mine.csv").write_text("file,label\na.png,1\n")
    with pytest.raises(UsageProblem, match=r"or a table beside it \(mine\.tables\.csv\)"):
        load_plugins([plugin])
    assert plugin_tables.names() == []
