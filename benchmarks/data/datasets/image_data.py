"""What a data set returns: uint8 images, labels and class names, checked to fit together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.duplicates import duplicate_notes

DEFAULT_SPLIT = "train"
"""The training split that a data set has unless it states others."""
RECALLS = (1, 2, 4, 8)
"""How many neighbours count for recall, unless a data set states others."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        images: (n, h, w, 3) uint8 RGB, C-contiguous, n of 1 or more; it may be a read-only memory
            map.
        labels: (n,) int64, or None when unlabelled.

    Raises:
        ValueError: a shape, type or layout is not as said above.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
            raise ValueError(
                "images: expected uint8 of shape (n, h, w, 3) with n of 1 or more, "
                f"got {images.dtype} of shape {images.shape}"
            )
        if not images.flags.c_contiguous:
            raise ValueError("images: expected C-contiguous; call np.ascontiguousarray first")
        if labels is not None and (labels.dtype != np.int64 or labels.shape != (len(images),)):
            raise ValueError(
                f"labels: expected int64 of shape ({len(images)},), "
                f"got {labels.dtype} of shape {labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class ImageData:
    """What a reader returns.

    Attributes:
        name: the data set's name on the command line.
        train: what methods learn from; unless `bank` is given, the labelled bank of the evaluation.
        test: the queries of the evaluation; None when there is nothing to evaluate on.
        classes: class names in the order of the labels; empty when unlabelled.
        mean: of the training pixels' red, green and blue, in 0..1.
        std: likewise, above 0.
        digest: identifies the content (hexadecimal); part of a run's key.
        notes: what a reader of the results should know, such as files left out.
        bank: the labelled images that the kNN bank and the linear classifier use when they are not
            those of `train`, which may then be unlabelled.
        split: the name of the training split.
        unseen: whether the test images are of classes not seen in training, so that they are
            retrieved from among themselves and never classified by the bank.
        partial: whether these are fewer images than the data set officially has.
        recalls: how many neighbours count for recall in the published tables.
        understood: lines that say how files were read whose layout no data set prescribes.
        left_out: how many files are not used, by reason.
        path: the folder that was read, where it is the user's own; else "".

    Raises:
        ValueError: the parts do not fit together.
    """

    name: str
    train: Split
    test: Split | None
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str
    notes: tuple[str, ...] = ()
    bank: Split | None = None
    split: str = DEFAULT_SPLIT
    unseen: bool = False
    partial: bool = False
    recalls: tuple[int, ...] = RECALLS
    understood: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    path: str = ""

    def __post_init__(self) -> None:
        self._require_facts()
        parts = [part for part in (self.train, self.bank, self.test) if part is not None]
        sizes = {part.images.shape[1:] for part in parts}
        if len(sizes) > 1:
            raise ValueError(f"train, bank and test images: expected one size, got {sorted(sizes)}")
        if self.bank is not None and self.bank.labels is None:
            raise ValueError("bank: expected None or labelled images, got unlabelled ones")
        if self.test is not None and (not self.labelled or self.test.labels is None):
            raise ValueError("test: expected None or labels in both parts, got unlabelled ones")
        for part in parts:
            if part.labels is None:
                continue
            if part.labels.min() < 0 or part.labels.max() >= len(self.classes):
                raise ValueError(
                    f"labels: expected 0..{len(self.classes) - 1}, "
                    f"got {part.labels.min()}..{part.labels.max()}"
                )
        if self.unseen:
            self._require_unseen_classes()

    def _require_facts(self) -> None:
        names = self.classes
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"classes: expected a tuple of names, got {names!r:.80}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not np.isfinite(values).all():
                raise ValueError(f"{name}: expected 3 finite numbers, got {values!r:.80}")
        if min(self.std) <= 0:
            raise ValueError(f"std: expected numbers above 0, got {self.std!r:.80}")
        if not isinstance(self.digest, str) or not self.digest:
            raise ValueError(f"digest: expected hexadecimal digits, got {self.digest!r:.80}")

    def _require_unseen_classes(self) -> None:
        if self.test is None or self.test.labels is None or self.labelled_bank.labels is None:
            raise ValueError("unseen: expected labelled training and test images")
        shared = np.intersect1d(self.labelled_bank.labels, self.test.labels)
        if len(shared):
            raise ValueError(
                f"unseen: expected no class in both training and test images, got {len(shared)} "
                f"such as {self.classes[shared[0]]}"
            )

    @property
    def image_size(self) -> int:
        """Height of an image, in pixels."""
        return int(self.train.images.shape[1])

    @property
    def labelled_bank(self) -> Split:
        """What the kNN classifier votes with and the linear classifier learns from."""
        return self.train if self.bank is None else self.bank

    @property
    def labelled(self) -> bool:
        """Whether `labelled_bank` has labels, so that test images can be classified."""
        return self.labelled_bank.labels is not None

    def facts(self) -> dict[str, Any]:
        """Return what a run's record keeps, ready for JSON; `classes` is their number.

        A run's key is a digest of this, so `split`, `bank_images`, `unseen` and `partial` are
        there only when they differ from what every data set had before they existed.
        """
        facts: dict[str, Any] = {
            "name": self.name,
            "digest": self.digest,
            "train_images": len(self.train),
            "test_images": len(self.test) if self.test else 0,
            "classes": len(self.classes),
            "image_size": self.image_size,
            "labelled": self.labelled,
        }
        if self.split != DEFAULT_SPLIT:
            facts["split"] = self.split
        if self.bank is not None:
            facts["bank_images"] = len(self.bank)
        facts |= {name: True for name in ("unseen", "partial") if getattr(self, name)}
        return facts

    def reading(self) -> dict[str, Any]:
        """Return what a record keeps of how the images were read, ready for JSON.

        It is no part of a run's key: the digest says which images these are, wherever they lie.
        """
        return {
            "understood": list(self.understood),
            "notes": list(self.notes),
            "left_out": dict(self.left_out),
            "path": self.path,
        }

    @property
    def told(self) -> tuple[str, ...]:
        """All that is said before training: what was understood, then the notes."""
        return (*self.understood, *self.notes)


def with_copies_noted(data: ImageData) -> ImageData:
    """Return the data with notes of images that are copies of others, see `duplicates`."""
    bank, test = (part.images if part else None for part in (data.bank, data.test))
    return replace(data, notes=data.notes + duplicate_notes(data.train.images, bank, test))
