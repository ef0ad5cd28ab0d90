"""How often and by which protocols a run is evaluated."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EvaluationSettings:
    """What the evaluator needs to know of a recipe; the defaults are the paper's.

    Attributes:
        knn_k: neighbours that vote, at least 1.
        knn_temperature: of the votes' weights exp(cosine / temperature), above 0.
        linear_c: C of the linear SVM; "cross-validated" chooses it among 0.1, 1, 10 and 100 on the
            bank.
        linear_features: what the linear SVM classifies: the embedding, or what the backbone pools
            before it.
        evaluate_every: epochs between two evaluations; the first and the last epoch are always
            evaluated.
        crop_size: side in pixels of the square that is cut out of the centre of an image; None for
            the whole image.
    """

    knn_k: int = 200
    knn_temperature: float = 0.1
    linear_c: float | Literal["cross-validated"] = 1.0
    linear_features: Literal["embedding", "pooled"] = "embedding"
    evaluate_every: int = 1
    crop_size: int | None = None

    @property
    def knn_protocol(self) -> str:
        """Name of the kNN protocol, such as knn-200-0.1."""
        return f"knn-{self.knn_k}-{self.knn_temperature:g}"

    def due(self, epoch: int, epochs: int) -> bool:
        """Return whether an epoch is followed by an evaluation.

        Args:
            epoch: counted from 1.
            epochs: of the run.
        """
        return epoch in (1, epochs) or epoch % self.evaluate_every == 0
