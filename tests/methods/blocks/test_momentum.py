import pytest
import torch
from torch import nn

from methods.blocks.momentum import ema_, frozen_copy


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_a_frozen_copy_has_the_same_bits_and_takes_no_gradient():
    source = network()
    target = frozen_copy(source)
    assert all(parameter.requires_grad for parameter in source.parameters())
    assert not any(parameter.requires_grad for parameter in target.parameters())
    for one, other in zip(source.state_dict().values(), target.state_dict().values(), strict=True):
        assert torch.equal(one, other)
        assert one.data_ptr() != other.data_ptr()


def changed(source):
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(torch.randn_like(parameter))
    source(torch.randn(5, 3))  # moves the running statistics and the counter
    return source


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.99, 1.0])
def test_parameters_are_averaged_in_place_and_buffers_copied(momentum):
    source = network()
    target = frozen_copy(source)
    before = [parameter.clone() for parameter in target.parameters()]
    places = [parameter.data_ptr() for parameter in target.parameters()]
    ema_(target, changed(source), momentum)
    for old, new, lead in zip(before, target.parameters(), source.parameters(), strict=True):
        torch.testing.assert_close(new, momentum * old + (1 - momentum) * lead.detach())
    assert [parameter.data_ptr() for parameter in target.parameters()] == places
    for new, lead in zip(target.buffers(), source.buffers(), strict=True):
        assert torch.equal(new, lead)
    assert target[1].num_batches_tracked.item() == 1


def test_the_limits_have_the_same_bits():
    source = network()
    target = frozen_copy(source)
    before = [parameter.clone() for parameter in target.parameters()]
    changed(source)
    ema_(target, source, 1)
    assert all(map(torch.equal, before, target.parameters()))
    ema_(target, source, 0)
    assert all(map(torch.equal, source.parameters(), target.parameters()))


def test_the_source_stays_and_keeps_its_gradient():
    source = network()
    target = frozen_copy(source)
    source(torch.randn(5, 3)).sum().backward()
    slopes = [parameter.grad.clone() for parameter in source.parameters()]
    weights = [parameter.detach().clone() for parameter in source.parameters()]
    ema_(target, source, 0.5)
    assert all(map(torch.equal, weights, source.parameters()))
    assert all(torch.equal(p.grad, s) for p, s in zip(source.parameters(), slopes, strict=True))


def test_a_module_without_parameters_is_nothing_to_do():
    ema_(nn.ReLU(), nn.ReLU(), 0.5)


def test_different_modules_and_momenta_are_refused():
    with pytest.raises(ValueError, match="target: expected the 6 parameters of the source"):
        ema_(nn.Linear(3, 4), network(), 0.5)
    with pytest.raises(ValueError, match="momentum: expected a number from 0 to 1"):
        ema_(network(), network(), 1.5)
