import pytest

from benchmarks.report.text import notes
from benchmarks.runs import paper_tables


def texts_of(content):
    if isinstance(content, str):
        return [content]
    inner = content.values() if isinstance(content, dict) else content
    return [text for part in inner for text in texts_of(part)]


def row(number, name):
    (found,) = [row for row in paper_tables.get(number).rows if row.published == name]
    return paper_tables.get(number), found


def test_remarks_close_their_code_and_end_as_sentences():
    for text in texts_of(notes._content()):
        assert text.count("`") % 2 == 0
        assert text.endswith(".")


def test_remarks_belong_to_methods_rows_and_tables_of_the_paper():
    content = notes._content()
    methods = {row.method for table in paper_tables.TABLES.values() for row in table.rows}
    assert set(content["methods"]) | set(content["unseen"]) <= methods
    assert set(content["tables"]) <= set(paper_tables.TABLES)
    for number, rows in content["rows"].items():
        assert set(rows) <= {row.published for row in paper_tables.get(number).rows}


SMALL = {
    "reading": ["Always."],
    "efficiency": {"published": ["Of the paper."], "measured": ["Of the runs."]},
    "retrieval": ["Defined."],
    "methods": {"nce": ["Seen."]},
    "unseen": {"nce": ["Not seen."]},
    "rows": {1: {"NCE": ["Of table 1."]}},
    "tables": {7: ["Of table 7."]},
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(notes, "_content", lambda: SMALL)


@pytest.mark.usefixtures("small")
def test_notes_on_the_papers_curves_come_only_with_them_and_first():
    assert notes.efficiency(in_paper=False) == ["Of the runs."]
    assert notes.efficiency(in_paper=True) == ["Of the paper.", "Of the runs."]


@pytest.mark.usefixtures("small")
def test_a_rows_own_notes_follow_those_of_its_method_and_stay_in_its_table():
    assert notes.of_row(*row(1, "NCE")) == ["Seen.", "Of table 1."]
    assert notes.of_row(*row(2, "NCE")) == ["Seen."]


@pytest.mark.usefixtures("small")
def test_notes_on_seen_classes_do_not_stand_at_unseen_ones():
    assert notes.of_method("nce") == ["Seen."]
    assert notes.of_row(*row(4, "NCE")) == notes.of_method("nce", unseen=True) == ["Not seen."]


@pytest.mark.usefixtures("small")
def test_a_table_has_its_own_notes_or_none():
    assert notes.of_table(paper_tables.get(7)) == ["Of table 7."]
    assert notes.of_table(paper_tables.get(1)) == []


@pytest.mark.usefixtures("small")
def test_a_caller_may_change_its_list():
    notes.reading().append("mine")
    notes.retrieval().append("mine")
    notes.of_method("nce").append("mine")
    assert notes.reading() == ["Always."]
    assert notes.retrieval() == ["Defined."]
    assert notes.of_method("nce") == ["Seen."]


def test_a_method_without_notes_has_none():
    assert notes.of_method("somebody-elses") == []
    assert notes.of_method("somebody-elses", unseen=True) == []
    assert notes.of_row(*row(2, "HMP")) == []


def test_every_part_of_the_notes_says_something():
    assert all(texts_of(part) for part in notes._content().values())
    assert all(map(str.strip, texts_of(notes._content())))
