import pytest

from benchmarks.runs.executors.base import Outcome


def test_the_total_counts_every_list_once():
    outcome = Outcome(done=["a", "b"], reused=["c"], failed={"d": "why", "e": "why"}, left=["f"])
    assert outcome.total == 6
    assert Outcome().total == 0


@pytest.mark.parametrize("name", ["done", "reused", "left", "failed"])
def test_two_outcomes_share_no_list(name):
    first, second = Outcome(), Outcome()
    assert getattr(first, name) is not getattr(second, name)
