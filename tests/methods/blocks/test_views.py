import numpy as np
import pytest
import torch

from methods.blocks.views import as_two_views, pairwise_logits


def test_views_keep_their_gradient_and_get_at_least_single_precision():
    first = torch.ones(3, 2, dtype=torch.bfloat16, requires_grad=True)
    found, second = as_two_views(first, np.ones((3, 2)))
    assert found.dtype == torch.float32
    assert found.requires_grad
    assert second.dtype == torch.float64


@pytest.mark.parametrize(
    ("first", "second", "least", "message"),
    [
        ((1, 2), (1, 2), 2, "first: expected at least 2 instances in a batch, got 1; raise the"),
        ((3, 2), (2, 2), 1, r"second: expected shape \(3, 2\), got \(2, 2\)"),
        ((3,), (3,), 1, r"first: expected shape \(n, d\), got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(first, second, least, message):
    with pytest.raises(ValueError, match=message):
        as_two_views(torch.ones(first), torch.ones(second), least)


def test_logits_are_cosines_of_all_pairs_but_the_own(unit):
    first, second = unit(3, 4), unit(3, 4, seed=1)
    logits, partner = pairwise_logits(first, second, 0.5)
    images = [*first, *second]
    for i, row in enumerate(logits.tolist()):
        expected = [float(images[i] @ image) / 0.5 for image in images]
        expected[i] = -torch.inf
        assert row == pytest.approx(expected)
    assert partner.tolist() == [3, 4, 5, 0, 1, 2]
