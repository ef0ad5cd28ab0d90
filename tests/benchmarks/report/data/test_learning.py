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
