"""What is measured once, after the last epoch, of every representation that a method offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.embed import Embedded, Rows
from benchmarks.evaluator.gallery import gallery
from benchmarks.evaluator.per_epoch import Evaluator
from benchmarks.evaluator.settings import EvaluationSettings
from evaluation.metrics import separation as similarities
from evaluation.metrics.clustering import (
    CLUSTERING_METRICS,
    clustering_accuracy,
    clustering_metrics,
)
from evaluation.metrics.knn import knn_predict
from evaluation.metrics.linear_probe import FOLDS, cross_validated_c, linear_accuracy
from evaluation.metrics.representation import representation_metrics
from evaluation.metrics.retrieval import lone_images, retrieval_metrics
from evaluation.undefined import Metrics
from evaluation.validation import percent

VIEWED_IMAGES = 2000
"""Test images of which two views are compared for the metrics that need no labels."""
RESTARTS, MANY_CLUSTERS = 10, 1000
"""Of k-means; above so many clusters a single run, which takes as long as ten of fewer."""
MEMORY, FEATURES, PREDICTIONS = "memory", "features", "predictions"
"""Names of what is evaluated beside the representations: a memory bank, predicted classes."""
ONE_TEST_CLASS = "all test images are of one class: there is nothing to tell apart"
ONE_BANK_CLASS = "all images of the bank are of one class: there is nothing to tell apart"


@dataclass(frozen=True)
class FinalEvaluation:
    """All that is known about the last epoch's representations.

    Attributes:
        representation: name of the headline representation.
        metrics: values by `metric@representation`.
        protocols: by the same names; each ends with `@representation`.
        undefined: why a metric that this data set asks for has no value, by the same names.
        caveats: what a reader of a metric's value must know, by the same names.
        predictions: a row per test image, of the headline's kNN; None without labelled images.
        similarities: histograms of the headline's cosines; None likewise.
        gallery: arrays of queries and neighbours; empty likewise.
    """

    representation: str
    metrics: Mapping[str, float]
    protocols: Mapping[str, str]
    undefined: Mapping[str, str] = field(default_factory=dict)
    caveats: Mapping[str, str] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    similarities: pd.DataFrame | None = None
    gallery: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass
class _Found:
    """What was measured so far, by `metric@representation`, with the protocols by which it was."""

    metrics: Metrics = field(default_factory=Metrics)
    protocols: dict[str, str] = field(default_factory=dict)

    def add(self, metrics: Metrics, representation: str, protocol: str = "") -> None:
        """Add metrics of a representation; the protocol is that of each one that has a value."""
        at = f"@{representation}"
        self.metrics.update({name + at: value for name, value in metrics.items()})
        self.metrics.undefined |= {n + at: reason for n, reason in metrics.undefined.items()}
        self.metrics.caveats |= {n + at: caveat for n, caveat in metrics.caveats.items()}
        if protocol:
            self.protocols |= {name + at: protocol + at for name in metrics}

    def leave_out(self, names: Sequence[str], representation: str, reason: str) -> None:
        """State one reason why several metrics of a representation have no value."""
        self.metrics.leave_out([f"{name}@{representation}" for name in names], reason)

    def evaluation(self, representation: str, **tables: Any) -> FinalEvaluation:
        """Return all of it, with the run's tables."""
        known = self.metrics
        return FinalEvaluation(
            representation, dict(known), self.protocols, known.undefined, known.caveats, **tables
        )


def evaluate_final(evaluator: Evaluator, embedded: Embedded, data: ImageData) -> FinalEvaluation:
    """Measure the representations of the last epoch; with labels only where there are any."""
    found, headline = _Found(), embedded.headline
    first, second = evaluator.embedder.embed_two_views(VIEWED_IMAGES)
    for name in first:
        views = representation_metrics(first[name], second[name])
        found.add(views, name, f"two-views-default-augmentation-{VIEWED_IMAGES}")
    if (rows := embedded.test if data.unseen else embedded.bank) and len(rows[headline]) < 2:
        found.leave_out(
            ["spread"], headline, "there is a single image: its embedding has no spread"
        )
    bank, test = data.labelled_bank, data.test
    if embedded.test is None or test is None or bank.labels is None or test.labels is None:
        return found.evaluation(headline)
    if len(np.unique(test.labels)) < 2:
        _leave_out(found, evaluator, embedded, data)
        return found.evaluation(headline)
    for name, queries in embedded.test.items():
        _retrieve_and_cluster(found, name, queries, test.labels, data.recalls)
    near, histograms = _similarities(embedded.test[headline], test, data)
    found.add(near, headline, "5-nearest-test-against-test")
    if data.unseen:  # the bank's classes are others: neither kNN nor a linear probe
        return found.evaluation(headline, similarities=histograms)
    predicted = _vote(found, evaluator, embedded, bank.labels, test.labels)
    _probe(found, embedded, bank.labels, test.labels, evaluator.settings)
    _assign(found, evaluator, bank.labels, test.labels)
    return found.evaluation(
        headline,
        predictions=predicted,
        similarities=histograms,
        gallery=gallery(embedded.bank[headline], bank, embedded.test[headline], test, data),
    )


def _leave_out(found: _Found, evaluator: Evaluator, embedded: Embedded, data: ImageData) -> None:
    """Add why test images of one class leave the metrics that need labels undefined."""
    for name in embedded.bank:
        recalls = [f"recall_at_{k}" for k in data.recalls]
        names = [*recalls, "map_at_r", *CLUSTERING_METRICS]
        found.leave_out(names, name, ONE_TEST_CLASS)
    similar = ["similarity_overlap", "similarity_auc"]
    found.leave_out(similar, embedded.headline, ONE_TEST_CLASS)
    if not data.unseen:
        for name in (*embedded.bank, *evaluator.memory()):
            found.leave_out(["knn"], name, ONE_TEST_CLASS)
        found.leave_out(["linear"], _probed(embedded, evaluator.settings), ONE_TEST_CLASS)


def _vote(
    found: _Found,
    evaluator: Evaluator,
    embedded: Embedded,
    bank_labels: np.ndarray,
    labels: np.ndarray,
) -> pd.DataFrame | None:
    """Add the kNN accuracy of each representation and of the memory bank.

    Returns:
        The classes that the headline's neighbours vote for: `label` and `knn`.
    """
    settings, images = evaluator.settings, len(bank_labels)
    k = min(settings.knn_k, images)
    banks = {**embedded.bank, **evaluator.memory()}
    table = None
    for name, rows in banks.items():
        accuracy = Metrics()
        queries = _rows_of(embedded.test, name, embedded.headline)
        predicted = knn_predict(rows, bank_labels, queries, k, settings.knn_temperature)
        if name == embedded.headline:
            table = pd.DataFrame({"label": labels, "knn": predicted}).astype(np.int32)
        if (bank_labels == bank_labels[0]).all():
            accuracy.leave_out(("knn",), ONE_BANK_CLASS)
        else:
            accuracy["knn"] = percent(predicted == labels)
        if images < settings.knn_k:
            accuracy.warn(
                accuracy,
                f"{images} neighbours vote instead of {settings.knn_k}: the bank has no more "
                "images",
            )
        found.add(accuracy, name, f"knn-{k}-{settings.knn_temperature:g}")
    return table


def _rows_of(rows: Rows | None, name: str, headline: str) -> np.ndarray:
    """Return the test images' rows that are compared with a bank: a memory holds headline rows."""
    assert rows is not None
    return rows[headline if name == MEMORY else name]


def _retrieve_and_cluster(
    found: _Found, name: str, rows: np.ndarray, labels: np.ndarray, recalls: Sequence[int]
) -> None:
    """Add how well test images find and form their classes."""
    restarts = RESTARTS if len(np.unique(labels)) <= MANY_CLUSTERS else 1
    lone = lone_images(labels)
    left_out = f"-{lone}-lone-queries-left-out" if lone else ""
    retrieved = retrieval_metrics(rows, labels, recalls)
    found.add(retrieved, name, f"test-against-test-self-excluded{left_out}")
    clustered = clustering_metrics(rows, labels, restarts)
    found.add(clustered, name, f"kmeans-{restarts}-restarts-on-test")


def _probe(
    found: _Found,
    embedded: Embedded,
    bank_labels: np.ndarray,
    labels: np.ndarray,
    settings: EvaluationSettings,
) -> None:
    """Add the accuracy of a linear SVM fitted on the bank, of one representation."""
    name = _probed(embedded, settings)
    images, probe = np.unique(bank_labels, return_counts=True)[1], Metrics()
    if len(images) < 2:
        probe.leave_out(("linear",), ONE_BANK_CLASS)
        found.add(probe, name)
        return
    bank, queries = embedded.bank[name], _rows_of(embedded.test, name, name)
    c, chosen = _chosen_c(probe, bank, bank_labels, int(images.min()), settings)
    if settings.linear_features == "pooled" and name != FEATURES:
        probe.warn(("linear",), f"of {name}: the method offers no pooled features")
    probe["linear"] = linear_accuracy(bank, bank_labels, queries, labels, c)
    found.add(probe, name, f"linear-svm-{chosen}")
    if settings.linear_c == "cross-validated" and chosen == settings.linear_c:
        found.add(Metrics({"linear_c": c}), name)


def _probed(embedded: Embedded, settings: EvaluationSettings) -> str:
    """Return the representation that the linear SVM classifies."""
    if settings.linear_features == "pooled" and FEATURES in embedded.bank:
        return FEATURES
    return embedded.headline


def _chosen_c(
    probe: Metrics,
    bank: np.ndarray,
    bank_labels: np.ndarray,
    smallest: int,
    settings: EvaluationSettings,
) -> tuple[float, str]:
    """Return C of the linear SVM and how the protocol names it.

    Args:
        probe: takes caveats.
        bank: (n, d).
        bank_labels: (n,).
        smallest: images of the smallest class.
        settings: state C, or that it is cross-validated.
    """
    if settings.linear_c != "cross-validated":
        return settings.linear_c, f"c{settings.linear_c:g}"
    if smallest < 2:  # an image alone in its class cannot be both fitted and predicted
        probe.warn(("linear",), "C is 1, not cross-validated: a class of the bank has one image")
        return 1.0, "c1"
    if smallest < FOLDS:
        probe.warn(
            ("linear",),
            f"C is cross-validated in {smallest} folds instead of {FOLDS}: a class of the bank "
            "has no more images",
        )
    return cross_validated_c(bank, bank_labels), "cross-validated"


def _assign(
    found: _Found, evaluator: Evaluator, bank_labels: np.ndarray, labels: np.ndarray
) -> None:
    """Add the clustering accuracy of predicted classes, for images of the bank and of the test.

    Clusters and classes are matched on the very images that are scored (Hungarian method). "best"
    chooses a head by the labels it is scored on, as papers do; "mean" chooses none.
    """
    for part, store, truth in (
        ("test", evaluator.images.test, labels),
        ("train", evaluator.images.bank, bank_labels),
    ):
        heads: Tensor | None = None if store is None else evaluator.embedder.predict(store)
        if heads is None:
            return
        scores = [clustering_accuracy(truth, head.numpy()) for head in heads]  # a value a head
        for name, value in (("mean", float(np.mean(scores))), ("best", max(scores))):
            metric = Metrics({f"assignment_{part}_{name}": value})
            found.add(metric, PREDICTIONS, f"hungarian-on-{part}-{name}-of-{len(scores)}-heads")


def _similarities(
    queries: np.ndarray, test: Split, data: ImageData
) -> tuple[Metrics, pd.DataFrame | None]:
    """Return overlap and AUC of the paper's Figures 5 and 6, and their histograms."""
    truth: dict[str, Any] = {"class": test.labels}
    truth |= {name: has[test.labels] for name, has in attributes(data.name, data.classes).items()}
    values: dict[str, list[float]] = {}
    found, frames = Metrics(), []
    for attribute, labels in truth.items():
        of_class = attribute == "class"
        kind = "similarity" if of_class else "attribute"
        names = [f"{kind}_overlap", f"{kind}_auc"]
        images = np.unique(labels, return_counts=True)[1]
        if len(images) < 2 or images.max() < 2:
            reason = "every test image is alone in its class: none is alike"
            if len(images) < 2:
                reason = "all test images have it, or none has: there is nothing to tell apart"
            found.leave_out(names if of_class else [f"attribute_auc_{attribute}"], reason)
            continue
        positive, negative = similarities.nearest_similarities(queries, labels)
        both = similarities.overlap(positive, negative), similarities.auc(positive, negative)
        for name, value in zip(names, both, strict=True):
            values.setdefault(name, []).append(value)
        if not of_class:
            values[f"attribute_auc_{attribute}"] = [both[1]]
        frames.append(_histogram(attribute, positive, negative))
    found.update({name: float(np.mean(each)) for name, each in values.items()})
    return found, pd.concat(frames, ignore_index=True) if frames else None


def _histogram(attribute: str, positive: np.ndarray, negative: np.ndarray) -> pd.DataFrame:
    counts, edges = similarities.histogram(positive, negative)
    kinds = np.repeat(["positive", "negative"], counts.shape[1])
    return pd.DataFrame(
        {
            "attribute": attribute,
            "kind": kinds,
            "low": np.tile(edges[:-1], 2),
            "count": counts.ravel(),
        }
    )
