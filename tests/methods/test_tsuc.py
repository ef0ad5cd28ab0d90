import pytest
import torch

from methods.iic import mutual_information_loss
from methods.invaspread import InvaSpread, instance_spread_loss
from methods.testing.toy import Trial, toy_encoder
from methods.tsuc import (
    TSUC,
    assignment_losses,
    consistency_preserving_loss,
    norm_fc_logits,
    two_stage_loss,
)


def weights(heads=2, width=4, classes=3, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(heads, width, classes, generator=generator, dtype=torch.float64)


def naive_logits(embeddings, heads, temperature):
    """Cosines class by class."""
    return torch.stack(
        [
            torch.stack(
                [
                    torch.stack([(w / w.norm()) @ v / temperature for w in head.T])
                    for v in embeddings
                ]
            )
            for head in heads
        ]
    )


def naive(first, second, heads, temperature, class_temperature, assignment, consistency):
    one, other = (
        naive_logits(view, heads, class_temperature).softmax(2) for view in (first, second)
    )
    each = [mutual_information_loss(a, b) for a, b in zip(one, other, strict=True)]
    preserved = instance_spread_loss(first, second, temperature)
    return assignment * sum(each) / len(each) + consistency * preserved


def test_logits_are_those_of_a_loop(unit, assert_agree):
    mask = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert_agree(
        lambda v, w: (norm_fc_logits(v, w, 0.1) * mask).sum(),
        lambda v, w: (naive_logits(v, w, 0.1) * mask).sum(),
        unit(5, 4),
        weights(),
    )


def test_the_length_of_a_weight_vector_does_not_matter(unit):
    torch.testing.assert_close(
        norm_fc_logits(unit(5, 4), 7 * weights()), norm_fc_logits(unit(5, 4), weights())
    )


@pytest.mark.parametrize(("assignment", "consistency"), [(1.0, 1.0), (1.0, 0.0), (0.5, 2.0)])
def test_value_and_gradient_are_those_of_the_parts(unit, assert_agree, assignment, consistency):
    options = {"assignment": assignment, "consistency": consistency}
    assert_agree(
        lambda a, b, w: two_stage_loss(a, b, w, temperature=0.2, class_temperature=0.3, **options),
        lambda a, b, w: naive(a, b, w, 0.2, 0.3, assignment, consistency),
        unit(5, 4),
        unit(5, 4, seed=1),
        weights(),
    )


def test_without_the_assignment_it_is_invaspread(unit, assert_agree):
    assert_agree(
        lambda a, b: two_stage_loss(a, b, weights(), temperature=0.1, assignment=0.0),
        lambda a, b: instance_spread_loss(a, b, 0.1),
        unit(5, 4),
        unit(5, 4, seed=1),
    )


def test_consistency_is_invaspreads_criterion(unit):
    first, second = unit(5, 4), unit(5, 4, seed=1)
    torch.testing.assert_close(
        consistency_preserving_loss(first, second, 0.2), instance_spread_loss(first, second, 0.2)
    )


def test_each_head_has_its_own_loss(unit):
    first, second, heads = unit(6, 4), unit(6, 4, seed=1), weights(heads=3)
    found = assignment_losses(first, second, heads)
    for place in range(3):
        torch.testing.assert_close(
            found[place], assignment_losses(first, second, heads[place : place + 1])[0]
        )


def test_orthogonal_classes_that_are_met_exactly_have_the_largest_information():
    rows = torch.eye(3, dtype=torch.float64)
    found = assignment_losses(rows, rows, torch.eye(3).unsqueeze(0), temperature=0.01)
    assert found.item() == pytest.approx(-torch.log(torch.tensor(3.0)).item())


def test_wrong_shapes_are_named(unit):
    with pytest.raises(ValueError, match=r"weights: expected shape \(h, 4, c\), got \(2, 5, 3\)"):
        norm_fc_logits(unit(5, 4), weights(width=5))


def test_without_assignment_it_is_invaspread_to_the_bit():
    losses = []
    for cls, options in ((TSUC, {"assignment": 0.0}), (InvaSpread, {})):
        torch.manual_seed(0)
        trial = Trial(cls, options)
        trial.start_epoch(0)
        trial.method.encoder.load_state_dict(encoder_state())
        losses.append(trial.loss())
    assert torch.equal(*losses)


def encoder_state():
    torch.manual_seed(7)
    return toy_encoder().state_dict()


@pytest.mark.parametrize("trainable", [False, True])
def test_heads_stay_as_drawn_unless_they_are_to_be_trained(trainable):
    torch.manual_seed(0)
    trial = Trial(TSUC, {"trainable": trainable})
    trial.start_epoch(0)
    before = trial.method.weights.detach().clone()
    trial.train(3)
    assert torch.equal(before, trial.method.weights) != trainable


def test_both_weights_at_zero_are_refused():
    with pytest.raises(ValueError, match="expected one above 0"):
        Trial(TSUC, {"assignment": 0.0, "consistency": 0.0})
