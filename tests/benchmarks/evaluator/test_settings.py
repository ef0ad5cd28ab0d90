"""The settings of an evaluation."""

from benchmarks.evaluator.settings import EvaluationSettings


def test_the_protocol_names_k_and_temperature():
    assert EvaluationSettings().knn_protocol == "knn-200-0.1"
    assert EvaluationSettings(knn_k=50, knn_temperature=0.05).knn_protocol == "knn-50-0.05"


def test_the_first_the_last_and_every_nth_epoch_are_evaluated():
    due = EvaluationSettings(evaluate_every=3).due
    assert [epoch for epoch in range(1, 9) if due(epoch, 8)] == [1, 3, 6, 8]
    assert [epoch for epoch in range(1, 5) if EvaluationSettings().due(epoch, 4)] == [1, 2, 3, 4]
