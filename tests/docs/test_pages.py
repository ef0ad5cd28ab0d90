"""Every page: what it links to is there, and what it shows as code runs."""

import re

import pytest

import methods
from benchmarks.runs import table_file
from helpers.pages import ROOT, code_rows, definitions, links, text
from methods.check import check_method

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FIRST_SCREEN = code_rows(ROOT / "CONTRIBUTING.md", "Where is it?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    assert [target for target in links(page) if not target.exists()] == []


@pytest.mark.parametrize("row", FIRST_SCREEN, ids=str)
def test_what_a_newcomer_looks_for_is_where_the_first_screen_says(row):
    assert row.names
    assert [name for name in row.names if name not in definitions(row.file)] == []


@pytest.mark.parametrize("row", FIRST_SCREEN, ids=str)
def test_each_folder_on_the_way_is_named(row):
    walk = " ".join(row.cells)
    assert [part for part in row.file.relative_to(ROOT).parts[:-1] if f"`{part}`" not in walk] == []


def test_the_first_screen_has_what_everybody_looks_for_first():
    wanted = ("training loop", "loss", "metric", "table's declaration", "report's number")
    shown = [row.cells[0] for row in FIRST_SCREEN]
    assert [name for name in wanted if not any(name in cell for cell in shown)] == []


def test_the_method_shown_in_contributing_passes_check_method():
    block = re.search(r"```python\n(.+?)```", text(ROOT / "CONTRIBUTING.md"), re.S)[1]
    lines = (line.removeprefix("   ") for line in block.splitlines())
    names = {"__name__": "mine"}
    exec("\n".join(lines), names)
    assert "mine" in methods.names()
    check_method(names["Mine"])


def test_the_table_shown_in_contributing_can_be_read(tmp_path):
    page = text(ROOT / "CONTRIBUTING.md")
    block = re.search(r"```\n(table,.+?)```", page, re.S)[1]
    (table,) = table_file.read(tmp_path / "mine.tables.csv", block.encode())
    values = [table.published_value(row) for row in table.rows]
    assert values == [84.1, 83.0, None]
    assert tuple(block.splitlines()[0].split(",")) == table_file.COLUMNS
    part = page.split("## Add a table")[1].split("\n## ")[0]
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", part, re.M)))
    assert set(explained) == set(table_file.COLUMNS)


@pytest.mark.parametrize("hook", sorted(set(re.findall(
    r"^\| `(\w+)\(", text(ROOT / "CONTRIBUTING.md"), re.M))))  # fmt: skip
def test_every_hook_of_the_table_is_one_of_a_method(hook):
    assert callable(getattr(methods.Method, hook, None))


def test_the_glossary_is_sorted_and_has_each_word_once():
    words = re.findall(r"^\| ([a-z][^|]*?) \|", text(ROOT / "docs/glossary.md"), re.M)[1:]
    assert len(words) > 40
    assert words == sorted(set(words), key=lambda word: word.lower().replace("-", ""))
