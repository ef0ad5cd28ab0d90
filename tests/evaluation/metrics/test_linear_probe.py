import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from evaluation.metrics.linear_probe import cross_validated_c, linear_accuracy


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


def test_the_result_does_not_depend_on_numpys_global_random_state():
    # more columns than rows: solved by a coordinate descent in random order, which ends early
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((2, 60, 200))
    labels = np.arange(60) % 3
    found = []
    for seed in range(5):
        np.random.seed(seed)
        found.append(linear_accuracy(train, labels, test, labels, c=100.0))
    assert len(set(found)) == 1


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


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("candidates", [(0.1, 1, 10, 100), (1e-4, 0.01), (100.0, 1e-4, 1.0)])
def test_the_best_of_a_grid_search_is_chosen(candidates, seed):
    train, labels, _, _ = digits()
    search = GridSearchCV(
        LinearSVC(dual=False),
        {"C": sorted(candidates)},
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    ).fit(train.astype(np.float32), labels)
    chosen = cross_validated_c(train, labels, candidates, seed=seed)
    assert chosen in candidates
    scores = dict(zip(sorted(candidates), search.cv_results_["mean_test_score"], strict=True))
    # the solvers' tolerance may turn an image
    assert scores[chosen] >= search.best_score_ - 1.5 / len(train)


def test_a_useless_candidate_is_not_chosen():
    train, labels, test, test_labels = digits()
    c = cross_validated_c(train, labels, (1e-5, 10.0))
    assert c == 10.0
    assert linear_accuracy(train, labels, test, test_labels, c) > linear_accuracy(
        train, labels, test, test_labels, 1e-5
    )


def test_equal_candidates_go_to_the_smallest():
    points = np.repeat([[3.0, 0.0], [-3.0, 0.0]], 10, axis=0)
    assert cross_validated_c(points, np.repeat([4, -4], 10), (100, 0.5, 10)) == 0.5


def test_small_classes_lower_the_number_of_folds(recwarn):
    points = np.repeat([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]], [20, 20, 2], axis=0)
    labels = np.repeat([0, 1, 2], [20, 20, 2])
    assert cross_validated_c(points, labels, (10.0,)) == 10.0
    assert not recwarn.list


def test_the_choice_is_reproducible_and_takes_tensors():
    train, labels, _, _ = digits()
    chosen = cross_validated_c(train[:200], labels[:200], (0.01, 1.0))
    tensors = torch.from_numpy(train[:200]).requires_grad_(), torch.from_numpy(labels[:200])
    assert cross_validated_c(*tensors, iter((0.01, 1.0))) == chosen


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
def test_a_collapsed_network_has_a_choice_and_an_accuracy(value):
    points, labels = np.full((20, 3), value), np.arange(20) % 2
    assert cross_validated_c(points, labels) == 0.1
    assert linear_accuracy(points, labels, points, labels) == 50.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": [0, 1, 0]}, r"train_labels: expected shape \(4,\)"),
        ({"train": np.full((4, 3), np.nan)}, "train: expected finite values, found 4 rows"),
        ({"train_labels": [6, 6, 6, 6]}, "expected at least two classes, found only 6"),
        ({"train_labels": [6, 6, 6, 8]}, "at least 2 images of every class, found 1 of class 8"),
        ({"train": np.ones((1, 3)), "train_labels": [6]}, "at least two classes, found only 6"),
        ({"candidates": ()}, "candidates: expected at least one value of c"),
        ({"candidates": (1.0, 0.0)}, "candidates: expected a finite number above 0, got 0.0"),
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"folds": 2.5}, "folds: expected an integer of at least 1, got 2.5"),
    ],
)
def test_what_cannot_be_cross_validated(change, message):
    arguments = {"train": np.ones((4, 3)), "train_labels": [0, 1, 0, 1]}
    with pytest.raises(ValueError, match=message):
        cross_validated_c(**(arguments | change))
