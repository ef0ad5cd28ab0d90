import math

import pytest
import torch

from helpers.arrays import unit
from methods.lifted import Lifted, lifted_structure_loss
from methods.testing.toy import Trial, toy_encoder

LABELS = torch.tensor([4, 1, 4, 1, 1, 9])


def naive(embeddings, labels, margin):
    count, terms = len(embeddings), []
    for i in range(count):
        for j in range(i + 1, count):
            if labels[i] != labels[j]:
                continue
            total = sum(
                (margin - (embeddings[one] - embeddings[k]).norm()).exp()
                for one in (i, j)
                for k in range(count)
                if labels[k] != labels[one]
            )
            bound = total.log() + (embeddings[i] - embeddings[j]).norm()
            terms.append(torch.relu(bound) ** 2)
    return sum(terms) / (2 * len(terms))


@pytest.mark.parametrize("margin", [0.1, 1.0, 3.0])
def test_value_and_gradient_are_those_of_a_loop(margin):
    results = []
    for function in (lifted_structure_loss, naive):
        rows = unit(6, 4).requires_grad_()
        loss = function(rows, LABELS, margin)
        results.append((loss, *torch.autograd.grad(loss, rows)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_two_pairs_in_closed_form():
    rows = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    expected = max(0, math.log(4 * math.exp(3 - 2))) ** 2 / 2
    found = lifted_structure_loss(rows, torch.tensor([0, 0, 1, 1]), 3.0)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_margin_is_one():
    rows = unit(6, 4)
    assert lifted_structure_loss(rows, LABELS) == lifted_structure_loss(rows, LABELS, 1.0)


@pytest.mark.parametrize("labels", [[5] * 6, list(range(6))], ids=["one class", "no pair"])
def test_without_pairs_or_negatives_there_is_nothing_to_lose(labels):
    rows = unit(6, 4).float().requires_grad_()
    loss = lifted_structure_loss(rows, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert not rows.grad.any()


def test_a_collapsed_embedding_has_a_finite_gradient():
    rows = torch.ones(6, 4).requires_grad_()
    lifted_structure_loss(rows, LABELS).backward()
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize(
    ("labels", "margin", "message"),
    [
        (LABELS[:5], 1.0, r"labels: expected shape \(6,\), got \(5,\)"),
        (LABELS.float(), 1.0, "labels: expected integers"),
        (LABELS, 0, "margin: expected"),
    ],
)
def test_wrong_arguments_are_named(labels, margin, message):
    with pytest.raises(ValueError, match=message):
        lifted_structure_loss(unit(6, 4), labels, margin)


def test_the_constructor_refuses_a_margin_of_0():
    with pytest.raises(ValueError, match="margin: expected"):
        Lifted(toy_encoder(), 10, margin=0)


def test_the_method_looks_labels_up_by_image_number():
    torch.manual_seed(0)
    trial = Trial(Lifted, {"margin": 0.7, "per_class": 3})
    batch = trial.batch(8)
    rows = trial.method.embed(batch.views[0]).detach().double()
    expected = naive(rows, trial.method.labels[batch.index], 0.7)
    assert trial.method.loss(batch).item() == pytest.approx(expected.item(), abs=1e-5)
