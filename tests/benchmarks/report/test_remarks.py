from benchmarks.report import remarks
from benchmarks.tables import TABLES


def test_remarks_belong_to_methods_of_the_paper_and_close_their_code():
    methods = {row.method for table in TABLES.values() for row in table.rows}
    assert set(remarks._remarks()["methods"]) <= methods
    for texts in remarks._remarks()["methods"].values():
        for text in texts:
            assert text.count("`") % 2 == 0
            assert text.endswith(".")


def test_the_head_start_of_the_papers_figures_is_told():
    assert any("best over all epochs on the test set" in text for text in remarks.reading())


def test_remarks_on_the_papers_curves_come_only_with_them():
    measured = remarks.efficiency(in_paper=False)
    assert measured
    assert remarks.efficiency(in_paper=True)[-len(measured) :] == measured
    assert not any("Figure 3" in text for text in measured)


def test_a_method_without_remarks_has_none():
    assert remarks.of_method("somebody-elses") == []
