"""The evaluator alone, beside what one would call otherwise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from benchmarks.speed.record import Evaluation
from benchmarks.speed.timing import seconds
from evaluation.knn import knn_predict
from evaluation.nearest import kmeans
from evaluation.retrieval import recall_at_k

ITERATIONS = 20
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """A part of the evaluator and its reference, each called with a share of the full size."""

    name: str
    size: Callable[[float], str]
    suite: Callable[[float], object]
    reference: Callable[[float], object]
    reference_name: str
    share: float = 1.0
    """Of the full size, at which the reference ends in sane time."""


def evaluator(device: torch.device, embedding_size: int = 128) -> Iterator[Evaluation]:
    """Time each part of the evaluator on drawn embeddings, largest size last."""
    for task in _tasks(_clustered(60_502, embedding_size), device):
        whole = seconds(lambda task=task: task.suite(1.0), device)  # type: ignore[misc]
        part = whole
        if task.share < 1:
            part = seconds(lambda task=task: task.suite(task.share), device)  # type: ignore[misc]
        yield Evaluation(
            task=task.name,
            suite=whole,
            size=task.size(1.0),
            reference=task.reference_name,
            reference_size=task.size(task.share),
            suite_at_reference_size=part,
            reference_seconds=seconds(lambda task=task: task.reference(task.share), device),  # type: ignore[misc]
        )


def _clustered(rows: int, width: int) -> Floats:
    """Return unit rows around 11,316 centres, as embeddings of products are."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((11_316, width), np.float32)
    points = centres[generator.integers(len(centres), size=rows)]
    points = points + generator.standard_normal((rows, width), np.float32)
    unit: Floats = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


def _tasks(points: Floats, device: torch.device) -> list[Task]:
    bank, queries = points[:50_000], points[50_000:60_000]
    labels = np.arange(len(points)) % 11_316
    held = {name: torch.from_numpy(a).to(device) for name, a in (("bank", bank), ("all", points))}

    def rows(array: Any, share: float) -> Any:
        return array[: round(len(array) * share)]

    def sklearn_recall(share: float) -> object:
        some = rows(points, share)
        found = NearestNeighbors(n_neighbors=101, algorithm="brute").fit(some)
        return found.kneighbors(some, return_distance=False)

    def sklearn_kmeans(some: Floats, clusters: int) -> object:
        machine = KMeans(clusters, init="random", n_init=1, max_iter=ITERATIONS, tol=0)
        return machine.fit(some)

    return [
        Task(
            "kNN, k = 200",
            lambda share: f"{round(len(queries) * share):,} x {len(bank):,}",
            lambda share: knn_predict(held["bank"], labels[:50_000] % 10, rows(queries, share)),
            lambda share: _plain_knn(held["bank"], labels[:50_000] % 10, rows(queries, share)),
            "torch, chunked",
        ),
        Task(
            "Recall@1, 10, 100",
            lambda share: f"{round(len(points) * share):,} x {round(len(points) * share):,}",
            lambda share: recall_at_k(rows(held["all"], share), rows(labels, share), (1, 10, 100)),
            sklearn_recall,
            "scikit-learn, brute force",
            0.2,
        ),
        Task(
            "k-means, 1,000 clusters",
            lambda share: f"{round(len(bank) * share):,}, {ITERATIONS} iterations",
            lambda share: kmeans(rows(held["bank"], share), round(1000 * share), 0, ITERATIONS),
            lambda share: sklearn_kmeans(rows(bank, share), round(1000 * share)),
            "scikit-learn",
        ),
        Task(
            "k-means, 11,316 clusters",
            lambda share: f"{round(len(points) * share):,}, {ITERATIONS} iterations",
            lambda share: kmeans(rows(held["all"], share), round(11_316 * share), 0, ITERATIONS),
            lambda share: sklearn_kmeans(rows(points, share), round(11_316 * share)),
            "scikit-learn",
            0.1,
        ),
    ]


def _plain_knn(bank: torch.Tensor, labels: NDArray[np.int64], queries: Floats) -> torch.Tensor:
    """Classify as training scripts do: a matrix product and topk, a few hundred queries at once."""
    targets = torch.from_numpy(labels).to(bank.device)
    classes = int(targets.max()) + 1
    predicted = []
    for chunk in torch.split(torch.from_numpy(queries).to(bank.device), 500):
        similarities, indices = (chunk @ bank.T).topk(200)
        votes = F.one_hot(targets[indices], classes) * (similarities / 0.1).exp().unsqueeze(2)
        predicted.append(votes.sum(1).argmax(1))
    return torch.cat(predicted).cpu()
