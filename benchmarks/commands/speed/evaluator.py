"""The evaluator alone, beside what one would call otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from benchmarks.commands.speed import memory
from benchmarks.commands.speed.record import Evaluation
from benchmarks.commands.speed.timing import seconds
from evaluation.backends.kmeans import kmeans
from evaluation.metrics.knn import knn_predict
from evaluation.metrics.retrieval import recall_at_k

ITERATIONS = 20
NEIGHBOURS = 200
RECALLS = (1, 10, 100)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    """Of what the evaluator is timed on: CIFAR-10's kNN, and the Stanford Online Products."""

    bank: int = 50_000
    queries: int = 10_000
    clusters: int = 1000
    products: int = 60_502
    product_classes: int = 11_316


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

    def time(self, device: torch.device) -> Evaluation:
        """Return how long both take."""
        memory.forget_peak(device)
        whole = seconds(lambda: self.suite(1.0), device)
        most = memory.peak(device)
        part = whole if self.share == 1 else seconds(lambda: self.suite(self.share), device)
        return Evaluation(
            task=self.name,
            suite=whole,
            size=self.size(1.0),
            reference=self.reference_name,
            reference_size=self.size(self.share),
            suite_at_reference_size=part,
            reference_seconds=seconds(lambda: self.reference(self.share), device),
            peak_memory=most,
        )


def evaluator(
    device: torch.device, embedding_size: int = 128, sizes: Sizes | None = None
) -> list[Evaluation]:
    """Time each part of the evaluator on drawn embeddings; the first is the kNN classifier."""
    sizes = sizes or Sizes()
    points = _drawn(sizes.products, sizes.product_classes, embedding_size)
    # class by class, as products are sorted: a share of the rows holds whole classes
    labels = np.arange(len(points)) * sizes.product_classes // len(points)
    tasks = (
        _knn(points[: sizes.bank], points[-sizes.queries :], device),
        _recall(points, labels, device),
        _kmeans(points[: sizes.bank], sizes.clusters, 1.0, device),
        _kmeans(points, sizes.product_classes, 0.1, device),
    )
    return [task.time(device) for task in tasks]


def _drawn(rows: int, centres: int, width: int) -> Floats:
    """Return unit rows around so many centres, as embeddings of products are."""
    generator = np.random.default_rng(0)
    middles = generator.standard_normal((centres, width), np.float32)
    points = middles[generator.integers(centres, size=rows)]
    points = points + generator.standard_normal((rows, width), np.float32)
    unit: Floats = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


def _knn(bank: Floats, queries: Floats, device: torch.device) -> Task:
    labels, held = np.arange(len(bank)) % 10, torch.from_numpy(bank).to(device)
    return Task(
        name=f"kNN, k = {NEIGHBOURS}",
        size=lambda share: f"{len(queries):,} x {len(bank):,}",
        suite=lambda share: knn_predict(held, labels, queries, NEIGHBOURS),
        reference=lambda share: _plain_knn(held, labels, queries),
        reference_name="torch, chunked",
    )


def _recall(points: Floats, labels: NDArray[np.int64], device: torch.device) -> Task:
    held = torch.from_numpy(points).to(device)

    def rows(share: float) -> int:
        return round(len(points) * share)

    def reference(share: float) -> object:
        some = points[: rows(share)]
        near = min(max(RECALLS) + 1, len(some))
        found = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(some)
        return found.kneighbors(some, return_distance=False)

    return Task(
        name=f"Recall@{', '.join(map(str, RECALLS))}",
        size=lambda share: f"{rows(share):,} x {rows(share):,}",
        suite=lambda share: recall_at_k(held[: rows(share)], labels[: rows(share)], RECALLS),
        reference=reference,
        reference_name="scikit-learn, brute force",
        share=0.1,
    )


def _kmeans(points: Floats, clusters: int, share: float, device: torch.device) -> Task:
    held = torch.from_numpy(points).to(device)

    def reference(share: float) -> object:
        machine = KMeans(
            round(clusters * share), init="random", n_init=1, max_iter=ITERATIONS, tol=0
        )
        return machine.fit(points[: round(len(points) * share)])

    return Task(
        name=f"k-means, {clusters:,} clusters",
        size=lambda share: f"{round(len(points) * share):,}",
        suite=lambda share: kmeans(
            held[: round(len(points) * share)], round(clusters * share), 0, ITERATIONS
        ),
        reference=reference,
        reference_name=f"scikit-learn, at most {ITERATIONS} iterations",
        share=share,
    )


def _plain_knn(bank: torch.Tensor, labels: NDArray[np.int64], queries: Floats) -> torch.Tensor:
    """Classify as training scripts do: a matrix product and topk, a few hundred queries at once."""
    targets = torch.from_numpy(labels).to(bank.device)
    classes = int(targets.max()) + 1
    predicted = []
    for chunk in torch.split(torch.from_numpy(queries).to(bank.device), 500):
        similarities, indices = (chunk @ bank.T).topk(NEIGHBOURS)
        votes = F.one_hot(targets[indices], classes) * (similarities / 0.1).exp().unsqueeze(2)
        predicted.append(votes.sum(1).argmax(1))
    return torch.cat(predicted).cpu()
