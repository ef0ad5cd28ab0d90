"""The learning rate within a round."""

import math

import pytest

from benchmarks.training.schedule import Schedule


def test_steps_hold_from_their_epoch_on():
    schedule = Schedule("steps", 200, {120: 0.1, 160: 0.01})
    found = [schedule.factor(epoch) for epoch in (0, 119, 120, 159, 160, 199)]
    assert found == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]


def test_a_step_factor_does_not_move_within_an_epoch():
    schedule = Schedule("steps", 4, {2: 0.1})
    assert {schedule.factor(1, step, 10) for step in range(10)} == {1.0}
    assert {schedule.factor(2, step, 10) for step in range(10)} == {0.1}


def test_cosine_against_its_formula():
    schedule = Schedule("cosine", 5)
    for epoch in range(5):
        for step in range(7):
            share = (epoch * 7 + step) / 35
            expected = (1 + math.cos(math.pi * share)) / 2
            assert schedule.factor(epoch, step, 7) == pytest.approx(expected, abs=1e-12)


def test_warm_up_rises_linearly_and_ends_at_the_full_rate():
    schedule = Schedule("cosine", 10, warmup=2)
    rise = [schedule.factor(step // 4, step % 4, 4) for step in range(8)]
    assert rise == pytest.approx([n / 8 for n in range(1, 9)])
    assert schedule.factor(2, 0, 4) == 1.0
    assert schedule.factor(6, 0, 4) == pytest.approx(0.5)


def test_warm_up_may_be_part_of_an_epoch():
    schedule = Schedule("constant", 3, warmup=0.5)
    assert [schedule.factor(0, step, 4) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_warm_up_may_fill_the_round():
    schedule = Schedule("cosine", 2, warmup=2)
    assert schedule.factor(1, 3, 4) == 1.0


@pytest.mark.parametrize("warmup", [-1.0, 3.5])
def test_a_warm_up_that_does_not_fit_is_refused(warmup):
    with pytest.raises(ValueError, match="warmup_epochs: expected 0 to 3"):
        Schedule("cosine", 3, warmup=warmup)
