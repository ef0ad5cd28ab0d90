import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from evaluation.linear import linear_accuracy


def digits():
    points, labels = load_digits(return_X_y=True)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit[:400], labels[:400], unit[400:700], labels[400:700]


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_one_machine_per_class_gives_the_same_accuracy(c):
    train, train_labels, test, test_labels = digits()
    reference = OneVsRestClassifier(LinearSVC(C=c, dual=False)).fit(train, train_labels)
    expected = 100 * reference.score(test, test_labels)
    assert linear_accuracy(train, train_labels, test, test_labels, c) == pytest.approx(
        expected, abs=1.0
    )


def test_regularisation_matters():
    assert linear_accuracy(*digits(), c=1e-4) < linear_accuracy(*digits(), c=10.0)


def test_separable_classes_with_any_labels():
    points = np.array([[3.0, 0.0], [4.0, 0.1], [-3.0, 0.0], [-4.0, 0.2]])
    assert linear_accuracy(points, [-7, -7, 500, 500], points, [-7, -7, 500, 500]) == 100.0
    assert linear_accuracy(points, [-7, -7, 500, 500], points, [-7, -7, 500, 3]) == 75.0


def test_more_columns_than_rows():
    points = np.random.default_rng(0).standard_normal((10, 64))
    labels = np.arange(10) % 2
    assert linear_accuracy(points, labels, points, labels) == 100.0


def test_the_result_is_reproducible():
    assert linear_accuracy(*digits()) == linear_accuracy(*digits())


def test_bf16_tensors_with_gradient():
    train, train_labels, test, test_labels = map(torch.from_numpy, digits())
    tensors = train.bfloat16().requires_grad_(), test.bfloat16().requires_grad_()
    rounded = [tensor.detach().float().numpy() for tensor in tensors]
    assert linear_accuracy(
        tensors[0], train_labels, tensors[1], test_labels.int()
    ) == linear_accuracy(rounded[0], train_labels, rounded[1], test_labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": [0, 1, 0]}, r"train_labels: expected shape \(4,\)"),
        ({"test_labels": [0, 1, 0]}, r"test_labels: expected shape \(2,\)"),
        ({"test": np.ones((2, 5))}, "test: expected width 3 like train, found width 5"),
        ({"train": np.full((4, 3), np.nan)}, "train: expected finite values, found 4 rows"),
        ({"train_labels": [6, 6, 6, 6]}, "expected at least two classes, found only 6"),
        ({"c": 0.0}, "c: expected a finite number above 0, got 0.0"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {
        "train": np.ones((4, 3)),
        "train_labels": [0, 1, 0, 1],
        "test": np.ones((2, 3)),
        "test_labels": [0, 1],
    }
    with pytest.raises(ValueError, match=message):
        linear_accuracy(**(arguments | change))
