"""A table that a plug-in brings: run by its name, reported without the plug-in."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from benchmarks.runs import plugin_tables
from methods.base import registry

PLUGIN = """
from methods import Method


class Mine(Method):
    '''The squared difference of two views.'''

    name = "mine"
    paper = "Author et al., CONF 2026"
    family = "contrastive"

    def loss(self, batch):
        first, second = self.embed_views(batch)
        return (first - second).square().sum(dim=1).mean()
"""
TABLE = """table,title,dataset,recipe,method,hyper_parameters,metric,protocol,value,note
ours,On digits,digits,own.yaml,mine,,kNN,knn-20-0.1@embedding,71.5,their Table 2
ours,,,,nce,"{""noise"": 32}",kNN,,62.25,
ours,,,,npsoftmax,,kNN,,,
"""


@pytest.fixture
def plugin(tmp_path, tiny_recipe) -> Path:
    """A plug-in with a table beside it, and the table's recipe beside that."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "mine.tables.csv").write_text(TABLE)
    content = yaml.safe_load(tiny_recipe.read_text()) | {"epochs": 1}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    return folder / "mine.py"


def made(bench, plugin: Path, *words: str):
    """Run the plug-in's table, and forget the plug-in as another process would."""
    with registry.METHODS.kept():
        result = bench("run", "--plugin", str(plugin), "--table", "ours", *words)
    plugin_tables.forget()
    return result


def test_published_stands_beside_measured_without_the_plugin(bench, plugin, tmp_path):
    output = made(bench, plugin, "--methods", "mine,nce").output
    assert "done: mine" in output
    assert "done: nce (noise=32)" in output.replace("noise = 32", "noise=32")
    bench("report")
    (file,) = (tmp_path / "results" / "report").glob("table-ours-*.csv")
    rows = pd.read_csv(file).set_index("method")
    records = {
        record["method"]["name"]: record["final"]["measurements"]["knn@embedding"]["value"]
        for path in (tmp_path / "results" / "runs").glob("*/run.json")
        for record in [json.loads(path.read_text())]
    }
    assert rows.loc["mine", "published"] == 71.5
    assert rows.loc["nce", "published"] == 62.25
    assert rows.loc["mine", "measured"] == pytest.approx(records["mine"])
    assert rows.loc["nce", "measured"] == pytest.approx(records["nce"])
    assert pd.isna(rows.loc["npsoftmax", "measured"])
    page = (tmp_path / "results" / "report" / "report.md").read_text()
    assert "Table ours of mine.csv, On digits" in page
    assert "knn-20-0.1@embedding; their Table 2" in page
    assert "Not the paper's recipe" not in page
    # The report leaves nothing known that another folder's report would show.
    assert plugin_tables.names() == []


def test_the_reports_command_fills_the_missing_rows(bench, plugin, tmp_path):
    made(bench, plugin, "--methods", "nce")
    bench("report")
    page = (tmp_path / "results" / "report" / "report.md").read_text()
    kept = tmp_path / "results" / "tables" / "mine.csv"
    assert "--table ours --plugin results/tables/mine.csv" in page
    assert kept.read_text() == TABLE


def test_a_damaged_table_of_the_results_is_said_and_left_out(bench, plugin, tmp_path):
    made(bench, plugin, "--methods", "nce")
    (tmp_path / "results" / "tables" / "mine.csv").write_text("table,nonsense\n")
    result = bench("report")
    assert "its tables are left out" in result.output
    assert "its tables are left out" in (tmp_path / "results/report/report.md").read_text()


def test_another_recipe_than_the_tables_is_said(bench, plugin, tmp_path):
    made(bench, plugin, "--methods", "nce", "--recipe", str(tmp_path / "tiny.yaml"))
    bench("report")
    page = (tmp_path / "results" / "report" / "report.md").read_text()
    assert "Not the paper's recipe" in page
    assert "name = tiny (paper: own)" in page


def test_unknown_tables_and_two_tables_of_unlike_recipes(bench, plugin, tmp_path):
    unknown = bench("run", "--plugin", str(plugin), "--table", "our", status=2).output
    assert "Unknown table 'our'" in unknown
    assert "ours" in unknown
    both = bench("run", "--plugin", str(plugin), "--table", "ours,1", status=2).output
    assert "table ours is on digits" in both
    assert "run them by two commands" in both


def test_collected_runs_bring_their_tables(bench, plugin, tmp_path):
    made(bench, plugin, "--methods", "nce")
    bench("collect", "elsewhere")
    assert (tmp_path / "elsewhere" / "tables" / "mine.csv").read_text() == TABLE


def test_list_shows_the_tables_of_a_plugin(bench, plugin):
    listed = bench("list", "tables", "--plugin", str(plugin)).output.splitlines()
    assert listed[-1].split() == ["ours", "On", "digits", "3", "rows"]
