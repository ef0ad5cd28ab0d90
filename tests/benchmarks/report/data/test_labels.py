import pytest

from benchmarks.report.data.labels import beyond_recipe
from benchmarks.report.data.labels import labels as labels_of

BIRDS = {"dataset": "cub200", "recipe": "unseen-quick"}
FILE = {"file": "googlenet.h5", "sha256": "ab" * 32, "published": True}


def labels(comparison):
    return [group.label for group in comparison.groups]


def ablate(**fields):
    return {"recipe_changed": {f"augmentation.{name}": value for name, value in fields.items()}}


def test_defaults_are_told_where_the_paper_states_them_or_nothing_else_tells_groups_apart(results):
    results.add("deepcluster", [20.0], hyper_parameters={"clusters": 1000})
    results.add("deepcluster", [20.0], changed={"clusters": 10})
    for default in (0.1, 0.07):  # a default that changed between two versions
        results.add("nce", [20.0], hyper_parameters={"temperature": default})
    assert labels(results.comparisons()[0]) == [
        "deepcluster (clusters = 1000)",
        "deepcluster (clusters = 10)",
        "nce (temperature = 0.1)",
        "nce (temperature = 0.07)",
    ]


def test_an_only_variant_is_named_by_what_was_changed(results):
    results.add("invaspread", [30.0], hyper_parameters={"form": "eq7"}, changed={"bn_groups": 2})
    assert labels(results.comparisons()[0]) == ["invaspread (bn_groups = 2)"]


@pytest.mark.parametrize(
    ("changed", "beyond"),
    [({"clusters": 100}, {}), ({"clusters": 50}, {"clusters": 50}), ({"x": 1}, {"x": 1})],
)
def test_what_the_recipe_sets_is_not_a_change_of_the_command(results, changed, beyond):
    results.add("deepcluster", [20.0], recipe="digits", dataset="digits", changed=changed)
    (comparison,) = results.comparisons()
    assert beyond_recipe(comparison.groups[0], comparison.recipe) == beyond


def test_variants_are_told_apart_within_an_ablation_only(results):
    results.add("invaspread", [30.0], hyper_parameters={"negatives": "all"})
    results.add("invaspread", [20.0], changed={"negatives": "hard"})
    results.add(
        "invaspread", [20.0], hyper_parameters={"negatives": "all"}, **ablate(crop_scale=None)
    )
    assert labels(results.comparisons()[0]) == [
        "invaspread",
        "invaspread (negatives = hard)",
        "invaspread, without crop",
    ]


def test_one_file_of_weights_goes_without_saying(results):
    for seed in range(2):
        results.add("nce", [20.0], dataset="cars196", recipe="unseen", seed=seed, weights=FILE)
    assert labels(results.comparison()) == ["nce"]


def test_what_learns_from_labels_says_so_in_its_label(results):
    results.add("lifted", [20.0], uses_labels=True, changed={"margin": 0.5}, **BIRDS)
    results.add("lifted", [20.0], uses_labels=True, recipe_changed={"augmentation.flip": 0.0},
                hyper_parameters={"margin": 1.0}, **BIRDS)  # fmt: skip
    assert labels(results.comparison()) == [
        "lifted (margin = 0.5), learns from labels",
        "lifted, learns from labels, without flip",
    ]


def test_no_two_groups_are_called_the_same(results):
    for noise in (64, 128):
        for flip in (0.0, 0.5):
            results.add("nce", [20.0], changed={"noise": noise},
                        recipe_changed={"augmentation.flip": flip})  # fmt: skip
    results.add("nce", [20.0], environment={"precision": "bf16"}, changed={"noise": 64})
    found = [group.label for group in results.comparison().groups]
    assert len(set(found)) == len(found) == 5


def test_without_groups_there_are_no_labels():
    assert labels_of([], {}) == []
