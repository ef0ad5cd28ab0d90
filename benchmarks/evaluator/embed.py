"""Embeds the images of a run with its method: in evaluation mode, with the test transform."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.device import autocast
from benchmarks.common.errors import RunFailed
from benchmarks.common.seeds import generator
from benchmarks.data.loader import ImageStore, Stores
from benchmarks.data.transforms.augment import Augmentation, augment
from methods import Method

EVALUATION_BATCH, EVALUATION_PIXELS = 1000, 1 << 23
"""Most images, and most pixels of images, that are embedded at a time."""

Rows = Mapping[str, np.ndarray]
"""Unit rows by the name of their representation; the first one is the method's headline."""


@dataclass(frozen=True)
class Embedded:
    """The representations of one evaluation, fp32 on the CPU.

    Attributes:
        bank: (n, d) by name, of the images that the kNN classifier compares with.
        test: (q, d) by name; None if there are no test images.
    """

    bank: Rows
    test: Rows | None

    @property
    def headline(self) -> str:
        """Name of the method's headline representation."""
        return next(iter(self.bank))


class Embedder:
    """Runs images through a method.

    Args:
        method: on `device`.
        images: of the run.
        seed: of the run.
        device: where the method is.
        precision: "bf16" runs the network under autocast.
        crop_size: of the recipe; None for whole images.
        compiled: whether the encoder was compiled for training; evaluation stays eager.
    """

    def __init__(
        self,
        method: Method,
        images: Stores,
        seed: int,
        device: torch.device,
        precision: str,
        crop_size: int | None = None,
        compiled: bool = False,
    ) -> None:
        self.method, self.images, self.seed = method, images, seed
        self.device, self.precision = device, precision
        self.crop_size, self.compiled = crop_size, compiled

    def embed_images(self, every: bool) -> Embedded:
        """Embed the bank's and the test images.

        Args:
            every: keep every representation, not the headline alone; costs no second pass.
        """
        bank = self._rows(self.images.bank, every)
        return Embedded(bank, self.embed_test(every))

    def embed_test(self, every: bool) -> Rows | None:
        """Embed the test images alone; None if there are none."""
        return None if self.images.test is None else self._rows(self.images.test, every)

    def training_embeddings(self) -> Tensor:
        """Return the training images' (n, d) headline rows, fp32, on the training device."""

        def headline(images: Tensor) -> Tensor:
            return next(iter(self.method.representations(images).values()))

        with self._evaluation_mode():
            return torch.cat(list(self._pass(self.images.train, headline)))

    def training_features(self) -> Tensor:
        """Return the training images' (n, feature_size) pooled features, fp32, on the device."""
        with self._evaluation_mode():
            return torch.cat(list(self._pass(self.images.train, self.method.backbone.features)))

    def predict(self, store: ImageStore) -> Tensor | None:
        """Return the method's (heads, n) predicted classes; None if it predicts none."""
        with self._evaluation_mode():
            parts = [self.method.predict(images) for images in self._prepared(store)]
        known = [part.argmax(2).cpu() for part in parts if part is not None]  # (heads, b) each
        return torch.cat(known, 1) if len(known) == len(parts) else None

    def embed_two_views(self, count: int) -> tuple[Rows, Rows]:
        """Embed two views of at most `count` test images (training images if there are none).

        The images are spread evenly over the set. The views are drawn by the default augmentation
        whatever the recipe trains with, so that runs compare; (n, d) each.
        """
        store = self.images.test or self.images.train
        chosen = torch.arange(0, len(store), -(-len(store) // count))
        draws = generator(self.seed, 0, "two views", self.device)
        kept: tuple[list[Mapping[str, Tensor]], ...] = ([], [])
        with self._evaluation_mode():
            for images in store.stream(torch.split(chosen, self._together(store))):
                for rows in kept:
                    views = augment(
                        images, Augmentation(), store.mean, store.std, draws, self.crop_size
                    )
                    rows.append(_checked(self.method.representations(views), len(views)))
        return _joined(kept[0]), _joined(kept[1])

    def _rows(self, store: ImageStore, every: bool) -> Rows:
        parts: list[Mapping[str, Tensor]] = []
        with self._evaluation_mode():
            for images in self._prepared(store):
                found = _checked(self.method.representations(images), len(images))
                names = list(found) if every else list(found)[:1]
                parts.append({name: found[name].float() for name in names})
        return _joined(parts)

    def _pass(self, store: ImageStore, apply: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        for images in self._prepared(store):
            yield apply(images).float()

    def _prepared(self, store: ImageStore) -> Iterator[Tensor]:
        return store.batches(self._together(store), self.crop_size)

    def _together(self, store: ImageStore) -> int:
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
        """Code that was compiled for training would be compiled anew for evaluation."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()


def _checked(found: Mapping[str, Tensor], images: int) -> Mapping[str, Tensor]:
    """Return the representations of a batch.

    Raises:
        RunFailed: if there is none, or one has not a row per image.
    """
    if not found:
        raise RunFailed("representations: expected at least one, found none")
    for name, rows in found.items():
        if rows.ndim != 2 or len(rows) != images:
            raise RunFailed(
                f"representation {name}: expected ({images}, d), found {tuple(rows.shape)}"
            )
    return found


def _joined(parts: list[Mapping[str, Tensor]]) -> Rows:
    """Return the rows of all batches, on the CPU.

    Raises:
        RunFailed: if names or widths differ between batches, or a value is not finite.
    """
    if any(list(part) != list(parts[0]) for part in parts):
        raise RunFailed("representations: expected the same names for every batch of images")
    rows: dict[str, np.ndarray] = {}
    for name in parts[0]:
        widths = sorted({part[name].shape[1] for part in parts})
        if len(widths) > 1:
            raise RunFailed(
                f"representation {name}: expected the same width for every batch, found {widths}"
            )
        rows[name] = torch.cat([part[name] for part in parts]).float().cpu().numpy()
        if not np.isfinite(rows[name]).all():
            raise RunFailed(
                f"representation {name} is not finite; try a lower recipe.lr or --precision fp32"
            )
    return rows
