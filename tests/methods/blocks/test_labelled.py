import pytest
import torch

from methods.blocks.labelled import groups_of_classes
from methods.lifted import Lifted
from methods.testing.toy import toy_encoder

LABELS = torch.tensor([7] * 9 + [0] * 4 + [3] * 1 + [7] * 3)


def order(seed=0, size=4, labels=LABELS):
    return groups_of_classes(labels, size, torch.Generator().manual_seed(seed))


def method():
    return Lifted(toy_encoder(), len(LABELS))


@pytest.mark.parametrize("size", [2, 4, 20])
def test_an_epoch_visits_each_image_once_in_groups_of_a_class(size):
    found = order(size=size)
    assert sorted(found.tolist()) == list(range(len(LABELS)))
    visited, groups = LABELS[found].tolist(), 1
    for position in range(1, len(visited)):
        groups += visited[position] != visited[position - 1]
    fewest = sum(-(-int(count) // size) for count in LABELS.unique(return_counts=True)[1])
    assert groups <= fewest
    for label, count in zip(*LABELS.unique(return_counts=True), strict=True):
        runs = [len(run) for run in "".join("x" if v == label else " " for v in visited).split()]
        assert sum(run % size != 0 for run in runs) <= int(count % size != 0)


def test_a_large_class_is_spread_over_the_epoch():
    labels = torch.arange(10).repeat_interleave(40)
    firsts = [(labels[order(seed, 4, labels)][:40].unique()).numel() for seed in range(5)]
    assert min(firsts) >= 4


def test_order_follows_the_seed_and_mixes_the_members_of_a_class():
    assert torch.equal(order(), order())
    labels = torch.zeros(8, dtype=torch.long)
    partners = {frozenset(order(seed, 4, labels)[:4].tolist()) for seed in range(20)}
    assert len(partners) > 10


def test_sample_uses_the_labels():
    bound = method()
    bound.set_labels(LABELS)
    found = bound.sample(torch.Generator().manual_seed(0))
    assert torch.equal(found, order())
    assert torch.equal(bound.state_dict()["labels"], LABELS)


def test_training_without_labels_is_refused():
    with pytest.raises(ValueError, match="lifted learns from labels: call set_labels"):
        method().sample(torch.Generator())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(5).long(), r"labels: expected shape \(17,\), got \(5,\)"),
        (torch.zeros(17), "labels: expected integers"),
        (torch.arange(17) - 2, "labels: .*found 2 below; lifted .* labelled split"),
        (torch.zeros(17).long(), "expected at least 2 classes.*found 1 classes of at most 17"),
        (torch.arange(17), "one of them with 2 images, found 17 classes of at most 1"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels, message):
    bound = method()
    with pytest.raises(ValueError, match=message):
        bound.set_labels(labels)
    assert (bound.labels == -1).all()


@pytest.mark.parametrize("per_class", [0, 1, 2.5])
def test_groups_need_two_images(per_class):
    with pytest.raises(ValueError, match="per_class: expected"):
        Lifted(toy_encoder(), 10, per_class=per_class)
