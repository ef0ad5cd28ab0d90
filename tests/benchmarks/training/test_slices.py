import pandas as pd
import pytest

from benchmarks.training.slices import Slice, SliceLog, from_tensor, to_tensor


def conditions(**changes) -> Slice:
    usual = {
        "first_epoch": None,
        "last_epoch": None,
        "device": "A processor",
        "platform": "Linux x86_64",
        "threads": 1,
        "precision": "fp32",
        "compiled": False,
        "torch": "2.9.0",
        "seconds": 0.0,
    }
    return Slice(**{**usual, **changes})


def history(epochs: int) -> pd.DataFrame:
    rows = range(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": list(rows),
            "train_seconds": [10.0 * e for e in rows],
            "evaluate_seconds": [1.0 * e for e in rows],
        }
    )


def test_a_run_in_one_process_is_one_slice():
    log = SliceLog((), conditions(), pd.DataFrame())
    assert log.change == ""
    (only,) = log.until(history(3))
    assert (only.first_epoch, only.last_epoch, only.seconds) == (1, 3, 33.0)


def test_a_resumed_run_lists_both_with_the_seconds_of_each():
    first = SliceLog((), conditions(), pd.DataFrame()).until(history(2))
    log = SliceLog(first, conditions(threads=4), history(2))
    early, late = log.until(history(5))
    assert (early.first_epoch, early.last_epoch, early.seconds, early.threads) == (1, 2, 22.0, 1)
    assert (late.first_epoch, late.last_epoch, late.seconds, late.threads) == (3, 5, 33.0, 4)


def test_a_process_that_only_evaluates_is_listed_without_epochs():
    first = SliceLog((), conditions(), pd.DataFrame()).until(history(2))
    _, last = SliceLog(first, conditions(device="A GPU"), history(2)).until(history(2))
    assert (last.first_epoch, last.last_epoch, last.device) == (None, None, "A GPU")


def test_epoch_zero_of_an_untrained_network():
    untrained = history(1).assign(epoch=0)
    (only,) = SliceLog((), conditions(), pd.DataFrame()).until(untrained)
    assert (only.first_epoch, only.last_epoch) == (0, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 2}, "threads 1, now 2"),
        ({"device": "A GPU"}, "device A processor, now A GPU"),
        ({"torch": "2.10.0"}, "torch 2.9.0, now 2.10.0"),
        ({"compiled": True}, "torch.compile off, now on"),
        ({"platform": "Darwin arm64"}, "platform Linux x86_64, now Darwin arm64"),
    ],
)
def test_going_on_under_other_conditions_is_said(change, words):
    before = (conditions(first_epoch=1, last_epoch=2),)
    line = SliceLog(before, conditions(**change), history(2)).change
    assert line.startswith("resumed after epoch 2 under other conditions: ")
    assert words in line
    assert line.count("now") == 1


def test_going_on_under_the_same_conditions_is_not_said():
    before = (conditions(first_epoch=1, last_epoch=2, seconds=5.0),)
    assert SliceLog(before, conditions(), history(2)).change == ""


def test_a_checkpoint_that_does_not_say_its_conditions_is_said():
    assert "does not say" in SliceLog((), conditions(), history(2)).change


@pytest.mark.parametrize("count", [0, 1, 3])
def test_slices_as_a_tensor(count):
    slices = tuple(conditions(first_epoch=n, last_epoch=n, device="Ω") for n in range(count))
    assert from_tensor(to_tensor(slices)) == slices
