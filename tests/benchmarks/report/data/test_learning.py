import pytest

from benchmarks.report.data import learning


@pytest.mark.parametrize(
    ("method", "stated", "digitised"),
    [
        ("invaspread", 2, 5.7),
        ("nce", 25, 30.6),
        ("exemplar", 45, 56.3),
        ("deepcluster", None, 68),
        ("triplet", None, None),
    ],
)
def test_the_papers_epochs_come_from_its_text_and_its_figure(method, stated, digitised):
    assert learning.published_epochs(method, "text_stated") == stated
    assert learning.published_epochs(method, "digitised") == digitised


@pytest.mark.parametrize(
    ("untrained", "tops", "target"),
    [
        (30.0, {"nce": 21.0, "triplet": 39.7, "triplet-hard": 38.4, "invaspread": 53.0}, 35.0),
        (30.0, {"nce": 85.0, "invaspread": 84.9}, 80.0),
        (30.0, {"nce": 31.0, "invaspread": 53.0}, None),
        (30.0, {"invaspread": 53.0}, None),
    ],
)
def test_the_own_target_is_the_highest_that_two_methods_share(results, untrained, tops, target):
    results.add("random-cnn", [untrained])
    for method, top in tops.items():
        results.add(method, [20.0, top, top - 1])
    results.add("invaspread", [20.0, 53.0], changed={"temperature": 0.05})  # not another method
    assert learning.own_target(results.comparison()) == target


def test_curves_have_a_row_for_each_group_and_evaluated_epoch(results):
    results.add("nce", [20.0, None, 40.0])
    results.add("nce", [30.0, None, 44.0], seed=1)
    results.add("invaspread", [50.0, 60.0, 70.0])
    results.add("invaspread", [1.0, 2.0, 3.0], recipe_changed={"augmentation.flip": 0.0})
    results.fail("triplet", "loss is nan")
    found = learning.curves(results.comparison())
    rows = list(zip(found["label"], found["epoch"], found["knn"], found["seeds"], strict=True))
    assert rows == [
        ("nce", 1, 25.0, 2), ("nce", 3, 42.0, 2),
        ("invaspread", 1, 50.0, 1), ("invaspread", 2, 60.0, 1), ("invaspread", 3, 70.0, 1),
    ]  # fmt: skip


def test_nothing_evaluated_makes_no_curves(results):
    results.fail("triplet", "loss is nan")
    assert learning.shown_groups(results.comparison()) == []
    assert learning.curves(results.comparison()).empty


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"recipe": "paper"}, True),
        ({"recipe": "paper", "changed": {"temperature": 0.05}}, False),
        ({"recipe": "paper", "recipe_changed": {"train_images": 500}}, False),
        ({"recipe": "digits", "dataset": "digits"}, False),
    ],
)
def test_the_papers_points_are_of_its_data_its_images_and_its_variant_alone(
    results, options, shown
):
    results.add("invaspread", [50.0, 60.0], **options)
    comparison = results.comparison()
    points = learning.published_points(comparison.groups[0], comparison)
    assert bool(points) is shown
    assert points == sorted(points)
    assert all(epoch >= 0 and 0 <= knn <= 100 for epoch, knn in points)


def test_a_method_that_figure_3_lacks_has_no_points(results):
    results.add("somebody-elses", [50.0, 60.0], recipe="paper")
    comparison = results.comparison()
    assert learning.published_points(comparison.groups[0], comparison) == []
    assert learning.published_epochs("somebody-elses", "digitised") is None


def test_two_comparisons_of_a_data_set_have_files_of_their_own(results):
    results.add("nce", [50.0, 60.0])
    results.add("nce", [50.0, 60.0], recipe_changed={"epochs": 2})
    first, second = map(learning.slug, results.comparisons())
    assert first != second
