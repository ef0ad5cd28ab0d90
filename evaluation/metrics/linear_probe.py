"""A linear classifier on frozen embeddings."""

from collections.abc import Iterable

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.svm import LinearSVC

from evaluation.validation import (
    Array,
    Integers,
    as_embeddings,
    as_labels,
    check_count,
    check_positive,
    check_same_width,
    percent,
)

FOLDS = 5
"""Of cross-validation."""


def linear_accuracy(
    train: Array, train_labels: Array, test: Array, test_labels: Array, c: float = 1.0
) -> float:
    """Return the test accuracy, in percent, of a linear SVM trained on embeddings.

    One-vs-rest with squared hinge loss on the embeddings as they are, neither scaled nor
    normalised. Source: Ye et al., CVPR 2019, Table 2, which names an SVM and no settings.

    Args:
        train: (n, d) embeddings to fit.
        train_labels: (n,) integers of any value, at least two classes.
        test: (m, d) embeddings to classify.
        test_labels: (m,) integers; a label that `train_labels` lacks counts as an error.
        c: inverse strength of the regularisation, above 0; 1 under-fits unit vectors slightly,
            see `cross_validated_c`.

    Returns:
        From 0 to 100.

    Raises:
        ValueError: if shapes, values or `c` do not fit, or there is only one class to fit.
    """
    fit, held_out = as_embeddings(train, "train"), as_embeddings(test, "test")
    check_same_width(fit, "train", held_out, "test")
    classes = as_labels(train_labels, "train_labels", len(fit), "train")
    truth = as_labels(test_labels, "test_labels", len(held_out), "test")
    _check_classes(classes)
    machine = _machine(check_positive(c, "c")).fit(fit.cpu().numpy(), classes)
    return percent(machine.predict(held_out.cpu().numpy()) == truth)


def cross_validated_c(
    train: Array,
    train_labels: Array,
    candidates: Iterable[float] = (0.1, 1, 10, 100),
    folds: int = FOLDS,
    seed: int = 0,
) -> float:
    """Return the `c` for `linear_accuracy` that does best on held-out parts of the training set.

    The machine is fitted to all stratified folds but one and scored on that one, in turn; the
    candidate of the highest mean accuracy wins, the smallest among equals. No test image is seen.
    Folds times candidates machines are fitted: seconds for 5,000 rows of 128, minutes for 50,000.

    Args:
        train: (n, d) embeddings to fit.
        train_labels: (n,) integers of any value: at least two classes of at least two images.
        candidates: values of `c`, each above 0.
        folds: at least 2; never more than the smallest class has images.
        seed: shuffles the images before they are dealt into folds, 0 to 2^32 - 1.

    Returns:
        One of the candidates.

    Raises:
        ValueError: if shapes, values or an option do not fit, there is only one class to fit, or
            a class has a single image, which cannot be both fitted and scored.
    """
    fit = as_embeddings(train, "train").cpu().numpy()
    classes = as_labels(train_labels, "train_labels", len(fit), "train")
    smallest = _check_classes(classes)
    values = sorted(check_positive(c, "candidates") for c in candidates)
    if not values:
        raise ValueError("candidates: expected at least one value of c, got none; try (0.1, 1, 10)")
    if check_count(folds, "folds") < 2:
        raise ValueError("folds: expected at least 2, got 1; one part is held out of the others")
    if smallest < 2:
        names, sizes = np.unique(classes, return_counts=True)
        raise ValueError(
            f"train_labels: expected at least 2 images of every class, found 1 of class "
            f"{names[sizes.argmin()]}; add images, leave the class out or choose c yourself"
        )
    parts = StratifiedKFold(min(folds, smallest), shuffle=True, random_state=seed)
    # max keeps the first of equals
    return max(values, key=lambda c: cross_val_score(_machine(c), fit, classes, cv=parts).mean())


def _machine(c: float) -> LinearSVC:
    # "auto" solves the primal where rows outnumber columns: seconds instead of minutes
    return LinearSVC(C=c, dual="auto", random_state=0)


def _check_classes(classes: Integers) -> int:
    """Return the size of the smallest of at least two classes."""
    _, sizes = np.unique(classes, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(
            f"train_labels: expected at least two classes, found only {classes[0]}; "
            "train on images of every class"
        )
    return int(sizes.min())
