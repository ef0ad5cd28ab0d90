import sys

import pytest
import torch
from torch import nn

from methods import Batch, get
from methods.base import normalise
from methods.metric_learning import MetricLearning, published_loss

losses = pytest.importorskip("pytorch_metric_learning.losses")

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])


def encoder(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, width))


def made(**options) -> MetricLearning:
    method = MetricLearning(encoder(), len(LABELS), **options)
    method.set_labels(LABELS)
    return method


def batch(count: int = 8) -> Batch:
    images = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return Batch(torch.arange(count).flip(0), (images,))


@pytest.mark.parametrize("name", ["MultiSimilarityLoss", "TripletMarginLoss", "ContrastiveLoss"])
def test_it_is_the_packages_loss_of_the_batch_with_its_labels(name):
    method, given = made(function=name), batch()
    found = method.loss(given)
    embeddings = normalise(method.encoder(given.views[0]))
    assert torch.equal(found, getattr(losses, name)()(embeddings, LABELS.flip(0)))
    found.backward()
    assert method.encoder[1].weight.grad.abs().sum() > 0


def test_without_a_pair_the_loss_is_0_and_has_a_gradient():
    method = MetricLearning(encoder(), 3, function="ContrastiveLoss")
    method.set_labels(torch.tensor([0, 0, 1]))
    one = Batch(torch.tensor([2]), (torch.randn(1, 3, 4, 4),))
    loss = method.loss(one)
    loss.backward()
    assert loss == 0


def test_the_loss_is_fp32_under_autocast():
    method, given = made(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        found = method.loss(given)
        embeddings = method.embed(given.views[0])
    assert found.dtype == torch.float32
    assert torch.equal(found, losses.MultiSimilarityLoss()(embeddings, LABELS.flip(0)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MultiSimilarity", "expected one of .*MultiSimilarityLoss.*, got 'MultiSimilarity'"),
        ("ArcFaceLoss", "needs no settings, got ArcFaceLoss"),
    ],
)
def test_other_losses_are_refused(name, words):
    with pytest.raises(ValueError, match=words):
        published_loss(name)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    with pytest.raises(ValueError, match=r"pip install 'instbench\[metric-learning\]'"):
        published_loss("MultiSimilarityLoss")


def test_it_is_an_upper_bound():
    assert get("metric-learning").uses_labels
