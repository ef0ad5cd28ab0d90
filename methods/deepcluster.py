"""DeepCluster: k-means assignments as labels (Caron et al., ECCV 2018)."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.backends.kmeans import kmeans
from evaluation.metrics.clustering import agreement
from evaluation.validation import as_floats, check_choice, check_count
from methods.base import Batch, Clock, Method, TrainingSet, embedding_size
from methods.blocks.clusters import principal_components, uniform_over_clusters
from methods.blocks.logits import similarity

Sampler = Literal["uniform", "scrambled"]


class DeepCluster(Method):
    """Cluster the embeddings before each epoch and learn to predict the clusters.

    The clusters are those of the evaluated embedding. The classifier, on the embedding before
    normalisation, starts anew each epoch and is stepped without momentum, as a fresh optimiser.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        clusters: k, at most the number of instances.
        iterations: of k-means.
        pca: principal components to cluster in; None for the embedding's width, at most 256.
        whitening: scale the components to unit variance.
        sampler: "uniform" draws an epoch's images uniformly over the clusters, as published.
            "scrambled" is the released code, which takes an image's number for its position in a
            list sorted by cluster.
    """

    name = "deepcluster"
    paper = "Caron et al., ECCV 2018"
    family = "cluster"
    views = 1
    pseudo_labels: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        clusters: int = 1000,
        iterations: int = 20,
        pca: int | None = None,
        whitening: bool = True,
        sampler: Sampler = "uniform",
    ) -> None:
        super().__init__(encoder, instances)
        width = embedding_size(encoder)
        if check_count(clusters, "clusters") > instances:
            raise ValueError(
                f"clusters: expected at most the {instances} training images, got {clusters}"
            )
        if pca is not None and check_count(pca, "pca") > width:
            raise ValueError(f"pca: expected at most the embedding's width {width}, got {pca}")
        self.clusters = clusters
        self.iterations = check_count(iterations, "iterations")
        self.pca = min(256, width) if pca is None else pca
        self.whitening = whitening
        self.sampler = check_choice(sampler, "sampler", Sampler)
        self.classifier = nn.Linear(width, clusters)
        self.register_buffer("pseudo_labels", torch.full((instances,), -1))  # none yet
        self._metrics: dict[str, float] = {}

    @torch.no_grad()
    def start_epoch(self, clock: Clock, train: TrainingSet) -> None:
        """Cluster all embeddings and start a new classifier."""
        embeddings = as_floats(train.embeddings(), "train.embeddings()", self.instances, "d")
        points = principal_components(embeddings, self.pca, self.whitening)
        seed = int(torch.randint(2**31 - 1, ()))
        labels = torch.from_numpy(kmeans(points, self.clusters, seed, self.iterations)[1])
        sizes = labels.bincount(minlength=self.clusters)
        self._metrics = {
            "clusters_empty": float((sizes == 0).sum()),
            "cluster_largest": float(sizes.max()) / self.instances,
        }
        if bool((self.pseudo_labels >= 0).all()):
            self._metrics["nmi_previous"] = agreement(self.pseudo_labels, labels)
        self.pseudo_labels.copy_(labels)
        self.classifier.weight.normal_(0, 0.01)
        self.classifier.bias.zero_()

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of a batch with one view against its clusters."""
        features = self.encoder(batch.views[0])
        logits = similarity(features, self.classifier.weight) + self.classifier.bias
        return F.cross_entropy(logits, self.pseudo_labels[batch.index])

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return as many images as there are instances, drawn uniformly over the clusters."""
        labels = self.pseudo_labels.to(generator.device)
        order = uniform_over_clusters(labels, generator)
        return labels.argsort(stable=True)[order] if self.sampler == "scrambled" else order

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the encoder's parameters, and the classifier's, which take no momentum."""
        body = [p for p in self.encoder.parameters() if p.requires_grad]
        return [{"params": body}, {"params": list(self.classifier.parameters()), "momentum": 0.0}]

    def metrics(self) -> dict[str, float]:
        """Return the epoch's empty clusters, the largest one's share, NMI with the last epoch."""
        return self._metrics
