from decimal import Decimal, localcontext

import pytest
import torch

from methods.base import normalise
from methods.blocks.logits import log_one_minus_softmax, other_instances, similarity


def test_similarity_is_fp32_under_autocast():
    queries, keys = torch.randn(5, 64), torch.randn(7, 64)
    expected = (queries.double() @ keys.double().T / 0.05).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = similarity(queries, keys, 0.05)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_similarity_widens_bf16_and_keeps_float64():
    rows = normalise(torch.randn(4, 8))
    assert similarity(rows.bfloat16(), rows).dtype == torch.float32
    assert similarity(rows.double(), rows).dtype == torch.float64


@pytest.mark.parametrize(("instances", "views"), [(4, 1), (4, 2), (3, 3), (1, 2)])
def test_other_instances_are_all_rows_that_show_another_instance(instances, views):
    found = other_instances(instances, views, torch.device("cpu"))
    rows = range(instances * views)
    expected = [{r for r in rows if r % instances != row % instances} for row in rows]
    assert [set(row) for row in found.tolist()] == expected
    assert found.shape == (instances * views, (instances - 1) * views)


def exact_log_one_minus_softmax(logits: list[float], context: list[float]) -> list[float]:
    """In 300 digits, so that 1 - P keeps some however near P is to 1."""
    with localcontext(prec=300):
        weights = [Decimal(value).exp() for value in logits]
        total = sum(weights) + sum(Decimal(value).exp() for value in context)
        return [float(((total - weight) / total).ln()) for weight in weights]


@pytest.mark.parametrize(
    ("logits", "context"),
    [
        ([0.3, -1.0, 2.0], [0.5]),
        ([100.0, -50.0, 0.0], [-100.0]),
        ([20.0, 20.0, 0.0], [20.0]),
        ([1.0, 1.0], []),
        ([-100.0, -90.0], [100.0]),
        ([17.0], [0.0, 1.0]),
    ],
)
def test_log_one_minus_softmax_is_exact_and_so_is_its_gradient(logits, context):
    row = torch.tensor([logits], requires_grad=True)
    others = torch.tensor([context], requires_grad=True)
    found = log_one_minus_softmax(row, [others])
    expected = torch.tensor([exact_log_one_minus_softmax(logits, context)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-40)

    found.sum().backward()
    step = 1e-4
    for column in range(len(logits)):
        sides = [
            sum(
                exact_log_one_minus_softmax(
                    [value + sign * step * (c == column) for c, value in enumerate(logits)], context
                )
            )
            for sign in (1, -1)
        ]
        slope = (sides[0] - sides[1]) / (2 * step)
        assert row.grad[0, column].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert others.grad.isfinite().all()


def test_log_one_minus_softmax_of_nothing_and_of_a_lone_logit():
    assert log_one_minus_softmax(torch.zeros(2, 0), [torch.zeros(2, 1)]).shape == (2, 0)
    with pytest.raises(ValueError, match="at least 2 logits"):
        log_one_minus_softmax(torch.zeros(2, 1))
