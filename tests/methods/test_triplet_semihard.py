import pytest
import torch

from helpers.arrays import unit
from methods.testing.toy import Trial, toy_encoder
from methods.triplet_semihard import TripletSemihard, semihard_triplet_loss

LABELS = torch.tensor([4, 1, 4, 1, 1, 9, 9, 4])


def naive(embeddings, labels, margin):
    def distance(i, j):
        return (embeddings[i] - embeddings[j]).square().sum()

    count, terms = len(embeddings), []
    for i in range(count):
        negatives = [distance(i, k) for k in range(count) if labels[k] != labels[i]]
        for j in range(count):
            if i == j or labels[i] != labels[j]:
                continue
            farther = [far for far in negatives if far > distance(i, j)]
            chosen = min(farther) if farther else max(negatives)
            terms.append(torch.relu(margin + distance(i, j) - chosen))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [0.2, 2.0])
def test_value_and_gradient_are_those_of_a_loop(margin, seed):
    results = []
    for function in (semihard_triplet_loss, naive):
        rows = unit(8, 3, seed=seed).requires_grad_()
        loss = function(rows, LABELS, margin)
        results.append((loss, *torch.autograd.grad(loss, rows)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def line(*positions):
    return torch.tensor(positions).unsqueeze(1)


def test_the_negative_is_the_closest_one_beyond_the_positive():
    rows, labels = line(0.0, 0.5, 0.1, 0.6, 0.9), torch.tensor([0, 0, 1, 2, 3])
    # from 0: .25 to the positive, .36 to the next; from .5: .25 and no farther one but .4^2 = .16
    expected = (0.2 + 0.25 - 0.36 + 0.2 + 0.25 - 0.16) / 2
    assert semihard_triplet_loss(rows, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("labels", [[5] * 8, list(range(8))], ids=["one class", "no pair"])
def test_without_pairs_or_negatives_there_is_nothing_to_lose(labels):
    rows = unit(8, 3).float().requires_grad_()
    loss = semihard_triplet_loss(rows, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert not rows.grad.any()


def test_a_collapsed_embedding_loses_the_margin_with_a_finite_gradient():
    rows = torch.ones(8, 3).requires_grad_()
    loss = semihard_triplet_loss(rows, LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(0.2)
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize(
    ("labels", "margin", "message"),
    [
        (LABELS[:5], 0.2, r"labels: expected shape \(8,\), got \(5,\)"),
        (LABELS.float(), 0.2, "labels: expected integers"),
        (LABELS, -1, "margin: expected"),
    ],
)
def test_wrong_arguments_are_named(labels, margin, message):
    with pytest.raises(ValueError, match=message):
        semihard_triplet_loss(unit(8, 3), labels, margin)


def test_the_constructor_refuses_a_margin_of_0():
    with pytest.raises(ValueError, match="margin: expected"):
        TripletSemihard(toy_encoder(), 10, margin=0)


def test_the_method_looks_labels_up_by_image_number():
    torch.manual_seed(0)
    trial = Trial(TripletSemihard, {"margin": 0.7, "per_class": 3})
    batch = trial.batch(9)
    rows = trial.method.embed(batch.views[0]).detach().double()
    expected = naive(rows, trial.method.labels[batch.index], 0.7)
    assert trial.method.loss(batch).item() == pytest.approx(expected.item(), abs=1e-5)
