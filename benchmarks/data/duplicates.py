"""Images of equal pixels: test images that are trained on, and repeated training images."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEARCHED_ON_DISK = 50_000
"""Memory-mapped images are looked through up to this number: one row of each is read."""

Images = NDArray[np.uint8]


def duplicate_notes(train: Images, bank: Images | None, test: Images | None) -> tuple[str, ...]:
    """Say how many test images equal a training image, and how many training images are repeated.

    Images are equal if all their pixels are, after decoding and resizing.

    Args:
        train: (n, h, w, 3) uint8, as are the others.
        bank: the labelled images that vote, if they are not those of `train`; they may be a part
            of it. A test image that equals one of them counts as a copy, too.
        test: None if there are none.
    """
    parts = [train[:0] if part is None else part for part in (train, bank, test)]
    on_disk = sum(len(part) for part in parts if isinstance(part, np.memmap))
    if on_disk > SEARCHED_ON_DISK:
        return (f"not looked for: equal images among the {on_disk:,} that stay on disk",)
    known, voting, tested = _digests(parts)
    notes = []
    if test is not None:
        seen = {*known, *voting}
        copies = sum(digest in seen for digest in tested)
        if copies:
            notes.append(
                f"{copies:,} of {len(test):,} test images are copies of training images: their "
                "accuracy says nothing of new images"
            )
    repeated = len(known) - len(set(known))
    if repeated:
        notes.append(f"{repeated:,} of {len(known):,} training images are copies of another one")
    return tuple(notes)


def _digests(parts: Sequence[Images]) -> list[list[bytes]]:
    """Return what is equal for equal images only, per part and image."""
    middles = [_middle_rows(part) for part in parts]
    times = Counter(row for rows in middles for row in rows)
    # Images that share their middle row with another one are few: only these are read whole.
    return [
        [
            row if times[row] == 1 else hashlib.blake2b(np.ascontiguousarray(image).data).digest()
            for row, image in zip(rows, part, strict=True)
        ]
        for rows, part in zip(middles, parts, strict=True)
    ]


def _middle_rows(images: Images) -> list[bytes]:
    """Return a digest of the middle row of each (h, w, 3) image."""
    middle = images.shape[1] // 2
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in images[:, middle]]
