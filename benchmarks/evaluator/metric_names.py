"""Metrics by name: what a record and a table call each, in which unit, and of what it is.

A metric of embeddings is recorded as `metric@representation`, such as `knn@embedding`; all else,
such as the loss, by its bare name.
"""

import re
from dataclasses import dataclass

EMBEDDING, FEATURES, MEMORY = "embedding", "features", "memory"
"""The suite's own representations: the encoder's normalised output, the backbone's pooled output
before the head, and a method's memory bank (against which embeddings are classified)."""


@dataclass(frozen=True)
class Metric:
    """A quantity that a table states."""

    published: str
    """What tables call it; its name in results/published/tables.csv."""
    name: str
    """What records call it, without the representation."""
    words: str = ""
    """Its name inside a sentence, of what methods are compared by; empty for all else."""

    @property
    def suffix(self) -> str:
        """What sets its columns apart from those of what methods are compared by."""
        return "" if self.words else f"_{self.name}"

    def of(self, representation: str) -> str:
        """Return the name by which a record has it of a representation."""
        return of(self.name, representation)


KNN = Metric("kNN", "knn", "kNN accuracy")
LINEAR = Metric("Linear", "linear")
RECALL_AT_1 = Metric("R@1", "recall_at_1", "R@1")
NMI = Metric("NMI", "nmi")


def recall_at(*ks: int) -> tuple[Metric, ...]:
    """Return R@1 and R@K for further K."""
    return RECALL_AT_1, *(Metric(f"R@{k}", f"recall_at_{k}") for k in ks)


def headline(unseen: bool) -> Metric:
    """Return what methods are compared by: where classes are `unseen`, none can vote on them."""
    return RECALL_AT_1 if unseen else KNN


PERCENT, FRACTION, COSINE, NATS, COUNT, RATE, PLAIN = (
    "percent",
    "fraction",
    "cosine",
    "nats",
    "count",
    "per second",
    "",
)
_OF_EMBEDDINGS = {
    "knn": PERCENT,
    "linear": PERCENT,
    "map_at_r": PERCENT,
    "nmi": PERCENT,
    "nmi_geometric": PERCENT,
    "ari": PERCENT,
    "clustering_accuracy": PERCENT,
    "view_agreement": PERCENT,
    "similarity_overlap": FRACTION,
    "similarity_auc": FRACTION,
    "attribute_overlap": FRACTION,
    "attribute_auc": FRACTION,
    "alignment": "squared distance",
    "uniformity": NATS,
    "effective_rank": "dimensions",
    "linear_c": PLAIN,
    "spread": PLAIN,
}
"""Units of the metrics of embeddings, by their bare names."""
_OTHERS = {
    "loss": PLAIN,
    "lr": PLAIN,
    "images_per_second": RATE,
    "images_seen": COUNT,
    "clusters_empty": COUNT,
    "cluster_largest": FRACTION,
    "nmi_previous": FRACTION,
    "positive_distance": "distance",
    "negative_distance": "distance",
    "positives_mean": COUNT,
    "positives_none": FRACTION,
    "negatives_mean": COUNT,
    "negatives_none": FRACTION,
}
"""Units of all else that the suite's own methods and the trainer measure."""
_FAMILIES = (
    (re.compile(r"recall_at_\d+"), PERCENT),
    (re.compile(r"attribute_(auc|overlap)_[^@]+"), FRACTION),
    (re.compile(r"assignment_(test|train)_(mean|best)"), PERCENT),
)
"""Units of the metrics of embeddings whose names have a part of their own."""


def split(name: str) -> tuple[str, str]:
    """Return a recorded name's metric and representation, "" if it is of none."""
    metric, _, representation = name.partition("@")
    return metric, representation


def of(metric: str, representation: str) -> str:
    """Return the name by which a record has a metric of a representation."""
    return f"{metric}@{representation}" if representation else metric


def of_embeddings(metric: str) -> bool:
    """Return whether a metric, by its bare name, is one of embeddings."""
    return metric in _OF_EMBEDDINGS or any(kind.fullmatch(metric) for kind, _ in _FAMILIES)


def unit(name: str) -> str:
    """Return the unit of a metric; "" where it has none, or is a method's own and not known."""
    metric, _ = split(name)
    of_family = next((unit for kind, unit in _FAMILIES if kind.fullmatch(metric)), PLAIN)
    return _OF_EMBEDDINGS.get(metric) or _OTHERS.get(metric) or of_family
