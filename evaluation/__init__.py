"""How an embedding is evaluated: arrays in, numbers out; knows no network, trainer or file.

Every function takes numpy arrays or torch tensors on any device: embeddings (n, d), labels (n,) of
any integers. Rates are percentages, 0 to 100; what is not says so.

>>> import numpy as np
>>> from evaluation import knn_accuracy, recall_at_k
>>> bank = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
>>> knn_accuracy(bank, [0, 0, 1, 1], np.array([[0.8, 0.3]]), [0], k=3)
100.0
>>> recall_at_k(bank, [0, 0, 1, 1], ks=(1, 2))
{1: 100.0, 2: 100.0}

A name is imported from its module when it is first used, so that `import evaluation` loads neither
torch nor FAISS nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluation.backends.kmeans import kmeans as kmeans
    from evaluation.backends.neighbours import fair_search as fair_search
    from evaluation.backends.neighbours import search as search
    from evaluation.metrics.clustering import adjusted_rand as adjusted_rand
    from evaluation.metrics.clustering import agreement as agreement
    from evaluation.metrics.clustering import best_clusters as best_clusters
    from evaluation.metrics.clustering import clustering_accuracy as clustering_accuracy
    from evaluation.metrics.clustering import clustering_metrics as clustering_metrics
    from evaluation.metrics.clustering import nmi as nmi
    from evaluation.metrics.knn import knn_accuracy as knn_accuracy
    from evaluation.metrics.knn import knn_predict as knn_predict
    from evaluation.metrics.linear_probe import cross_validated_c as cross_validated_c
    from evaluation.metrics.linear_probe import linear_accuracy as linear_accuracy
    from evaluation.metrics.representation import alignment as alignment
    from evaluation.metrics.representation import effective_rank as effective_rank
    from evaluation.metrics.representation import representation_metrics as representation_metrics
    from evaluation.metrics.representation import uniformity as uniformity
    from evaluation.metrics.representation import view_agreement as view_agreement
    from evaluation.metrics.retrieval import map_at_r as map_at_r
    from evaluation.metrics.retrieval import recall_at_k as recall_at_k
    from evaluation.metrics.retrieval import retrieval_metrics as retrieval_metrics
    from evaluation.metrics.separation import auc as auc
    from evaluation.metrics.separation import histogram as histogram
    from evaluation.metrics.separation import nearest_similarities as nearest_similarities
    from evaluation.metrics.separation import overlap as overlap
    from evaluation.undefined import Metrics as Metrics
    from evaluation.undefined import Undefined as Undefined

_MODULES = {
    "evaluation.backends.kmeans": ("kmeans",),
    "evaluation.backends.neighbours": ("fair_search", "search"),
    "evaluation.metrics.clustering": (
        "adjusted_rand",
        "agreement",
        "best_clusters",
        "clustering_accuracy",
        "clustering_metrics",
        "nmi",
    ),
    "evaluation.metrics.knn": ("knn_accuracy", "knn_predict"),
    "evaluation.metrics.linear_probe": ("cross_validated_c", "linear_accuracy"),
    "evaluation.metrics.representation": (
        "alignment",
        "effective_rank",
        "representation_metrics",
        "uniformity",
        "view_agreement",
    ),
    "evaluation.metrics.retrieval": ("map_at_r", "recall_at_k", "retrieval_metrics"),
    "evaluation.metrics.separation": ("auc", "histogram", "nearest_similarities", "overlap"),
    "evaluation.undefined": ("Metrics", "Undefined"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Metrics",
    "Undefined",
    "adjusted_rand",
    "agreement",
    "alignment",
    "auc",
    "best_clusters",
    "clustering_accuracy",
    "clustering_metrics",
    "cross_validated_c",
    "effective_rank",
    "fair_search",
    "histogram",
    "kmeans",
    "knn_accuracy",
    "knn_predict",
    "linear_accuracy",
    "map_at_r",
    "nearest_similarities",
    "nmi",
    "overlap",
    "recall_at_k",
    "representation_metrics",
    "retrieval_metrics",
    "search",
    "uniformity",
    "view_agreement",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'evaluation' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
