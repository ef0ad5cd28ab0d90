"""A linear classifier on frozen embeddings."""

import numpy as np
from sklearn.svm import LinearSVC

from evaluation.arrays import (
    Array,
    as_embeddings,
    as_labels,
    check_positive,
    check_same_width,
    percent,
)


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
        c: inverse strength of the regularisation, above 0; 1 under-fits unit vectors slightly.

    Returns:
        From 0 to 100.

    Raises:
        ValueError: if shapes, values or `c` do not fit, or there is only one class to fit.
    """
    fit, judged = as_embeddings(train, "train"), as_embeddings(test, "test")
    check_same_width(fit, "train", judged, "test")
    classes = as_labels(train_labels, "train_labels", len(fit), "train")
    truth = as_labels(test_labels, "test_labels", len(judged), "test")
    if len(np.unique(classes)) < 2:
        raise ValueError(
            f"train_labels: expected at least two classes, found only {classes[0]}; "
            "train on images of every class"
        )
    # "auto" solves the primal where rows outnumber columns: seconds instead of minutes
    machine = LinearSVC(C=check_positive(c, "c"), dual="auto", random_state=0)
    machine.fit(fit.cpu().numpy(), classes)
    return percent(machine.predict(judged.cpu().numpy()) == truth)
