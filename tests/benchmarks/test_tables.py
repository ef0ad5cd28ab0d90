import pytest

from benchmarks import datasets, recipes, tables
from benchmarks.augment import Augmentation
from benchmarks.errors import UsageProblem
from benchmarks.hyper_parameters import resolve
from methods import get

RUNS = [(table, row) for table in tables.TABLES.values() for row in table.rows if row.method]


def row(number, name):
    (found,) = [row for row in tables.get(number).rows if row.published == name]
    return found


@pytest.mark.parametrize(
    ("number", "metric", "values"),
    [
        (1, tables.KNN, [32.1, 44.4, 67.6, 74.5, 80.8, 80.4, 57.5, 78.4, 83.6]),
        (2, tables.LINEAR, [None, 60.1, 64.5, 74.3, 75.4, 62.3, 61.9, 56.5, 69.5, 77.9]),
        (2, tables.KNN, [22.4, None, None, None, None, 66.8, 66.2, 61.2, 74.1, 81.6]),
        (7, tables.KNN, [83.6, 56.2, 79.3, 75.7, 82.6]),
        (8, tables.KNN, [83.6, 37.4, 83.2, 57.5]),
    ],
)
def test_a_table_holds_every_published_row_in_order(number, metric, values):
    table = tables.get(number)
    published = tables.published_tables()
    names = published[published.table == number].method.drop_duplicates().tolist()
    assert [row.published for row in table.rows] == names
    assert {m.published for m in table.metrics} == set(published[published.table == number].metric)
    assert [tables.published_value(table, row, metric) for row in table.rows] == values


@pytest.mark.parametrize(("table", "row"), RUNS, ids=lambda x: getattr(x, "published", None))
def test_rows_are_runs_that_exist(table, row):
    resolve(get(row.method), row.hyper_parameters)
    recipe = recipes.read(table.recipe).recipe
    changed = recipes.resolve(recipe, row.recipe)
    assert (changed == recipe) == (not row.recipe)
    assert row.split in (None, *datasets.get(table.dataset).splits)


def test_only_rows_without_a_method_are_quoted():
    quoted = [r for t in tables.TABLES.values() for r in t.rows if r.quoted]
    assert [r.published for r in quoted] == ["k-MeansNet", "HMP", "Satck", "Exemplar"]
    assert all(bool(r.method) != bool(r.quoted) for t in tables.TABLES.values() for r in t.rows)
    assert all(r.quoted in tables.published_note(tables.get(2), r) for r in quoted)


def test_the_reference_is_a_row_that_changes_nothing():
    for table in tables.TABLES.values():
        if table.reference:
            assert row(table.number, table.reference).settings == {}


@pytest.mark.parametrize(
    ("number", "name", "transforms"),
    [
        (7, "w/o R", ["crop"]),
        (7, "w/o G", ["grayscale"]),
        (7, "w/o C", ["jitter"]),
        (7, "w/o F", ["flip"]),
        (8, "No DA", ["crop", "jitter", "grayscale", "flip"]),
    ],
)
def test_a_row_leaves_its_transforms_out_and_nothing_else(number, name, transforms):
    recipe = recipes.resolve(recipes.read("paper").recipe, row(number, name).recipe)
    assert recipe.augmentation == Augmentation().without(*transforms)


def test_a_figure_that_is_not_the_knn_accuracy_has_columns_of_its_own():
    assert (tables.KNN.suffix, tables.LINEAR.suffix) == ("", "_linear")


def test_figure_3_names_exist():
    assert set(tables.FIGURE_3.values()) <= set(tables.published_figure_3().method)
    for method in tables.FIGURE_3:
        get(method)


def test_tables_of_a_data_set_come_by_number():
    assert [table.number for table in tables.on("cifar10")] == [1, 7, 8]
    assert tables.on("digits") == []


def test_unknown_table_lists_known_ones():
    with pytest.raises(UsageProblem, match="Known: 1, 2, 7, 8"):
        tables.get(99)
