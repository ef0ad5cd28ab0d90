"""How a folder of images is meant: which of them are for training, which for testing, which class.

Pure: from names to a description. Nothing is opened, and what is ambiguous is refused.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from benchmarks.common.errors import DataProblem, few
from benchmarks.data.datasets.image_folder.names import HELD_OUT, TEST, TRAIN, dates_among, role
from benchmarks.data.datasets.image_folder.tree import (
    LOWER_LABELS,
    UNREADABLE,
    ImageFile,
    LeftOut,
    Tree,
    summary,
)

TEST_EVERY = 5
"""Of a class without a test set of its own, every fifth image is for testing."""
HOW_TO_STATE = (
    "State what is meant: folders train/CLASS/ and test/CLASS/, or a file labels.csv with the "
    "columns file,label[,split]."
)

# Why images are left out although they could be read.
OUTSIDE_CLASSES = "image outside class folders"
OUTSIDE_SPLIT = "image outside the folders for training and testing"
OTHER_PART = "image of another held-out folder"
NOT_SCORED = "test image without a label"


class Entry(NamedTuple):
    """An image file: its name relative to the root, its path, and its class or None."""

    name: str
    path: Path
    label: str | None


@dataclass(frozen=True)
class Layout:
    """Which files are for training and which for testing, before any is opened.

    Attributes:
        train: what is trained on, by name; labelled if all of them have a class.
        test: labelled images that are scored; empty if there is nothing to score.
        bank: the labelled images that vote, where those of `train` have no labels or only some;
            else empty. None of them is in `test`.
        how: what was understood, as part of a sentence.
        left_out: images that could be used but are not, with the reason.
        notes: what a reader of the results should know.
    """

    train: Sequence[Entry]
    test: Sequence[Entry] = ()
    bank: Sequence[Entry] = ()
    how: str = ""
    left_out: Sequence[LeftOut] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Level:
    """The images below one folder, by the sub-folder they are in."""

    prefix: str
    """Of the folder's name: "" for the root, else it ends with "/"."""
    loose: Sequence[ImageFile]
    """Those in the folder itself."""
    groups: dict[str, list[ImageFile]] = field(default_factory=dict)
    """Those in sub-folders, at any depth; no group is empty."""

    def below(self, name: str) -> "_Level":
        """Return the level of one sub-folder."""
        return _level(self.groups[name], f"{self.prefix}{name}/")

    @property
    def labelled(self) -> list[Entry]:
        """The images in sub-folders, each with its sub-folder as the class."""
        return sorted(Entry(*image, name) for name, found in self.groups.items() for image in found)


def _level(images: Iterable[ImageFile], prefix: str) -> _Level:
    loose: list[ImageFile] = []
    groups: dict[str, list[ImageFile]] = {}
    for image in sorted(images):
        name, separator, _ = image.name[len(prefix) :].partition("/")
        (groups.setdefault(name, []) if separator else loose).append(image)
    return _Level(prefix, loose, dict(sorted(groups.items())))


def understand(tree: Tree) -> Layout:
    """Return how the folder is meant, by the names of its sub-folders.

    In any letter case: TRAIN folders beside TEST or HELD_OUT ones, else class folders, else one
    pool without labels. A chain of single folders above them is descended into.

    Raises:
        DataProblem: the layout can be meant in more than one way; the message says how to state
            which.
    """
    top = _top(tree)
    _refuse_lower_labels(tree, top)
    parts = _Parts.of(top, tree)
    layout = _without_split(top) if parts is None else _with_split(parts)
    where = f"read from {top.prefix}, the only folder with images: " if top.prefix else ""
    return replace(layout, how=where + layout.how)


def _top(tree: Tree) -> _Level:
    """Return the uppermost level at which there is more than one folder with images."""
    here = _level(tree.images, "")
    while not here.loose and len(here.groups) == 1:
        (name,) = here.groups
        if role(name) or _unreadable(tree, here.prefix):
            break
        here = here.below(name)
    return here


def _unreadable(tree: Tree, prefix: str) -> list[str]:
    """Return the names of the folders directly in a folder that could not be entered."""
    names = [
        name[len(prefix) : -1]
        for name, reason in tree.left_out
        if reason in UNREADABLE and name.endswith("/") and name.startswith(prefix)
    ]
    return [name for name in names if "/" not in name]


def _refuse(what: str, remedy: str = HOW_TO_STATE) -> NoReturn:
    raise DataProblem(f"{what} {remedy}")


def _refuse_lower_labels(tree: Tree, top: _Level) -> None:
    for name, reason in tree.left_out:
        if reason == LOWER_LABELS and top.prefix and name.rpartition("/")[0] + "/" == top.prefix:
            _refuse(f"{name} is not at the top of the folder.", f"Give --data DIR/{top.prefix}")


class _Parts(NamedTuple):
    """The parts of a folder that is split into training and test images."""

    train: _Level
    held_out: dict[str, _Level]
    """By the folder's name, those for testing first."""
    outside: list[ImageFile]
    """In no part."""

    @classmethod
    def of(cls, top: _Level, tree: Tree) -> "_Parts | None":
        """Return the parts, or None if the folder has no split.

        Raises:
            DataProblem: this cannot be told.
        """
        named: dict[str | None, list[str]] = {}
        for name in top.groups:
            named.setdefault(role(name), []).append(name)
        train, test, held_out = (named.get(names[0], []) for names in (TRAIN, TEST, HELD_OUT))
        others = named.get(None, [])
        blocked = [name for name in _unreadable(tree, top.prefix) if role(name)]
        if blocked:
            _refuse(
                f"{few(blocked)}: this folder cannot be read.",
                "Give yourself the right to read it, or move it away.",
            )
        if not (train or test or held_out):
            return None
        for names in (train, test):
            if len(names) > 1:
                _refuse(f"{few(names)}: expected one such folder, found {len(names)}.")
        if not train:
            beside = f" beside {few(others)}" if others else ""
            _refuse(
                f"{few(test + held_out)}: a folder of test images{beside}, but no folder train "
                "with images, so it is unclear what to train on. Rename what to train on to "
                "train, or give another folder with --data DIR."
            )
        whole = top.below(train[0])
        apart = {name: top.below(name) for name in test + held_out}
        if others and not whole.groups and not apart:
            return None  # "train" is a class, as of vehicles
        certain = apart and any(part.groups for part in (whole, *apart.values()))
        if others and not certain:
            _refuse(
                f"{train[0]} may be the training images or a class: there are {few(others)} "
                "beside it."
            )
        outside = [*top.loose, *(image for name in others for image in top.groups[name])]
        return cls(*_unwrapped(whole, apart), outside)


def _unwrapped(train: _Level, held_out: dict[str, _Level]) -> tuple[_Level, dict[str, _Level]]:
    """Descend into train/images/CLASS and test/images/CLASS, where no part has classes above."""
    if any(len(part.groups) > 1 for part in (train, *held_out.values())):
        return train, held_out
    return _inner(train), {name: _inner(part) for name, part in held_out.items()}


def _inner(part: _Level) -> _Level:
    """Return the level with classes below a chain of single folders, or the part itself."""
    here = part
    while not here.loose and len(here.groups) == 1:
        (name,) = here.groups
        if role(name):
            break
        here = here.below(name)
    return here if len(here.groups) > 1 and not here.loose else part


def _without_split(top: _Level) -> Layout:
    if len(top.groups) < 2:
        return _pool(top)
    _check_classes(top)
    _refuse_mostly_loose(top)
    train, test = every_fifth(top.labelled)
    how = _split_words(test)
    if any(role(name) for name in top.groups):
        how = f"train is read as a class, for it has no folders; {how}"
    return Layout(train, test, (), how, *_outside(top))


def _pool(level: _Level) -> Layout:
    """Return the layout of images without labels, or of one class, which tells nothing apart."""
    _refuse_parts_below(level, level.groups)
    entries = sorted([Entry(*image, None) for image in level.loose] + _bare(level.labelled))
    if not level.groups:
        return Layout(entries, how="no labels, so nothing is scored")
    note = f"one class only ({next(iter(level.groups))}), so treated as unlabelled"
    return Layout(entries, how="one class, so nothing is scored", notes=(note,))


def _bare(entries: Iterable[Entry]) -> list[Entry]:
    return [entry._replace(label=None) for entry in entries]


def _with_split(parts: _Parts) -> Layout:
    classes = parts.train.groups if len(parts.train.groups) > 1 else {}
    if classes:
        _check_classes(parts.train)
        _refuse_mostly_loose(parts.train)
    scored = _scored(parts, classes)
    left_out = [LeftOut(image.name, OUTSIDE_SPLIT) for image in parts.outside]
    for name, part in parts.held_out.items():
        if name != scored:
            reason = OTHER_PART if _can_score(part, classes) else NOT_SCORED
            left_out += [LeftOut(image.name, reason) for image in _images(part)]
    if classes:
        layout = _labelled_train(parts, scored)
    elif scored:
        layout = _pool_and_test(parts, scored)
    else:
        layout = _pool(parts.train)
    how = "; ".join([layout.how, *_not_scored(parts, classes, scored)])
    return replace(layout, how=how, left_out=[*left_out, *layout.left_out])


def _images(part: _Level) -> list[ImageFile]:
    return [*part.loose, *(image for found in part.groups.values() for image in found)]


def _can_score(part: _Level, classes: Collection[str]) -> bool:
    """Return whether a part's folders are classes: several of them, or one to train on."""
    return len(part.groups) > 1 or any(name in classes for name in part.groups)


def _scored(parts: _Parts, classes: Collection[str]) -> str | None:
    """Return the name of the folder that is the test set, or None if none has labels."""
    named = [name for name, part in parts.held_out.items() if _can_score(part, classes)]
    if not named:
        return None
    if role(named[0]) != "test" and len(named) > 1:
        _refuse(f"{few(named)}: any of them may be the test set.", "Rename one of them to test.")
    _check_classes(parts.held_out[named[0]])
    return named[0]


def _not_scored(parts: _Parts, classes: Collection[str], scored: str | None) -> list[str]:
    """Say which held-out folders are not scored, and why."""
    return [
        f"{name} is not scored ({len(_images(part)):,} images): "
        + (f"{scored} is the test set" if _can_score(part, classes) else "it has no labels")
        for name, part in parts.held_out.items()
        if name != scored
    ]


def _labelled_train(parts: _Parts, scored: str | None) -> Layout:
    train, (left_out, notes) = parts.train.labelled, _outside(parts.train)
    if scored is None:
        train, test = every_fifth(train)
        how = f"trained on {parts.train.prefix}, {_split_words(test)}"
        return Layout(train, test, (), how, left_out, notes)
    part = parts.held_out[scored]
    _check_spelling(parts.train.groups, part.groups)
    lost, more = _outside(part)
    how = f"trained on {parts.train.prefix}, tested on {part.prefix}"
    return Layout(train, part.labelled, (), how, [*left_out, *lost], notes + more)


def _pool_and_test(parts: _Parts, scored: str) -> Layout:
    """Return a training set without labels, and labelled test images of which some vote."""
    pool, part = _pool(parts.train), parts.held_out[scored]
    bank, test = one_in(2, part.labelled)
    left_out, notes = _outside(part)
    if not test:  # each class has one image
        lost = [LeftOut(entry.name, NOT_SCORED) for entry in bank]
        how = f"{pool.how}: each class of {part.prefix} has a single image"
        return replace(pool, how=how, left_out=[*left_out, *lost], notes=pool.notes + notes)
    how = (
        f"trained on {parts.train.prefix} without labels; of the {len(part.labelled):,} labelled "
        f"images in {part.prefix} every second of a class is tested and the others vote, none is "
        "trained on"
    )
    return Layout(pool.train, test, bank, how, left_out, pool.notes + notes)


def _outside(level: _Level) -> tuple[list[LeftOut], tuple[str, ...]]:
    """Return the images outside class folders as left out, and the note of them."""
    if not level.loose:
        return [], ()
    count, first = len(level.loose), level.loose[0].name
    note = f"{count} images outside class folders left out, such as {first}"
    return [LeftOut(image.name, OUTSIDE_CLASSES) for image in level.loose], (note,)


def _split_words(test: Sequence[Entry]) -> str:
    if not test:
        return "no labelled test folder, and no class has two images, so nothing is scored"
    return "no labelled test folder, so every fifth image of a class, by name, is for testing"


def every_fifth(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Split labelled images into those for training and those for testing, by class and name."""
    return one_in(TEST_EVERY, entries)


def one_in(share: int, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Return labelled images in two parts, both by name, one in `share` of a class in the second.

    It is the second of every `share`, so that a class of two images has one in either part.
    """
    place: Counter[str | None] = Counter()
    parts: tuple[list[Entry], list[Entry]] = [], []
    for entry in sorted(entries):
        parts[place[entry.label] % share == 1].append(entry)
        place[entry.label] += 1
    return parts


def _check_classes(level: _Level) -> None:
    """Refuse class folders that are the parts of a data set, or dates."""
    names = list(level.groups)
    if inner := [name for name in names if role(name) not in (None, TRAIN[0])]:
        _refuse(f"{few(inner)} in {level.prefix}: test images, or a class of this name?")
    above = level.prefix[:-1].rpartition("/")[2]
    if dates := dates_among(names, above):
        _refuse(
            f"{few(dates)}: folders that are named by dates may be classes or only when images "
            "were made.",
            "If the images have no labels, move them into one folder; if the dates are classes, "
            "write them into a file labels.csv with the columns file,label[,split].",
        )

    _refuse_parts_below(level, ())


def _refuse_parts_below(level: _Level, groups: Collection[str]) -> None:
    """Refuse folders of test images inside class folders, which would be trained on.

    Args:
        level: the folder of the classes.
        groups: sub-folders whose own names are looked at, too.
    """
    for name, images in level.groups.items():
        for image in images:
            # The folders below the class: of a/b/c/1.png in class a, b and c.
            _, *below, _ = image.name[len(level.prefix) :].split("/")
            inner = [folder for folder in below if role(folder) not in (None, TRAIN[0])]
            if inner or (name in groups and role(name) not in (None, TRAIN[0])):
                _refuse(
                    f"{image.name} is in a folder {(inner or [name])[0]} inside {level.prefix}"
                    f"{name}: a test image, or one of the class?"
                )


def _refuse_mostly_loose(level: _Level) -> None:
    """Refuse folders beside which there are more images than in them: hardly classes."""
    inside = sum(map(len, level.groups.values()))
    if len(level.loose) > inside:
        _refuse(
            f"{len(level.loose):,} images lie outside the folders {few(level.groups)} and "
            f"{inside:,} inside: classes, or a pool without labels?"
        )


def _check_spelling(train: Collection[str], test: Collection[str]) -> None:
    """Refuse class names of the two parts that differ in letter case alone."""
    known = {name.casefold(): name for name in train}
    for name in test:
        alike = known.get(name.casefold(), name)
        if name not in train and alike != name:
            _refuse(
                f"class {alike} in the training images and {name} in the test images differ in "
                "letter case alone.",
                "Give a class one name.",
            )


def no_images(root: str, tree: Tree, suffixes: Collection[str]) -> DataProblem:
    """Return the problem of a folder in which no image was found."""
    lost = f" Left out: {summary(tree.left_out)}." if tree.left_out else ""
    return DataProblem(
        f"No image in {root}. Expected files ending in {', '.join(sorted(suffixes))}; give the "
        f"folder of your images with --data DIR.{lost}"
    )
