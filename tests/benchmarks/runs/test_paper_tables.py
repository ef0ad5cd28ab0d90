import pytest

from benchmarks import backbones
from benchmarks.common.errors import UsageProblem
from benchmarks.data import datasets
from benchmarks.data.transforms.augment import Augmentation
from benchmarks.runs import paper_tables
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.overrides import resolve
from methods import get

R1, R8, R100 = (
    paper_tables.RECALL_AT_1,
    paper_tables.recall_at(8)[1],
    paper_tables.recall_at(100)[1],
)
RUNS = [(table, row) for table in paper_tables.TABLES.values() for row in table.rows if row.method]


def row(number, name):
    (found,) = [row for row in paper_tables.get(number).rows if row.published == name]
    return found


@pytest.mark.parametrize(
    ("number", "metric", "values"),
    [
        (1, paper_tables.KNN, [32.1, 44.4, 67.6, 74.5, 80.8, 80.4, 57.5, 78.4, 83.6]),
        (2, paper_tables.LINEAR, [None, 60.1, 64.5, 74.3, 75.4, 62.3, 61.9, 56.5, 69.5, 77.9]),
        (2, paper_tables.KNN, [22.4, None, None, None, None, 66.8, 66.2, 61.2, 74.1, 81.6]),
        (3, R1, [39.2, 43.6, 48.2, 45.9, 49.8, 40.8, 38.2, 39.2, 42.9, 45.3, 46.2]),
        (3, R8, [78.2, 79.6, 81.9, 79.8, 83.3, 76.0, 75.0, 75.8, 76.2, 78.4, 80.2]),
        (3, paper_tables.NMI, [51.4, 56.5, 59.2, 58.1, 59.9, 52.6, 45.0, 45.1, 53.0, 55.0, 55.4]),
        (4, R1, [40.8, 45.0, 46.6, 34.6, 43.3, 48.9]),
        (4, R100, [72.1, 75.2, 76.8, 66.8, 73.2, 78.0]),
        (5, R1, [35.1, 36.5, 37.5, 32.6, 35.5, 41.3]),
        (5, paper_tables.NMI, [38.3, 35.4, 35.6, 38.5, 38.6, 35.8]),
        (6, R1, [18.4, 31.5, 34.4, 16.3, 39.7]),
        (6, paper_tables.NMI, [79.8, 82.9, 84.1, 80.6, 84.7]),
        (7, paper_tables.KNN, [83.6, 56.2, 79.3, 75.7, 82.6]),
        (8, paper_tables.KNN, [83.6, 37.4, 83.2, 57.5]),
    ],
)
def test_a_table_holds_every_published_row_in_order(number, metric, values):
    table = paper_tables.get(number)
    published = paper_tables.published_tables()
    names = published[published.table == number].method.drop_duplicates().tolist()
    assert [row.published for row in table.rows] == names
    assert {m.published for m in table.metrics} == set(published[published.table == number].metric)
    assert [paper_tables.published_value(table, row, metric) for row in table.rows] == values


@pytest.mark.parametrize(("table", "row"), RUNS, ids=lambda x: getattr(x, "published", None))
def test_rows_are_runs_that_exist(table, row):
    resolve(get(row.method), row.hyper_parameters)
    recipe = recipes.read(table.recipe).recipe
    changed = recipes.resolve(recipe, row.recipe)
    assert (changed == recipe) == (not row.recipe)
    assert row.split in (None, *datasets.get(table.dataset).splits)


def test_only_rows_without_a_method_are_quoted():
    quoted = [r for t in paper_tables.TABLES.values() for r in t.rows if r.quoted]
    assert [r.published for r in quoted] == [
        "k-MeansNet", "HMP", "Satck", "Exemplar",
        "Lifted", "Clustering", "Triplet+", "Smart+", "Cyclic",
    ]  # fmt: skip
    assert all(
        bool(r.method) != bool(r.quoted) for t in paper_tables.TABLES.values() for r in t.rows
    )
    assert all(r.quoted in paper_tables.published_note(paper_tables.get(2), r) for r in quoted[:4])
    assert all(
        r.quoted in paper_tables.published_note(paper_tables.get(3), r) for r in quoted[4:-1]
    )


def test_the_reference_is_a_row_that_changes_nothing():
    for table in paper_tables.TABLES.values():
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
    assert (paper_tables.KNN.suffix, paper_tables.LINEAR.suffix) == ("", "_linear")


def test_unseen_classes_are_compared_by_recall():
    assert [t.number for t in paper_tables.TABLES.values() if t.headline == R1] == [3, 4, 5, 6]
    assert paper_tables.headline(unseen=True) == R1 == paper_tables.get(4).metrics[0]
    assert paper_tables.headline(unseen=False) == paper_tables.get(2).headline == paper_tables.KNN
    assert (R1.suffix, R8.suffix, paper_tables.NMI.suffix) == ("", "_recall_at_8", "_nmi")


def test_figure_3_names_exist():
    assert set(paper_tables.FIGURE_3.values()) <= set(paper_tables.published_figure_3().method)
    for method in paper_tables.FIGURE_3:
        get(method)


def test_tables_of_a_data_set_come_by_number():
    assert [table.number for table in paper_tables.on("cifar10")] == [1, 7, 8]
    assert paper_tables.on("digits") == []


@pytest.mark.parametrize(
    ("dataset", "recipe", "numbers"),
    [
        ("products", "unseen", [4]),
        ("products", "unseen-scratch", [6]),
        ("products", "unseen-quick", [6]),
        ("cub200", "cub200", [3]),
        ("cub200", "unseen-quick", [3]),
        ("cars196", "unseen-scratch", [5]),
        ("cifar10", "paper", [1, 7, 8]),
        ("digits", "digits", []),
    ],
)
def test_tables_of_one_data_set_differ_in_how_networks_start(dataset, recipe, numbers):
    pretrained = backbones.get(recipes.read(recipe).recipe.backbone).weights is not None
    assert [table.number for table in paper_tables.fitting(dataset, pretrained)] == numbers


def test_a_table_is_made_by_a_recipe_that_fits_it():
    for table in paper_tables.TABLES.values():
        backbone = recipes.read(table.recipe).recipe.backbone
        weights = backbones.get(backbone).weights
        assert table in paper_tables.fitting(table.dataset, weights is not None)
        assert table.weights == ("" if weights is None else weights.file)
    assert paper_tables.fitting("stl10", pretrained=True) == [paper_tables.get(2)]


def test_unknown_table_lists_known_ones():
    with pytest.raises(UsageProblem, match="Known: 1, 2, 3, 4, 5, 6, 7, 8"):
        paper_tables.get(99)
