"""What is measured once, after the last epoch, beside the kNN accuracy of every evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.attributes import attributes
from benchmarks.datasets.base import ImageData, Split
from benchmarks.evaluator import Embedded, Evaluator
from benchmarks.galleries import gallery
from benchmarks.recipes import Recipe
from evaluation import similarities
from evaluation.clustering import clustering_figures
from evaluation.knn import knn_predict
from evaluation.label_free import label_free_figures
from evaluation.linear import cross_validated_c, linear_accuracy
from evaluation.retrieval import retrieval_figures

VIEWED_IMAGES = 2000
"""Test images of which two views are compared for the figures that need no labels."""
RESTARTS, MANY_CLUSTERS = 10, 1000
"""Of k-means; above so many clusters a single run, which takes as long as ten of fewer."""


@dataclass(frozen=True)
class Judgement:
    """All that is known about the last epoch's embeddings.

    Attributes:
        figures: by name; percent unless the evaluation says otherwise.
        protocols: of the figures that have one.
        predictions: see `records.PREDICTIONS`; None without labelled test images.
        similarities: see `records.SIMILARITIES`; None likewise.
        gallery: arrays of `records.GALLERY`; empty likewise.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    similarities: pd.DataFrame | None = None
    gallery: Mapping[str, np.ndarray] = field(default_factory=dict)


def judge(evaluator: Evaluator, embedded: Embedded, data: ImageData) -> Judgement:
    """Return what the embeddings are good for; figures that need labels only where there are."""
    figures = label_free_figures(*evaluator.embed_two_views(VIEWED_IMAGES))
    protocols = dict.fromkeys(figures, f"two-views-default-augmentation-{VIEWED_IMAGES}")
    bank, test = data.labelled_bank, data.test
    if embedded.test is None or test is None or bank.labels is None or test.labels is None:
        return Judgement(figures, protocols)
    if len(np.unique(test.labels)) < 2:  # nothing to tell apart
        return Judgement(figures, protocols)
    queries = embedded.test
    apart, told = _retrieved_and_clustered(queries, test.labels, data.recalls)
    near, drawn = _similarities(queries, test, data)
    figures |= {**apart, **near}
    protocols |= {**told, **dict.fromkeys(near, "5-nearest-test-against-test")}
    if data.unseen:  # the bank's classes are others: neither kNN nor a linear classifier
        if embedded.test_pooled is not None:
            apart, told = _retrieved_and_clustered(embedded.test_pooled, test.labels, data.recalls)
            figures |= {f"pooled_{name}": value for name, value in apart.items()}
            protocols |= {f"pooled_{name}": protocol for name, protocol in told.items()}
        return Judgement(figures, protocols, None, drawn)
    classified, told = _classified(embedded, bank.labels, test.labels, evaluator.recipe)
    figures |= classified
    protocols |= told
    pooled = evaluator.pooled_knn(embedded)
    if pooled is not None:
        figures["pooled_knn"] = pooled
    return Judgement(
        figures,
        protocols,
        _predictions(embedded.bank, bank.labels, queries, test.labels, evaluator.recipe),
        drawn,
        gallery(embedded.bank, bank, queries, test, data),
    )


def _retrieved_and_clustered(
    embeddings: np.ndarray, labels: np.ndarray, recalls: Sequence[int]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return how well test images find and form their classes, and by which protocols."""
    restarts = RESTARTS if len(np.unique(labels)) <= MANY_CLUSTERS else 1
    retrieved = retrieval_figures(embeddings, labels, recalls)
    clustered = clustering_figures(embeddings, labels, restarts)
    clustering = f"kmeans-{restarts}-restarts-on-test"
    return {**retrieved, **clustered}, {
        **dict.fromkeys(retrieved, "test-against-test-self-excluded"),
        **dict.fromkeys(clustered, clustering),
    }


def _classified(
    embedded: Embedded, bank_labels: np.ndarray, labels: np.ndarray, recipe: Recipe
) -> tuple[dict[str, float], dict[str, str]]:
    """Return what a linear classifier of the bank makes of the test images, and its protocol."""
    bank, test, features = embedded.bank, embedded.test, "embedding"
    if recipe.linear_features == "pooled" and embedded.bank_pooled is not None:
        bank, test, features = embedded.bank_pooled, embedded.test_pooled, "pooled"
    images = np.unique(bank_labels, return_counts=True)[1]
    if test is None or len(images) < 2:
        return {}, {}
    figures: dict[str, float] = {}
    if recipe.linear_c != "cross-validated":
        c, chosen = recipe.linear_c, f"c{recipe.linear_c:g}"
    elif images.min() < 2:  # an image alone in its class cannot be both fitted and judged
        c, chosen = 1.0, "c1"
    else:
        c, chosen = cross_validated_c(bank, bank_labels), "cross-validated"
        figures["linear_c"] = c
    figures["linear"] = linear_accuracy(bank, bank_labels, test, labels, c)
    return figures, {"linear": f"linear-svm-{chosen}-{features}"}


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
) -> tuple[dict[str, float], pd.DataFrame | None]:
    """Return overlap and AUC of the paper's Figures 5 and 6, and their histograms."""
    truth: dict[str, Any] = {"class": test.labels}
    truth |= {name: has[test.labels] for name, has in attributes(data.name, data.classes).items()}
    figures: dict[str, list[float]] = {}
    frames = []
    for attribute, labels in truth.items():
        images = np.unique(labels, return_counts=True)[1]
        if len(images) < 2 or images.max() < 2:  # nothing to tell apart, or nothing alike
            continue
        positive, negative = similarities.nearest_similarities(queries, labels)
        kind = "similarity" if attribute == "class" else "attribute"
        auc = similarities.auc(positive, negative)
        figures.setdefault(f"{kind}_overlap", []).append(similarities.overlap(positive, negative))
        figures.setdefault(f"{kind}_auc", []).append(auc)
        if attribute != "class":
            figures[f"attribute_auc_{attribute}"] = [auc]
        frames.append(_histogram(attribute, positive, negative))
    means = {name: float(np.mean(values)) for name, values in figures.items()}
    return means, pd.concat(frames, ignore_index=True) if frames else None


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
