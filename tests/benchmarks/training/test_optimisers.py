"""Optimisers by name, LARS against a naive loop, and the rates of groups."""

import copy

import pytest
import torch
from torch import nn

from benchmarks.training.optimisers import LARS, build, set_rate, split_decay

VALUES = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def steps(model: nn.Module, optimiser: torch.optim.Optimizer, count: int = 3) -> None:
    for step in range(count):
        torch.manual_seed(step)
        loss = model(torch.randn(8, 4)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_lars_against_a_naive_loop():
    model, naive = network().double(), network().double()
    optimiser = LARS(model.parameters(), lr=0.5, momentum=0.8, weight_decay=0.01, trust=0.02)
    momenta = {name: torch.zeros_like(p) for name, p in naive.named_parameters()}
    for step in range(4):
        torch.manual_seed(step)
        images = torch.randn(8, 4).double()
        for m in (model, naive):
            m.zero_grad()
            m(images).square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            for name, p in naive.named_parameters():
                g = p.grad + 0.01 * p
                if p.ndim > 1:
                    g = g * 0.02 * p.square().sum().sqrt() / g.square().sum().sqrt()
                momenta[name] = 0.8 * momenta[name] + g
                p -= 0.5 * momenta[name]
    for p, q in zip(model.parameters(), naive.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_lars_steps_plainly_where_a_weight_is_zero():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=0.1).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), -0.1))


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_lars_without_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match="momentum: expected above 0 and below 1"):
        LARS(network().parameters(), lr=0.1, momentum=momentum)


@pytest.mark.parametrize("kind", ["sgd", "lars", "adamw"])
def test_saved_and_loaded_state_goes_on_to_the_same_bits(kind):
    model = network()
    optimiser = build(kind, [{"params": list(model.parameters())}], **VALUES)
    steps(model, optimiser)
    twin = copy.deepcopy(model)
    other = build(kind, [{"params": list(twin.parameters())}], **VALUES)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    steps(model, optimiser, 2)
    steps(twin, other, 2)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_torch_s_own_optimisers_are_meant(kind):
    model, twin = network(), network()
    optimiser = build(kind, [{"params": list(model.parameters())}], **VALUES)
    kinds = {"sgd": (torch.optim.SGD, VALUES), "adamw": (torch.optim.AdamW, {**VALUES})}
    cls, values = kinds[kind]
    values = {k: v for k, v in values.items() if kind == "sgd" or k != "momentum"}
    steps(model, optimiser)
    steps(twin, cls(twin.parameters(), **values))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_biases_and_scales_can_be_spared_the_decay():
    model = network()
    groups = split_decay([{"params": list(model.parameters()), "lr_scale": 2.0}])
    assert [group.get("weight_decay") for group in groups] == [None, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert {group["lr_scale"] for group in groups} == {2.0}


def test_a_group_s_own_decay_stays():
    own = [{"params": list(network().parameters()), "weight_decay": 0.5}]
    assert split_decay(own) == own


def test_groups_may_keep_a_constant_rate_and_scale_it():
    model = network()
    groups = [
        {"params": list(model[0].parameters())},
        {"params": list(model[1].parameters()), "schedule": "constant"},
        {"params": list(model[2].parameters()), "lr_scale": 3.0},
    ]
    optimiser = build("sgd", groups, **VALUES)
    set_rate(optimiser, 0.1, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.05, 0.1, 0.15])


def test_nothing_to_optimise_gives_no_optimiser():
    assert build("sgd", [{"params": []}], **VALUES) is None
    set_rate(None, 0.1, 1.0)
