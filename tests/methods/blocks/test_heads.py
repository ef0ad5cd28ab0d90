import pytest
import torch
from torch import nn

from methods.blocks.heads import mlp


@pytest.mark.parametrize("ending", ["linear", "linear-no-bias", "bn", "bn-no-affine"])
@pytest.mark.parametrize("hidden_bn", [True, False])
def test_it_computes_its_layers_one_after_the_other(hidden_bn, ending):
    torch.manual_seed(0)
    head = mlp([5, 4, 3, 2], hidden_bn=hidden_bn, ending=ending)
    linears = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [
        (5, 4),
        (4, 3),
        (3, 2),
    ]
    features = torch.randn(16, 5)

    def standardised(rows):
        return (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()

    expected = features
    for layer in linears[:-1]:
        expected = expected @ layer.weight.T + (0 if hidden_bn else layer.bias)
        expected = (standardised(expected) if hidden_bn else expected).clamp(min=0)
    expected = expected @ linears[-1].weight.T
    expected = expected + linears[-1].bias if ending == "linear" else expected
    expected = standardised(expected) if ending.startswith("bn") else expected
    torch.testing.assert_close(head(features), expected, rtol=1e-4, atol=1e-5)


def test_layers_before_batch_normalisation_have_no_bias_of_their_own():
    assert [
        layer.bias for layer in mlp([5, 4, 2], ending="bn") if isinstance(layer, nn.Linear)
    ] == [
        None,
        None,
    ]
    assert all(
        p.ndim > 1 or len(p) == 4 for p in mlp([5, 4, 2], ending="bn-no-affine").parameters()
    )


def test_two_widths_are_one_linear_layer():
    assert [type(layer) for layer in mlp([5, 2])] == [nn.Linear]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5],), "widths: expected at least an input and an output"),
        (([5, 0, 2],), "widths: expected an integer of at least 1, got 0"),
    ],
)
def test_wrong_widths_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp(*arguments)
    with pytest.raises(ValueError, match="ending: expected 'linear' or"):
        mlp([5, 2], ending="relu")
