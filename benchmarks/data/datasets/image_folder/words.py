"""What is said of a folder of images that was read: how it was understood, and its limits."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common.errors import few
from benchmarks.data.datasets.image_folder.layout import Entry
from benchmarks.data.datasets.image_folder.tree import LeftOut, place, summary


def all_labelled(entries: Sequence[Entry]) -> bool:
    """Return whether every image has a class."""
    return all(entry.label is not None for entry in entries)


def unusable_note(failed: Sequence[LeftOut], used: int) -> tuple[str, ...]:
    """Say which image files cannot be used and why, naming the first few."""
    if not failed:
        return ()
    words = few(f"{name} ({reason})" for name, reason in sorted(failed))
    return (f"{len(failed)} of {len(failed) + used} files left out: {words}",)


def images_line(
    root: Path, parts: Sequence[Sequence[Entry]], classes: Sequence[str], how: str
) -> str:
    """Say how many images are used for what."""
    train, bank, test = map(len, parts)
    voting = f", {bank:,} labelled ones that vote" if bank else ""
    named = f" ({few(classes)})" if classes else ""
    return (
        f"{place(root)}: {train:,} training and {test:,} test images{voting}, {len(classes):,} "
        f"classes{named}: {how}"
    )


def size_line(side: int, sizes: Sequence[int], given: bool, left_out: Sequence[LeftOut]) -> str:
    """Say what size the images become, and what was left out."""
    words = f"images become {side} x {side} pixels"
    if sizes:
        words += f"; their short sides are {min(sizes):,} to {max(sizes):,}"
        words += f", median {np.median(sizes):,.0f}"
    if not given:
        words += "; another size: --set recipe.image_size=N"
    return f"{words}; left out: {summary(left_out) or 'nothing'}"


def all_unseen(bank: Sequence[Entry], test: Sequence[Entry]) -> bool:
    """Return whether test images are of other classes than those that vote, several of a class."""
    tested = Counter(entry.label for entry in test)
    seen = {entry.label for entry in bank}
    return bool(tested) and max(tested.values()) > 1 and not seen & set(tested)


def unseen_note(bank: Sequence[Entry], test: Sequence[Entry]) -> tuple[str, ...]:
    """Warn of test classes that no training image can vote for."""
    unseen = {str(entry.label) for entry in test} - {str(entry.label) for entry in bank}
    return (f"test classes without a training image: {few(sorted(unseen))}",) if unseen else ()


def small_folder(bank: Sequence[Entry], test: Sequence[Entry], unseen: bool) -> list[str]:
    """Say what so few images cannot show, and what to do."""
    if not all_labelled(bank):
        return []
    if not test:
        return [
            "labelled, but there is no test image: nothing is scored. Add images, so that a class "
            "has two or more"
        ]
    words = []
    voting = {entry.label for entry in bank}
    if len(voting) == 1:
        words.append(f"all images that vote are of one class ({bank[0].label}). Add other classes")
    if unseen:
        words.append(
            "no test class is trained on: test images are retrieved from among themselves (R@K)"
        )
    if len(test) == 1:
        words.append("a single test image: it is right or wrong, 0 or 100 %. Add test images")
    elif len({entry.label for entry in test}) == 1:
        words.append(f"all test images are of one class ({test[0].label}). Add other classes")
    elif max(Counter(entry.label for entry in test).values()) == 1:
        words.append(
            "each test class has a single image: nothing to retrieve or to cluster. Add test images"
        )
    times = Counter(entry.label for entry in (*bank, *test))
    alone = sorted(str(label) for label, count in times.items() if count == 1)
    if alone:
        words.append(
            f"{len(alone):,} class{'es' * (len(alone) > 1)} with a single image ({few(alone)}): "
            "it is trained on and never tested, or the other way round. Add images"
        )
    return words
