import pytest
import torch

from methods import Batch
from methods.random_cnn import RandomCNN
from methods.testing.toy import toy_encoder


@pytest.mark.parametrize(("statistics", "epochs"), [("initial", 0), ("data", 1)])
def test_epochs(statistics, epochs):
    assert RandomCNN(toy_encoder(), 10, statistics=statistics).epochs(200) == epochs


def test_the_loss_is_zero_without_gradient():
    method = RandomCNN(toy_encoder(), 10)
    loss = method.loss(Batch(torch.arange(4), (torch.randn(4, 3, 8, 8),)))
    assert loss.item() == 0
    assert not loss.requires_grad


def test_statistics_of_the_data_are_averaged_over_all_batches():
    torch.manual_seed(0)
    method = RandomCNN(toy_encoder(), 10, statistics="data")
    convolution, normalisation = method.encoder.backbone[:2]
    batches = [torch.randn(8, 3, 8, 8) * scale for scale in (1, 2, 3)]
    before = [p.clone() for p in method.parameters()]
    for images in batches:
        method.loss(Batch(torch.arange(8), (images,)))
    outputs = [convolution(images) for images in batches]
    mean = torch.stack([o.mean((0, 2, 3)) for o in outputs]).mean(0)
    variance = torch.stack([o.var((0, 2, 3)) for o in outputs]).mean(0)
    torch.testing.assert_close(normalisation.running_mean, mean)
    torch.testing.assert_close(normalisation.running_var, variance)
    assert all(map(torch.equal, method.parameters(), before))


def test_initial_statistics_leave_the_layers_alone():
    encoder = RandomCNN(toy_encoder(), 10).encoder
    assert encoder.backbone[1].momentum == 0.1
    assert torch.equal(encoder.backbone[1].running_var, torch.ones(16))


def test_the_constructor_refuses_wrong_options():
    with pytest.raises(ValueError, match="statistics: expected 'initial' or 'data', got 'x'"):
        RandomCNN(toy_encoder(), 10, statistics="x")
