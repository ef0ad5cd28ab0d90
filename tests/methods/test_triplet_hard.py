import pytest
import torch
from torch import nn

from methods import Batch
from methods.base import normalise
from methods.testing.toy import Trial, toy_encoder
from methods.triplet_hard import TripletHard


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean", "cosine"])
def test_the_negative_is_the_closest_image_of_another_instance(distance):
    rows = normalise(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)))
    found = TripletHard(toy_encoder(), 10, distance=distance).pick_negatives(rows)
    for row in range(12):
        gaps = {other: (rows[row] - rows[other]).norm().item() for other in range(12)}
        allowed = [other for other in range(12) if other % 6 != row % 6]
        assert found[row].tolist() == [min(allowed, key=gaps.__getitem__)]


def test_the_loss_is_batch_hard_with_one_positive_each():
    torch.manual_seed(0)
    trial = Trial(TripletHard, {"margin": 0.9})
    batch = trial.batch(6)
    rows = torch.cat(trial.method.embed_views(batch)).detach().double()
    distances = torch.cdist(rows, rows)
    losses = []
    for row in range(12):
        closest = min(distances[row, other] for other in range(12) if other % 6 != row % 6)
        losses.append(torch.relu(0.9 + distances[row, (row + 6) % 12] - closest))
    assert trial.method.loss(batch).item() == pytest.approx(sum(losses).item() / 12, abs=1e-6)


def test_metrics_hold_the_distances_of_the_last_step():
    torch.manual_seed(0)
    trial = Trial(TripletHard, {})
    trial.train(1)
    metrics = trial.method.metrics()
    assert set(metrics) == {"positive_distance", "negative_distance"}
    assert all(0 < value < 2 for value in metrics.values())


@pytest.mark.parametrize("option", [{"margin": 0.0}, {"distance": "x"}])
def test_the_constructor_refuses_wrong_options(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        TripletHard(toy_encoder(), 10, **option)


def test_gradient_has_the_same_bits_with_several_threads():
    """A negative that many anchors share must not collect its gradient in an undefined order."""
    torch.manual_seed(0)
    views = torch.randn(2, 128, 64)
    views[1, :3] *= 30  # a few images are everyone's closest negative
    gradients = []
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for _ in range(20):
            torch.manual_seed(1)
            method = TripletHard(nn.Linear(64, 128), 128)
            method.loss(Batch(torch.arange(128), tuple(views))).backward()
            gradients.append(method.encoder.weight.grad)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
