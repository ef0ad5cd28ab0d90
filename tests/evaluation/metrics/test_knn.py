import numpy as np
import pytest
import torch

from evaluation.metrics.knn import knn_accuracy, knn_predict
from helpers import naive


def problem(rows=150, queries=40, width=8, classes=(-5, 0, 3, 1000), seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(classes), width))
    truth = rng.integers(0, len(classes), rows + queries)
    points = centres[truth] + rng.standard_normal((rows + queries, width))
    labels = np.array(classes)[truth]
    return points[:rows], labels[:rows], points[rows:], labels[rows:]


@pytest.mark.parametrize("k", [1, 5, 30, 150, 400])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_predictions_equal_a_naive_vote(k, temperature):
    bank, labels, queries, _ = problem()
    predicted = knn_predict(bank, labels, queries, k, temperature)
    assert predicted.dtype == np.int64
    assert predicted.tolist() == naive.knn_labels(bank, labels, queries, k, temperature)


def test_weights_differ_from_a_plain_majority():
    bank = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    assert knn_predict(bank, [7, 2, 2], bank[:1], k=3, temperature=0.1).tolist() == [7]
    assert knn_predict(bank, [7, 2, 2], bank[:1], k=3, temperature=10.0).tolist() == [2]


def test_defaults_are_the_papers():
    bank, labels, queries, _ = problem(rows=500)
    np.testing.assert_array_equal(
        knn_predict(bank, labels, queries), knn_predict(bank, labels, queries, 200, 0.1)
    )
    assert knn_predict(bank, labels, queries).tolist() == naive.knn_labels(
        bank, labels, queries, 200, 0.1
    )


@pytest.mark.parametrize("cells", [1, 13, 100])
def test_chunks_of_queries_do_not_matter(cells):
    bank, labels, queries, _ = problem()
    expected = knn_predict(bank, labels, queries, 20)
    found = knn_predict(bank, labels, queries, 20, cells=cells)
    np.testing.assert_array_equal(found, expected)


def test_rows_are_normalised_whatever_their_norm():
    bank, labels, queries, _ = problem()
    norms = np.random.default_rng(1).uniform(0.01, 100.0, (len(bank), 1))
    np.testing.assert_array_equal(
        knn_predict(bank * norms, labels, queries * 7.0, 15), knn_predict(bank, labels, queries, 15)
    )


def test_equal_scores_go_to_the_smallest_label():
    bank = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert knn_predict(bank, [9, -2, 4, 4], np.array([[1.0, 0.0]]), k=2).tolist() == [-2]
    assert knn_predict(bank, [9, 4, 4, 9], np.array([[1.0, 1.0]]), k=4).tolist() == [4]


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
def test_a_collapsed_network_votes_by_count(value):
    bank = np.full((9, 4), value, np.float32)
    labels = [3, 3, 3, 3, 8, 8, 8, 8, 8]
    assert knn_predict(bank, labels, bank[:2], k=9).tolist() == [8, 8]


def test_duplicates_in_the_bank_vote_each():
    bank = np.array([[1.0, 0.2]] + [[1.0, 0.3]] * 3)
    assert knn_predict(bank, [0, 1, 1, 1], np.array([[1.0, 0.0]]), k=4).tolist() == [1]


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_extreme_temperatures_neither_overflow_nor_vanish(temperature, recwarn):
    bank, labels, queries, _ = problem()
    predicted = knn_predict(bank, labels, queries, 10, temperature)
    assert set(predicted) <= set(labels)
    if temperature < 1:
        np.testing.assert_array_equal(predicted, knn_predict(bank, labels, queries, 1))
    assert not recwarn.list


def test_a_single_class_is_always_right():
    bank, _, queries, _ = problem()
    ones = np.full(len(queries), -4)
    assert knn_accuracy(bank, np.full(len(bank), -4), queries, ones) == 100.0


def test_accuracy_is_a_percentage_of_the_queries():
    bank, labels, queries, truth = problem()
    predicted = naive.knn_labels(bank, labels, queries, 25, 0.1)
    right = sum(p == t for p, t in zip(predicted, truth.tolist(), strict=True))
    accuracy = knn_accuracy(bank, labels, queries, truth, 25, 0.1)
    assert 25.0 < accuracy < 100.0
    assert accuracy == pytest.approx(100.0 * right / len(truth))
    assert isinstance(accuracy, float)


def test_a_class_the_bank_lacks_is_an_error_of_the_classifier():
    bank, labels, queries, _ = problem()
    assert knn_accuracy(bank, labels, queries, np.full(len(queries), 77)) == 0.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_tensors_of_any_float_give_what_numpy_gives(dtype):
    tensors = [torch.from_numpy(array) for array in problem()]
    bank, queries = tensors[0].to(dtype).requires_grad_(), tensors[2].to(dtype).requires_grad_()
    predicted = knn_predict(bank, tensors[1].int(), queries, 20)
    arrays = bank.detach().float().numpy(), tensors[1].numpy(), queries.detach().float().numpy()
    np.testing.assert_array_equal(predicted, knn_predict(*arrays, 20))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bank_labels": np.zeros(9, int)}, r"bank_labels: expected shape \(10,\)"),
        ({"query_labels": np.zeros(3, int)}, r"query_labels: expected shape \(4,\)"),
        ({"queries": np.ones((4, 6))}, "queries: expected width 5 like bank, found width 6"),
        ({"bank": np.full((10, 5), np.nan)}, "bank: expected finite values, found 10 rows"),
        ({"bank": np.ones(10)}, "bank: expected a non-empty array"),
        ({"k": 0}, "k: expected an integer of at least 1, got 0"),
        ({"temperature": 0.0}, "temperature: expected a finite number above 0, got 0.0"),
        ({"temperature": -1.0}, "temperature: expected a finite number above 0"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {
        "bank": np.ones((10, 5)),
        "bank_labels": np.zeros(10, int),
        "queries": np.ones((4, 5)),
        "query_labels": np.zeros(4, int),
    }
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**(arguments | change))
