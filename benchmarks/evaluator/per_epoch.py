"""The metrics of every evaluation while a method trains."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.data.loader import Stores
from benchmarks.evaluator.embed import Embedded, Embedder
from benchmarks.evaluator.settings import EvaluationSettings
from evaluation.metrics.knn import knn_accuracy
from evaluation.metrics.representation import spread
from evaluation.metrics.retrieval import recall_at_k
from evaluation.undefined import Undefined, check_several_classes
from methods import Method


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation has found.

    Attributes:
        metrics: of the headline representation: `spread`, and `knn`, `memory_knn`, `recall_at_1`
            and so on where they apply.
        test: the test images' headline rows, fp32 on the CPU; None if there are no test images.
        embedded: all representations; None where the test images alone were needed.
    """

    metrics: dict[str, float]
    test: np.ndarray | None
    embedded: Embedded | None = None


class Evaluator:
    """Embeds the images of a run and measures the headline representation.

    Args:
        method: on `device`.
        settings: neighbours, temperature, crops.
        images: what to embed.
        seed: of the run.
        device: where the method is.
        precision: "bf16" runs the network under autocast.
        compiled: whether the encoder was compiled for training; evaluation stays eager.
    """

    def __init__(
        self,
        method: Method,
        settings: EvaluationSettings,
        images: Stores,
        seed: int,
        device: torch.device,
        precision: str,
        compiled: bool = False,
    ) -> None:
        self.method, self.settings, self.images = method, settings, images
        self.embedder = Embedder(
            method, images, seed, device, precision, settings.crop_size, compiled
        )

    def evaluate(self, last: bool) -> Evaluation:
        """Return the metrics of an epoch; after the last one with every representation."""
        if self.images.unseen and not last:  # only the test images are evaluated
            rows = self.embedder.embed_test(every=False)
            test = None if rows is None else next(iter(rows.values()))
            return Evaluation(self._recalls(test) | _spread(test), test)
        embedded = self.embedder.embed_images(every=last)
        test = None if embedded.test is None else embedded.test[embedded.headline]
        metrics = {"knn": self._knn(embedded.bank[embedded.headline], test)}
        metrics |= {f"{name}_knn": self._knn(rows, test) for name, rows in self.memory().items()}
        metrics |= _spread(test if self.images.unseen else embedded.bank[embedded.headline])
        return Evaluation(metrics | self._recalls(test), test, embedded)

    def memory(self) -> Mapping[str, np.ndarray]:
        """Return the method's (n, d) memory bank as "memory", if it holds the bank's images."""
        memory = self.method.memory()
        if memory is None or self.images.bank is not self.images.train:
            return {}
        return {"memory": memory.detach().float().cpu().numpy()}

    def _recalls(self, queries: np.ndarray | None) -> dict[str, float]:
        """Return R@K of the test images among themselves, if their classes are not trained on."""
        test = self.images.test
        if not self.images.unseen or queries is None or test is None or test.labels is None:
            return {}
        try:
            check_several_classes(test.labels, "test images")
            recalls = recall_at_k(queries, test.labels, self.images.recalls)
        except Undefined:  # the record has the reason, see `final.evaluate_final`
            return {}
        return {f"recall_at_{k}": recall for k, recall in recalls.items()}

    def _knn(self, bank: np.ndarray, queries: np.ndarray | None) -> float:
        """Return the kNN accuracy in percent; NaN without labels or with a bank of one class."""
        bank_labels = self.images.bank.labels
        query_labels = self.images.test.labels if self.images.test is not None else None
        if self.images.unseen or queries is None or bank_labels is None or query_labels is None:
            return float("nan")
        if (bank_labels == bank_labels[0]).all():  # nothing to tell apart
            return float("nan")
        return knn_accuracy(
            bank,
            bank_labels,
            queries,
            query_labels,
            k=self.settings.knn_k,
            temperature=self.settings.knn_temperature,
        )


def _spread(rows: np.ndarray | None) -> dict[str, float]:
    """Return how far (n, d) rows are spread: near 0 they have collapsed."""
    return {} if rows is None or len(rows) < 2 else {"spread": spread(rows)}
