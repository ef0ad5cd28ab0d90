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


def test_the_head_start_of_the_papers_figures_is_told():
    assert any("best over all epochs on the test set" in text for text in notes.reading())


def test_remarks_on_the_papers_curves_come_only_with_them():
    measured = notes.efficiency(in_paper=False)
    assert measured
    assert notes.efficiency(in_paper=True)[-len(measured) :] == measured
    assert not any("Figure 3" in text for text in measured)


def test_a_rows_own_remarks_follow_those_of_its_method():
    texts = notes.of_row(*row(1, "NCE"))
    assert texts[: len(notes.of_method("nce"))] == notes.of_method("nce")
    assert "77.9" in texts[-1]
    assert not any("77.9" in text for text in notes.of_row(*row(2, "NCE")))
    assert any("scaling=authors" in text for text in notes.of_row(*row(8, "Hard")))


def test_a_table_says_how_a_change_is_taken():
    assert any("seed by seed" in text for text in notes.of_table(paper_tables.get(7)))
    assert notes.of_table(paper_tables.get(1)) == []


def test_every_figure_of_retrieval_is_defined():
    text = " ".join(notes.retrieval())
    for name in ("R@K", "mAP@R", "NMI", "NMI (geometric)", "ARI", "Clustering accuracy"):
        assert name in text


def test_a_method_without_remarks_has_none():
    assert notes.of_method("somebody-elses") == []
    assert notes.of_row(*row(2, "HMP")) == []


def test_remarks_on_seen_classes_do_not_stand_at_unseen_ones():
    assert notes.of_method("nce", unseen=True) != notes.of_method("nce")
    assert notes.of_row(*row(4, "NCE")) == notes.of_method("nce", unseen=True)
    assert not any("learning-rate step" in text for text in notes.of_row(*row(5, "Ours")))
    assert any("batch normalisation" in text for text in notes.of_row(*row(6, "Random")))


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_tables_on_unseen_classes_define_their_figures_and_say_which_epoch(number):
    text = " ".join(notes.of_table(paper_tables.get(number)))
    for words in ("R@K:", "NMI:", "arithmetic mean", "geometric mean", "of the last epoch"):
        assert words in text


def test_rows_whose_settings_the_paper_does_not_state_say_so():
    for number in (3, 4, 5):
        assert any("number of clusters" in t for t in notes.of_row(*row(number, "DeepCluster")))
        assert any("untrained" in t for t in notes.of_row(*row(number, "Initial (FC)")))
    assert any("neither epochs nor learning rate" in t for t in notes.of_table(paper_tables.get(6)))
