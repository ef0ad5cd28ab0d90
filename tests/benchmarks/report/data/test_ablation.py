import statistics

import pytest

from benchmarks.report.data import ablation
from benchmarks.runs import paper_tables

KEY = "knn@embedding"
FLIP = {"augmentation.flip": 0.0}


def groups_of(results):
    return results.comparison().groups


def row(number, name):
    (found,) = [row for row in paper_tables.get(number).rows if row.published == name]
    return paper_tables.get(number), found


@pytest.mark.parametrize(
    ("number", "name", "change"),
    [(7, "w/o R", 56.2 - 83.6), (8, "Hard", 83.2 - 83.6), (7, "Full", None), (1, "NCE", None)],
)
def test_the_papers_change_is_taken_from_its_figures(number, name, change):
    found = ablation.published_change(*row(number, name))
    assert found == (None if change is None else pytest.approx(change))


def test_a_row_that_the_paper_does_not_have_has_no_change():
    assert ablation.published_change(paper_tables.get(7), None) is None
    assert ablation.published_change(paper_tables.get(7), paper_tables.Row("w/o X")) is None


def test_the_measured_change_pairs_seeds(results):
    full, without = {0: 50.0, 1: 54.0, 2: 51.0}, {0: 48.0, 1: 51.0, 3: 10.0}
    for seed, knn in full.items():
        results.add("invaspread", [knn], seed=seed)
    for seed, knn in without.items():
        results.add("invaspread", [knn], seed=seed, recipe_changed=FLIP)
    reference, group = groups_of(results)
    found = ablation.measured_change(group, [reference], KEY)
    differences = [48.0 - 50.0, 51.0 - 54.0]
    assert found.mean == pytest.approx(statistics.mean(differences))
    assert found.sd == pytest.approx(statistics.stdev(differences))
    assert ablation.measured_change(reference, [reference], KEY) is None
    assert ablation.measured_change(group, [], KEY) is None


def test_without_a_shared_seed_or_in_another_precision_there_is_no_change(results):
    results.add("invaspread", [50.0], seed=0)
    results.add("invaspread", [48.0], seed=1, recipe_changed=FLIP)
    results.add(
        "invaspread", [48.0], seed=0, recipe_changed=FLIP, environment={"precision": "bf16"}
    )
    reference, *others = groups_of(results)
    assert [ablation.measured_change(group, [reference], KEY) for group in others] == [None, None]


def test_cells_carry_their_sign(results):
    assert ablation.signed(-0.34) == "−0.3"
    assert ablation.signed(1.26, 0.04) == "+1.3 ± 0.0"
    assert ablation.cells(None, None) == {}
    assert ablation.cells(-27.4, None)[ablation.PUBLISHED].value == -27.4
