"""Shared by the tests of losses: unit rows, and the comparison of a loss with its reference."""

import pytest
import torch

from helpers import arrays


@pytest.fixture
def unit():
    """Return rows of unit length in float64, the same for the same seed."""
    return arrays.unit


@pytest.fixture
def assert_agree():
    """Compare value and gradient (with respect to `inputs`) of two functions of the inputs.

    On the sphere both get their inputs normalised: a third party that normalises what it is given
    has no gradient along the rows, while a loss of unit rows leaves that to its caller.
    """

    def compare(found, expected, *inputs, rtol=1e-9, atol=1e-10, sphere=False):
        results = []
        for function in (found, expected):
            leaves = [value.clone().requires_grad_() for value in inputs]
            rows = [leaf / leaf.norm(dim=-1, keepdim=True) for leaf in leaves] if sphere else leaves
            loss = function(*rows)
            slopes = torch.autograd.grad(loss, leaves, allow_unused=True)
            filled = (
                torch.zeros_like(leaf) if slope is None else slope
                for slope, leaf in zip(slopes, leaves, strict=True)
            )
            results.append((loss, *filled))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other.reshape(one.shape), rtol=rtol, atol=atol)

    return compare


@pytest.fixture
def lightly(monkeypatch):
    """Return lightly's losses, without its look-up of a newer version."""
    monkeypatch.setenv("LIGHTLY_DID_VERSION_CHECK", "True")
    return pytest.importorskip("lightly.loss")
