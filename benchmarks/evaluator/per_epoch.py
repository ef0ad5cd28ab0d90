"""What an encoder makes of the images: embeddings, and the figures of every evaluation."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common.device import autocast
from benchmarks.common.seeds import generator
from benchmarks.data.datasets.base import RECALLS
from benchmarks.data.loader import ImageStore
from benchmarks.data.transforms.augment import Augmentation, augment
from benchmarks.training.recipe import Recipe
from evaluation.metrics.knn import knn_accuracy
from evaluation.metrics.retrieval import recall_at_k
from evaluation.undefined import Undefined, check_several_classes
from methods import Method

EVALUATION_BATCH, EVALUATION_PIXELS = 1000, 1 << 23
"""Most images, and most pixels of images, that are embedded at a time."""


@dataclass(frozen=True)
class Embedded:
    """Embeddings of one evaluation, fp32 on the CPU."""

    bank: np.ndarray
    """Of the images that the kNN classifier compares with: the training set, if it is labelled."""
    test: np.ndarray | None
    bank_pooled: np.ndarray | None = None
    """The backbone's pooled features before the embedding layer, if they were asked for."""
    test_pooled: np.ndarray | None = None


@dataclass(frozen=True)
class Stores:
    """The images of a run.

    Attributes:
        train: what is learned from.
        bank: what the kNN classifier compares with: the same store as `train`, or a labelled one.
        test: what is classified; None if there is nothing to evaluate on.
        unseen: whether the test classes are others than the bank's, which cannot vote on them then;
            test images are retrieved from among themselves instead.
        recalls: how many neighbours count for recall then.
    """

    train: ImageStore
    bank: ImageStore
    test: ImageStore | None
    unseen: bool = False
    recalls: tuple[int, ...] = RECALLS


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation has found.

    Attributes:
        figures: `knn`, and `memory_knn` or `recall_at_1` and so on where they apply.
        test: the test images' embeddings, fp32 on the CPU; None if there are no test images.
        embedded: all embeddings; None where the test images alone were needed.
    """

    figures: dict[str, float]
    test: np.ndarray | None
    embedded: Embedded | None = None


class Evaluator:
    """Embeds images with a method's encoder, in evaluation mode, and judges the embeddings.

    Args:
        method: on `device`.
        recipe: the run's.
        images: what to embed.
        seed: of the run.
        device: where the method is.
        precision: "bf16" runs the network under autocast.
        compiled: whether the encoder was compiled for training; evaluation stays eager.
    """

    def __init__(
        self,
        method: Method,
        recipe: Recipe,
        images: Stores,
        seed: int,
        device: torch.device,
        precision: str,
        compiled: bool = False,
    ) -> None:
        self.method, self.recipe, self.images, self.seed = method, recipe, images, seed
        self.device, self.precision, self.compiled = device, precision, compiled

    def evaluate(self, last: bool) -> Evaluation:
        """Return the figures of an epoch; after the last one, with all that is judged further."""
        if self.images.unseen and not last:  # only the test images are judged
            store = self.images.test
            test = None if store is None else self._embed_store(store)[0]
            return Evaluation(self._recalls(test), test)
        embedded = self.embed_images(pooled=last)
        figures = {"knn": self._knn(embedded.bank, embedded.test)}
        memory = self.method.memory()
        if memory is not None and self.images.bank is self.images.train:
            remembered = memory.detach().float().cpu().numpy()
            figures["memory_knn"] = self._knn(remembered, embedded.test)
        return Evaluation(figures | self._recalls(embedded.test), embedded.test, embedded)

    def _recalls(self, queries: np.ndarray | None) -> dict[str, float]:
        """Return R@K of the test images among themselves, if their classes are unseen ones."""
        test = self.images.test
        if not self.images.unseen or queries is None or test is None or test.labels is None:
            return {}
        try:
            check_several_classes(test.labels, "test images")
            recalls = recall_at_k(queries, test.labels, self.images.recalls)
        except Undefined:  # the record has the reason, see `judgement.judge`
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
            k=self.recipe.knn_k,
            temperature=self.recipe.knn_temperature,
        )

    def pooled_knn(self, embedded: Embedded) -> float | None:
        """Return the kNN accuracy of the backbone's pooled features, if it has them and it is."""
        if embedded.bank_pooled is None:
            return None
        accuracy = self._knn(embedded.bank_pooled, embedded.test_pooled)
        return None if np.isnan(accuracy) else accuracy

    def embed_images(self, pooled: bool = False) -> Embedded:
        """Embed the bank's and the test images in evaluation mode with the test transform.

        Args:
            pooled: whether to keep what enters the encoder's `head` too; costs no second pass.
        """
        bank, bank_pooled = self._embed_store(self.images.bank, pooled)
        if self.images.test is None:
            return Embedded(bank, None, bank_pooled)
        test, test_pooled = self._embed_store(self.images.test, pooled)
        return Embedded(bank, test, bank_pooled, test_pooled)

    def embed_two_views(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Embed two views of at most `count` test images (training images if there are none).

        The images are spread evenly over the set. The views are drawn by the default augmentation
        whatever the recipe trains with, so that runs compare; (n, d) each, fp32 on the CPU.
        """
        store = self.images.test or self.images.train
        chosen = torch.arange(0, len(store), -(-len(store) // count))
        draws = generator(self.seed, 0, "two views", self.device)
        first: list[Tensor] = []
        second: list[Tensor] = []
        with self._evaluation_mode():
            for images in store.stream(torch.split(chosen, self._embedded_together(store))):
                for kept in (first, second):
                    views = augment(
                        images, Augmentation(), store.mean, store.std, draws, self.recipe.crop_size
                    )
                    kept.append(self.method.embed(views).float().cpu())
        return torch.cat(first).numpy(), torch.cat(second).numpy()

    def training_features(self) -> np.ndarray:
        """Return the training images' (n, d) pooled features, or embeddings if there are none."""
        embeddings, pooled = self._embed_store(self.images.train, pooled=True)
        return embeddings if pooled is None else pooled

    def embed_training_images(self) -> Tensor:
        """Return the (n, d) embeddings of the training images, on the training device."""
        with self._evaluation_mode():
            return self._embed(self.images.train)

    def _embed_store(
        self, store: ImageStore, pooled: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        kept: list[Tensor] = []
        head = getattr(self.method.encoder, "head", None) if pooled else None
        hook = None
        if isinstance(head, nn.Module):
            hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].float()))
        try:
            with self._evaluation_mode():
                embeddings = self._embed(store)
        finally:
            if hook is not None:
                hook.remove()
        return embeddings.cpu().numpy(), torch.cat(kept).cpu().numpy() if kept else None

    def _embed(self, store: ImageStore) -> Tensor:
        together = self._embedded_together(store)
        return store.embed(self.method.embed, together, self.recipe.crop_size)

    def _embedded_together(self, store: ImageStore) -> int:
        """Return how many images are embedded at a time, fewer of large ones."""
        height, width = store.images.shape[2:]
        return max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (height * width)))

    @contextmanager
    def _evaluation_mode(self) -> Iterator[None]:
        was_training = self.method.training
        self.method.eval()
        try:
            with torch.no_grad(), autocast(self.device, self.precision), self._eager():
                yield
        finally:
            self.method.train(was_training)

    def _eager(self) -> AbstractContextManager[object]:
        """Compiled code would be made anew for evaluation, and pass over hooks."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()
