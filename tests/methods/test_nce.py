import math

import pytest
import torch

from methods.base import normalise
from methods.blocks.memory_bank import remembered_similarities
from methods.nce import NCE, nce_loss
from methods.testing.toy import INSTANCES, Trial, toy_encoder


def naive(positive, noise, normaliser, instances):
    """The formula, number by number."""
    total, k = 0.0, noise.shape[1]
    expected = k / instances
    for x, row in zip(positive, noise, strict=True):
        p = x / normaliser
        total = total - (p / (p + expected + 1e-7)).log()
        for y in row:
            total = total - (expected / (y / normaliser + expected + 1e-7)).log()
    return total / len(positive)


def scores(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(*shape, generator=generator, dtype=torch.float64)).exp()


@pytest.mark.parametrize(("normaliser", "instances"), [(50.0, 10), (7e4, 50_000)])
def test_value_and_gradient_are_those_of_a_double_loop(normaliser, instances):
    results = []
    for function in (nce_loss, naive):
        positive, noise = scores(4).requires_grad_(), scores(4, 6, seed=1).requires_grad_()
        loss = function(positive, noise, normaliser, instances)
        results.append((loss, *torch.autograd.grad(loss, (positive, noise))))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_numerical_gradient():
    arguments = scores(3).requires_grad_(), scores(3, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, n: nce_loss(p, n, 40.0, 20), arguments)


def test_an_uninformed_model_pays_the_prior():
    """With p = 1 / n everywhere, h is 1 / (1 + k)."""
    n, k = 1000, 9
    loss = nce_loss(torch.ones(5), torch.ones(5, k), float(n), n)
    assert loss.item() == pytest.approx(math.log(1 + k) + k * math.log(1 + 1 / k), rel=1e-3)


def test_the_normaliser_may_be_a_tensor_and_the_scores_arrays():
    positive, noise = scores(4), scores(4, 6)
    found = nce_loss(positive.numpy(), noise.numpy(), torch.tensor(50.0), 10)
    torch.testing.assert_close(found, nce_loss(positive, noise, 50.0, 10))


@pytest.mark.parametrize("cosine", [-1.0, 1.0])
def test_extreme_scores_stay_finite_at_the_lowest_temperature(cosine):
    similarity = torch.full((2, 6), cosine, requires_grad=True)
    x = (similarity / 0.012).exp()
    loss = nce_loss(x[:, 0], x[:, 1:], x.detach().mean() * 10, 10)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"noise: expected shape \(4, k\), got \(3, 6\)"):
        nce_loss(scores(4), scores(3, 6), 1.0, 10)
    with pytest.raises(ValueError, match=r"positive: expected shape \(b,\), got \(4, 1\)"):
        nce_loss(scores(4, 1), scores(4, 6), 1.0, 10)
    with pytest.raises(ValueError, match="instances: expected"):
        nce_loss(scores(4), scores(4, 6), 1.0, 0)


@pytest.mark.parametrize(
    "option",
    [
        {"temperature": 0.01},
        {"momentum": -0.1},
        {"noise": 0},
        {"normaliser": "none"},
        {"normaliser_momentum": 1.5},
    ],
)
def test_the_constructor_refuses_wrong_options(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        NCE(toy_encoder(), 10, **option)


def test_one_image_cannot_have_other_noise():
    with pytest.raises(ValueError, match="exclude_positive: expected at least 2"):
        NCE(toy_encoder(), 1, exclude_positive=True)


@pytest.mark.parametrize("exclude", [False, True])
def test_noise_is_uniform_and_each_sample_has_its_own(exclude):
    torch.manual_seed(0)
    method = NCE(toy_encoder(), 5, noise=20_000, exclude_positive=exclude)
    rows = method.draw(torch.tensor([0, 3, 4]))
    assert rows.shape == (3, 20_001)
    assert rows[:, 0].tolist() == [0, 3, 4]
    drawn = rows[:, 1:]
    assert not torch.equal(drawn[0], drawn[1])
    for own, row in zip((0, 3, 4), drawn, strict=True):
        shares = row.bincount(minlength=5) / len(row)
        for instance, share in enumerate(shares.tolist()):
            expected = 0.2 if not exclude else 0.25 * (instance != own)
            assert share == pytest.approx(expected, abs=0.015)


def test_noise_follows_the_seed():
    method, index = NCE(toy_encoder(), 50, noise=8), torch.arange(4)
    torch.manual_seed(3)
    first = method.draw(index)
    torch.manual_seed(3)
    assert torch.equal(method.draw(index), first)


def trial_scores(method, batch, seed):
    torch.manual_seed(seed)
    rows = method.draw(batch.index)
    embeddings = method.embed(batch.views[0])
    return remembered_similarities(embeddings, method.bank, rows, method.temperature).exp()


@pytest.mark.parametrize("normaliser", ["first-batch", "moving-average"])
def test_the_normaliser_is_kept_or_averaged(normaliser):
    torch.manual_seed(0)
    options = {"noise": 16, "normaliser": normaliser, "normaliser_momentum": 0.75}
    trial = Trial(NCE, options)
    method, partition = trial.method, None
    for step in range(3):
        batch = trial.batch()
        x = trial_scores(method, batch, step).detach()
        estimate = x.mean() * INSTANCES
        if partition is None:
            partition = estimate
        elif normaliser == "moving-average":
            partition = 0.75 * partition + 0.25 * estimate
        torch.manual_seed(step)
        loss = method.loss(batch)
        torch.testing.assert_close(method.partition, partition)
        expected = nce_loss(x[:, 0], x[:, 1:], partition, INSTANCES)
        torch.testing.assert_close(loss.detach(), expected)
        method.after_step(batch)


def test_no_gradient_flows_through_the_normaliser():
    torch.manual_seed(0)
    trial = Trial(NCE, {"noise": 16})
    method, batch = trial.method, trial.batch()
    x = trial_scores(method, batch, 1)
    partition = x.detach().mean() * INSTANCES
    bias = method.encoder.head.bias
    (expected,) = torch.autograd.grad(nce_loss(x[:, 0], x[:, 1:], partition, INSTANCES), bias)
    torch.manual_seed(1)
    (found,) = torch.autograd.grad(method.loss(batch), bias)
    torch.testing.assert_close(found, expected)


def test_the_bank_takes_the_embedding_of_the_batch():
    torch.manual_seed(0)
    trial = Trial(NCE, {"noise": 16, "momentum": 0.0})
    batch = trial.batch()
    expected = normalise(trial.method.encoder(batch.views[0])).detach()
    trial.method.loss(batch)
    trial.method.after_step(batch)
    torch.testing.assert_close(trial.method.memory()[batch.index], expected)
