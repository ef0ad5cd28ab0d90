"""What is measured once, after the last epoch, beside the kNN accuracy of every evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.gallery import gallery
from benchmarks.evaluator.per_epoch import Embedded, Evaluator
from benchmarks.training.recipe import Recipe
from evaluation.metrics import separation as similarities
from evaluation.metrics.clustering import CLUSTERING_METRICS, clustering_metrics
from evaluation.metrics.knn import knn_predict
from evaluation.metrics.linear_probe import FOLDS, cross_validated_c, linear_accuracy
from evaluation.metrics.representation import representation_metrics
from evaluation.metrics.retrieval import lone_images, retrieval_metrics
from evaluation.undefined import Metrics

VIEWED_IMAGES = 2000
"""Test images of which two views are compared for the figures that need no labels."""
RESTARTS, MANY_CLUSTERS = 10, 1000
"""Of k-means; above so many clusters a single run, which takes as long as ten of fewer."""
KNN_PROTOCOLS = {"knn": "", "memory_knn": "-memory-bank", "pooled_knn": "-pooled-features"}
"""What the name of the kNN protocol ends with, by metric."""
ONE_TEST_CLASS = "all test images are of one class: there is nothing to tell apart"
ONE_BANK_CLASS = "all images of the bank are of one class: there is nothing to tell apart"


@dataclass(frozen=True)
class Judgement:
    """All that is known about the last epoch's embeddings.

    Attributes:
        figures: by name; percent unless the evaluation says otherwise.
        protocols: of the figures that have one.
        predictions: see `records.PREDICTIONS`; None without labelled test images.
        similarities: see `records.SIMILARITIES`; None likewise.
        gallery: arrays of `records.GALLERY`; empty likewise.
        undefined: why a metric that this data set asks for has no value, by its name.
        caveats: what a reader of a metric's value must know, by its name.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    similarities: pd.DataFrame | None = None
    gallery: Mapping[str, np.ndarray] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    caveats: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Found:
    """What was measured so far, with the protocols by which it was."""

    metrics: Metrics = field(default_factory=Metrics)
    protocols: dict[str, str] = field(default_factory=dict)

    def add(self, metrics: Metrics, protocol: str = "", prefix: str = "") -> None:
        """Add metrics; the protocol is that of each one that has a value."""
        self.metrics.add(metrics, prefix)
        if protocol:
            self.protocols |= {prefix + name: protocol for name in metrics}

    def judgement(
        self,
        predictions: pd.DataFrame | None = None,
        similarities: pd.DataFrame | None = None,
        gallery: Mapping[str, np.ndarray] | None = None,
    ) -> Judgement:
        """Return all of it with the run's tables."""
        known = self.metrics
        return Judgement(
            figures=dict(known),
            protocols=self.protocols,
            predictions=predictions,
            similarities=similarities,
            gallery=gallery or {},
            undefined=known.undefined,
            caveats=known.caveats,
        )


def judge(evaluator: Evaluator, embedded: Embedded, data: ImageData) -> Judgement:
    """Return what the embeddings are good for; figures that need labels only where there are."""
    found = _Found()
    views = representation_metrics(*evaluator.embed_two_views(VIEWED_IMAGES))
    found.add(views, f"two-views-default-augmentation-{VIEWED_IMAGES}")
    bank, test = data.labelled_bank, data.test
    if embedded.test is None or test is None or bank.labels is None or test.labels is None:
        return found.judgement()
    if not data.unseen:
        _state_knn(found, bank.labels, evaluator.recipe)
    if len(np.unique(test.labels)) < 2:
        missing = [*(f"recall_at_{k}" for k in data.recalls), "map_at_r", *CLUSTERING_METRICS]
        missing += ["similarity_overlap", "similarity_auc"] + ["linear"] * (not data.unseen)
        found.metrics.leave_out(missing, ONE_TEST_CLASS)
        return found.judgement()
    queries = embedded.test
    _retrieve_and_cluster(found, queries, test.labels, data.recalls)
    near, drawn = _similarities(queries, test, data)
    found.add(near, "5-nearest-test-against-test")
    if data.unseen:  # the bank's classes are others: neither kNN nor a linear classifier
        if embedded.test_pooled is not None:
            _retrieve_and_cluster(found, embedded.test_pooled, test.labels, data.recalls, "pooled_")
        return found.judgement(similarities=drawn)
    found.add(*_classified(embedded, bank.labels, test.labels, evaluator.recipe))
    found.protocols.pop("linear_c", None)
    pooled = evaluator.pooled_knn(embedded)
    if pooled is not None:
        found.metrics["pooled_knn"] = pooled
    return found.judgement(
        _predictions(embedded.bank, bank.labels, queries, test.labels, evaluator.recipe),
        drawn,
        gallery(embedded.bank, bank, queries, test, data),
    )


def _state_knn(found: _Found, bank_labels: np.ndarray, recipe: Recipe) -> None:
    """State that kNN accuracy is undefined, or was measured with another k than the recipe's."""
    images = len(bank_labels)
    if len(np.unique(bank_labels)) < 2:
        found.metrics.leave_out(("knn",), ONE_BANK_CLASS)
    elif images < recipe.knn_k:
        protocol = f"knn-{images}-{recipe.knn_temperature:g}"
        found.protocols |= {name: protocol + suffix for name, suffix in KNN_PROTOCOLS.items()}
        found.metrics.warn(
            KNN_PROTOCOLS,
            f"{images} neighbours vote instead of {recipe.knn_k}: the bank has no more images",
        )


def _retrieve_and_cluster(
    found: _Found,
    embeddings: np.ndarray,
    labels: np.ndarray,
    recalls: Sequence[int],
    prefix: str = "",
) -> None:
    """Add how well test images find and form their classes."""
    restarts = RESTARTS if len(np.unique(labels)) <= MANY_CLUSTERS else 1
    lone = lone_images(labels)
    left_out = f"-{lone}-lone-queries-left-out" if lone else ""
    retrieved = retrieval_metrics(embeddings, labels, recalls)
    found.add(retrieved, f"test-against-test-self-excluded{left_out}", prefix)
    clustered = clustering_metrics(embeddings, labels, restarts)
    found.add(clustered, f"kmeans-{restarts}-restarts-on-test", prefix)


def _classified(
    embedded: Embedded, bank_labels: np.ndarray, labels: np.ndarray, recipe: Recipe
) -> tuple[Metrics, str]:
    """Return what a linear classifier of the bank makes of the test images, and its protocol."""
    bank, test, features = embedded.bank, embedded.test, "embedding"
    if recipe.linear_features == "pooled" and embedded.bank_pooled is not None:
        bank, test, features = embedded.bank_pooled, embedded.test_pooled, "pooled"
    images, found = np.unique(bank_labels, return_counts=True)[1], Metrics()
    if test is None:
        return found, ""
    if len(images) < 2:
        found.leave_out(("linear",), ONE_BANK_CLASS)
        return found, ""
    if recipe.linear_c != "cross-validated":
        c, chosen = recipe.linear_c, f"c{recipe.linear_c:g}"
    elif images.min() < 2:  # an image alone in its class cannot be both fitted and judged
        c, chosen = 1.0, "c1"
        found.warn(("linear",), "C is 1, not cross-validated: a class of the bank has one image")
    else:
        c, chosen = cross_validated_c(bank, bank_labels), "cross-validated"
        found["linear_c"] = c
        if images.min() < FOLDS:
            found.warn(
                ("linear",),
                f"C is cross-validated in {images.min()} folds instead of {FOLDS}: a class of the "
                "bank has no more images",
            )
    if recipe.linear_features == "pooled" and features != "pooled":
        found.warn(("linear",), "of the embedding: the encoder has no pooled features")
    found["linear"] = linear_accuracy(bank, bank_labels, test, labels, c)
    return found, f"linear-svm-{chosen}-{features}"


def _predictions(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
) -> pd.DataFrame:
    predicted = knn_predict(bank, bank_labels, queries, recipe.knn_k, recipe.knn_temperature)
    return pd.DataFrame({"label": labels, "knn": predicted}).astype(np.int32)


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
