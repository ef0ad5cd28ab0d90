import re
from html.parser import HTMLParser

import pytest

from benchmarks.report.render import html as page

VOID = {"meta", "br", "path", "use", "hr"}


class Outline(HTMLParser):
    """Checks that tags are balanced and collects ids, links, tables and text."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.outside, self.text = [], [], [], [], []
        self.rows = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        for name in ("src", "href", "data", "action", "srcset", "poster"):
            if name in values:
                (self.links if values[name].startswith("#") else self.outside).append(values[name])
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(values.get("colspan", 1))
        if tag == "table":
            self.rows.append("table")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(html):
    found = Outline()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def page_of(results, problems=()):
    return page.html(results.content(problems))


@pytest.fixture
def everything(results):
    for seed in range(2):
        results.add("random-cnn", [30.0 + seed], seed=seed)
        results.add("invaspread", [40.0, None, 53.0 + seed], seed=seed)
    results.add("invaspread", [40.0, 45.0], changed={"temperature": 0.05})
    results.add("nce", [20.0, 25.0], recipe="paper")
    results.fail("triplet", "loss is nan")
    results.fail("deepcluster", "loss is nan", dataset="digits", recipe="digits")
    results.add("nce", [80.0, 90.0], dataset="digits", recipe="digits")
    results.add("nce", [None, None], dataset="folder", figures={"loss": 1.0})
    return results


def test_the_page_is_balanced_and_its_links_lead_somewhere(everything):
    found = outline(page_of(everything))
    assert len(found.ids) == len(set(found.ids))
    assert set(found.links)
    assert {link[1:] for link in found.links} <= set(found.ids)


def test_the_page_needs_nothing_but_itself(everything):
    html = page_of(everything)
    assert outline(html).outside == []
    assert not re.search(r"https?:|url\((?!#)|@import|<link|<iframe|<img", html)


def test_rows_are_as_wide_as_the_head(everything):
    tables, width = 0, None
    for row in outline(page_of(everything)).rows:
        if row == "table":
            tables, width = tables + 1, None
        else:
            width = width or row
            assert row == width
    assert tables >= 5


def test_the_empty_page_shows_what_is_missing(results):
    html = page_of(results)
    found = outline(html)
    assert "cifar10, recipe paper: not run yet" in found.text
    tables = [table for part in results.content().parts for table in part.tables]
    missing = [row for table in tables for row in table.rows if row.status == "missing"]
    assert html.count('class="missing"') == len(missing) > 0
    assert all(row.remedy.startswith("bench run") for row in missing)
    assert "--methods deepcluster</span> <span>--set deepcluster.clusters=10</span>" in html


def test_tables_can_be_sorted_from_the_keyboard(everything):
    html = page_of(everything)
    heads = re.findall(r'<th scope="col" aria-sort="none"[^>]*><button type="button">', html)
    assert len(heads) == html.count('scope="col"')
    assert 'data-sort="53.5"' in html
    assert 'data-sort=""' in html


def test_foreign_words_are_never_markup(results):
    bad = "<script>alert(1)</script>"
    results.add("invaspread", [20.0, 30.0], changed={"form": bad})
    results.add("m<b>&\"'", [20.0, 30.0], environment={"device": bad})
    results.fail("nce", bad)
    html = page_of(results, [bad])
    outline(html)
    assert html.count("<script>") == 1
    assert html.count("&lt;script&gt;") >= 4


def test_figures_are_inline_and_read_out(everything):
    html, plots = page_of(everything), everything.content().plots
    assert html.count("<svg") == html.count('role="img"') == html.count("<title>") - 1
    assert html.count("<svg") == len(plots) > 0


def test_a_table_of_many_figures_is_set_closer(results):
    results.add("invaspread", [20.0], figures={"nmi": 40.0}, dataset="cub200", recipe="cub200")
    html = page_of(results)
    assert '<table id="table-3-cub200" class="wide"' in html
    assert '<table id="table-1-paper" aria' in html


def test_what_is_not_run_yet_is_folded_away_once_something_was_run(results):
    words = "<summary>What of the paper has not been run yet, and how to run it</summary>"
    empty = page.html(results.content())
    assert f"<details open>\n{words}" in empty
    results.add("nce", [80.0, 90.0], recipe="digits", dataset="digits")
    begun = page.html(results.content())
    assert f"<details>\n{words}" in begun
    assert "Table 2 has not been run with the paper&#39;s recipe" in begun
