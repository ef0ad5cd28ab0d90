from benchmarks.report.data.compare import planned
from benchmarks.runs import paper_tables

BIRDS = {"dataset": "cub200", "recipe": "unseen-quick"}


def test_a_planned_comparison_has_the_recipe_and_no_runs():
    comparison = planned("cifar10", "quick")
    assert (comparison.recipe["epochs"], comparison.groups, comparison.seeds) == (12, (), 0)
    assert comparison.slug == "quick"


def test_a_part_of_a_data_set_is_a_comparison_of_its_own_and_says_so(results):
    results.add("nce", [20.0], **BIRDS)
    results.add("nce", [20.0], partial=True, **BIRDS)
    whole, part = sorted(results.comparisons(), key=lambda c: c.partial)
    assert (whole.label, part.label) == ("unseen-quick", "unseen-quick, part of the data set")
    assert (whole.slug, part.slug) == ("unseen-quick", "unseen-quick-partial")


def test_unseen_classes_are_compared_by_recall_and_its_protocol(results):
    results.add("nce", [20.0], **BIRDS)
    results.add("nce", [20.0])
    birds, small = sorted(results.comparisons(), key=lambda c: c.dataset_name, reverse=True)
    assert (birds.headline, small.headline) == (paper_tables.RECALL_AT_1, paper_tables.KNN)
    assert birds.groups[0].protocol == "test-against-test-self-excluded@embedding"
    assert small.groups[0].protocol == "knn-200-0.1@embedding"
    assert planned("products", "unseen").headline == paper_tables.RECALL_AT_1
    assert (
        planned("stl10", "stl10").headline
        == planned("folder", "paper").headline
        == paper_tables.KNN
    )
