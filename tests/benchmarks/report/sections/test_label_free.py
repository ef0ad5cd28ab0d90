from pathlib import Path

import pytest

from benchmarks.report.data.compare import planned
from benchmarks.report.render import plot_style
from benchmarks.report.sections import label_free
from benchmarks.report.text.commands import Commands

COMMANDS = Commands(Path("results"))
METHODS = ("random-cnn", "exemplar", "nce", "triplet", "invaspread")
KNN = (30.0, 40.0, 45.0, 50.0, 60.0)


def add(results, method, knn, agreement, **run):
    figures = {
        "alignment": 0.5,
        "uniformity": -2.0 - knn / 100,
        "effective_rank": 12.34,
        "view_agreement": agreement,
    }
    return results.add(method, [10.0, knn], figures=figures, **run)


def section_of(results):
    return label_free.section(results.comparison(), COMMANDS)


def test_the_table_has_the_figures_beside_knn_with_their_spread(results):
    add(results, "nce", 40.0, 20.0)
    add(results, "nce", 42.0, 23.0, seed=1)
    (table,) = section_of(results).tables
    (row,) = table.rows
    assert [column.key for column in table.shown] == [
        "method", "knn", "alignment", "uniformity", "effective_rank", "view_agreement", "seeds",
    ]  # fmt: skip
    assert {key: cell.text for key, cell in row.cells.items() if key != "method"} == {
        "knn": "41.0 ± 1.4",
        "alignment": "0.500 ± 0.000",
        "uniformity": "−2.410 ± 0.014",
        "effective_rank": "12.3 ± 0.0",
        "view_agreement": "21.5 ± 2.1",
        "seeds": "2",
    }
    assert row.data["view_agreement"] == 21.5
    assert row.data["uniformity"] == pytest.approx(-2.41)


@pytest.mark.parametrize(
    ("agreements", "expected"),
    [
        ((1, 2, 3, 4, 5), "agreement of views ↑ +1.00 (5 methods)"),
        ((5, 4, 3, 2, 1), "agreement of views ↑ −1.00 (5 methods)"),
        ((1, 2, 3, 5, 4), "agreement of views ↑ +0.90 (5 methods)"),  # 1 - 6 · 2 / (5 · 24)
        ((2, 1, 4, 3, 5), "agreement of views ↑ +0.80 (5 methods)"),
        ((2, 2, 2, 2, 2), "agreement of views ↑ not defined (all equal, 5 methods)"),
    ],
)
def test_the_rank_correlation_with_knn_is_told(results, agreements, expected):
    for method, knn, agreement in zip(METHODS, KNN, agreements, strict=True):
        add(results, method, knn, float(agreement))
    note = section_of(results).tables[0].general_notes[-1]
    assert expected in note
    assert "uniformity ↓ −1.00 (5 methods)" in note
    assert "alignment ↓ not defined (all equal, 5 methods)" in note


def test_too_few_methods_are_said_to_be_too_few(results):
    for method, knn in zip(METHODS[:3], KNN, strict=False):
        add(results, method, knn, knn)
    note = section_of(results).tables[0].general_notes[-1]
    assert "uniformity ↓ not given (3 of at least 4 methods)" in note
    assert "+1.00" not in note


def test_a_method_without_a_figure_is_left_out_of_its_correlation_only(results):
    for method, knn in zip(METHODS[:4], KNN, strict=False):
        add(results, method, knn, knn)
    results.add("invaspread", [10.0, 60.0], figures={"uniformity": -1.0})
    note = section_of(results).tables[0].general_notes[-1]
    assert "uniformity ↓ +0.00 (5 methods)" in note
    assert "agreement of views ↑ +1.00 (4 methods)" in note


def test_a_picture_a_figure_names_every_method(results, texts):
    for method, knn in zip(METHODS, KNN, strict=True):
        add(results, method, knn, knn)
    results.add("npsoftmax", [10.0, 60.0])  # an older record
    plots = section_of(results).plots
    assert len(plots) == len({plot.slug for plot in plots}) == 4
    for plot in plots:
        assert set(METHODS) <= set(texts(plot.svg))
        assert "npsoftmax" not in texts(plot.svg)
        for method in METHODS:
            assert plot_style.style(method)[0].lower() in plot.svg
        assert plot.svg == plot.draw()


def test_names_are_text_and_never_markup(results):
    add(results, "nce", 40.0, 20.0, changed={"form": "<b>$x^2$"})
    add(results, "exemplar", 50.0, 30.0)
    for plot in section_of(results).plots:
        assert "<b>" not in plot.svg
        assert "&lt;b&gt;" in plot.svg


def test_one_method_alone_needs_no_plot(results):
    add(results, "nce", 40.0, 20.0)
    assert section_of(results).plots == ()


def test_images_without_labels_have_the_table_without_knn(results):
    results.add("nce", [None, None], dataset="folder", figures={"alignment": 0.4})
    results.add("exemplar", [None, None], dataset="folder", figures={"alignment": 0.3})
    section = section_of(results)
    (table,) = section.tables
    assert [column.key for column in table.shown] == ["method", "alignment", "seeds"]
    assert len(table.general_notes) == 1
    assert section.plots == ()


def test_without_figures_there_is_no_section(results):
    results.add("nce", [20.0])
    assert not section_of(results)
    assert not label_free.section(planned("cifar10", "paper"), COMMANDS)


def test_methods_on_unseen_classes_are_compared_by_recall(results):
    for method, recall, agreement in zip(METHODS, KNN, (1, 2, 3, 4, 5), strict=True):
        figures = {"view_agreement": float(agreement)}
        results.add(method, [10.0, recall], dataset="cub200", figures=figures)
    section = section_of(results)
    (table,) = section.tables
    assert [column.title for column in table.shown][:2] == ["Method", "R@1 (%)"]
    assert any("as R@1 does?" in note for note in table.general_notes)
    assert [plot.caption for plot in section.plots] == ["R@1 against agreement of views"]
