import pytest
import torch

from benchmarks.common.errors import UsageProblem
from benchmarks.training.recipe import Recipe
from benchmarks.training.sampling import check_batch_size, split_order
from helpers.training import Probe


@pytest.mark.parametrize(
    ("images", "size", "drop_last", "sizes"),
    [
        (10, 4, True, [4, 4]), (10, 4, False, [4, 4, 2]), (9, 4, False, [4, 5]),
        (9, 4, True, [4, 4]), (8, 4, True, [4, 4]), (1, 4, False, [1]), (3, 4, False, [3]),
    ],
)  # fmt: skip
def test_an_order_is_cut_into_batches(images, size, drop_last, sizes):
    order = torch.randperm(images, generator=torch.Generator().manual_seed(0))
    batches = split_order(order, size, drop_last)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order[: sum(sizes)])


@pytest.mark.parametrize(
    ("groups", "of", "size", "drop_last", "sizes"),
    [
        (5, 3, 8, True, [6, 6]), (5, 3, 8, False, [6, 6, 3]), (4, 3, 8, True, [6, 6]),
        (5, 8, 8, True, [8] * 5), (4, 2, 5, False, [4, 4]), (3, 1, 2, False, [3]),
    ],
)  # fmt: skip
def test_groups_stay_together(groups, of, size, drop_last, sizes):
    order = torch.arange(groups * of).view(groups, of)
    batches = split_order(order, size, drop_last)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order.flatten()[: sum(sizes)])
    assert all(batch[0] % of == 0 for batch in batches)


def test_a_group_larger_than_a_batch_is_refused():
    with pytest.raises(UsageProblem, match=r"batch_size: expected at least 9, .* found 8"):
        split_order(torch.arange(18).view(2, 9), 8, True)


def test_a_batch_is_filled_where_a_smaller_one_is_left_out():
    recipe = Recipe(name="t", epochs=1, lr_factors={}, batch_size=16)
    for instances, drop_last in ((16, True), (4, False)):
        check_batch_size(Probe(drop_last=drop_last), recipe, instances)
    with pytest.raises(UsageProblem, match=r"at most 15.*found 16.*recipe.batch_size"):
        check_batch_size(Probe(), recipe, 15)
