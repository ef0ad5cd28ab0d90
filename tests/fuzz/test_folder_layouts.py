"""Random folders of images: each is understood or refused in a line, and nothing gets lost."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets.image_folder.dataset import Folder, layout_of
from benchmarks.data.datasets.image_folder.labels import listed, read_rows
from benchmarks.data.datasets.image_folder.layout import Layout, understand
from benchmarks.data.datasets.image_folder.names import role
from benchmarks.data.datasets.image_folder.tree import ImageFile, LeftOut, Tree, walk

PURE, LABELLED, ON_DISK = 6000, 2000, 60
FOLDERS = (
    "train", "Train", "training", "test", "TEST", "testing", "val", "valid", "validation", "dev",
    "a", "b", "cat", "Cat", "dog", "images", "2021", "2021-05-03", "05", "06", "mine", "été", "猫",
)  # fmt: skip
ROOT = Path("/nowhere")


def random_names(rng: random.Random) -> list[str]:
    """Return names of images in a few folders, which repeat so that layouts are meant."""
    vocabulary = rng.sample(FOLDERS, rng.randint(1, 5))
    names = set()
    for _ in range(rng.choice((1, 2, 5, 12, 30))):
        depth = rng.choice((0, 1, 1, 2, 2, 2, 3, 4))
        above = [rng.choice(vocabulary) for _ in range(depth)]
        names.add("/".join([*above, f"{rng.randint(0, 30)}.png"]))
    if rng.random() < 0.5:  # one folder too many above
        above = rng.choice(FOLDERS)
        names = {f"{above}/{name}" for name in names}
    return sorted(names) or ["1.png"]


def structured_names(rng: random.Random) -> list[str]:
    """Return names of a usual layout, perhaps with something beside it."""
    classes = rng.sample(("a", "b", "cat", "dog", "2021-05-03", "images"), rng.randint(0, 3))
    parts = rng.choice(((), ("train",), ("train", "test"), ("Train", "val", "test"), ("test",)))
    names = set()
    for part in parts or ("",):
        for label in classes if rng.random() < 0.8 else ("",):
            for number in range(rng.randint(1, 6)):
                names.add("/".join(filter(None, (part, label, f"{number}.png"))))
    if rng.random() < 0.3:
        names |= {f"{rng.choice(FOLDERS)}/x.png", *rng.sample(("1.png", "train/1.png"), 1)}
    return sorted(names) or ["1.png"]


def random_tree(rng: random.Random) -> Tree:
    names = (structured_names if rng.random() < 0.5 else random_names)(rng)
    images = [ImageFile(name, ROOT / name) for name in names]
    left_out = []
    if rng.random() < 0.3:
        reason = rng.choice(("no permission", "folder without an image", "hidden"))
        left_out.append(LeftOut(f"{rng.choice(FOLDERS)}/", reason))
    return Tree(tuple(images), tuple(left_out))


def assert_nothing_is_lost(layout: Layout, tree: Tree) -> None:
    """Each image is used, or counted as left out, and only once."""
    train, test, bank = ({entry.name for entry in part} for part in
                         (layout.train, layout.test, layout.bank))  # fmt: skip
    lost = [name for name, _ in layout.left_out]
    assert len(lost) == len(set(lost))
    used = train | test | bank
    assert not used & set(lost)
    assert used | set(lost) == {image.name for image in tree.images}
    assert len(train) == len(layout.train)
    assert train
    assert not test & (train | bank)


def assert_scores_make_sense(layout: Layout) -> None:
    voting = layout.bank or layout.train
    assert all(entry.label is not None for entry in (*layout.test, *layout.bank))
    if layout.test:
        assert len({entry.label for entry in voting}) > 1 or layout.bank
        assert all(entry.label is not None for entry in voting)
    assert layout.how


def assert_one_line(problem: Exception) -> None:
    words = str(problem)
    assert 20 < len(words) < 2000
    assert "\n" not in words


@pytest.mark.parametrize("seed", range(4))
def test_layouts_are_understood_or_refused(seed):
    rng = random.Random(seed)
    outcomes = {"understood": 0, "refused": 0}
    for _ in range(PURE // 4):
        tree = random_tree(rng)
        try:
            layout = understand(tree)
        except DataProblem as problem:
            assert_one_line(problem)
            outcomes["refused"] += 1
            continue
        outcomes["understood"] += 1
        assert_nothing_is_lost(layout, tree)
        assert_scores_make_sense(layout)
        for entry in layout.train:
            above = entry.name.split("/")[:-1]
            assert not {role(name) for name in above} & {"test", "val"}, (entry.name, layout.how)
        shuffled = Tree(tuple(rng.sample(tree.images, len(tree.images))), tree.left_out)
        assert understand(shuffled) == layout
    assert min(outcomes.values()) > 100


def random_csv(rng: random.Random, names: list[str]) -> bytes:
    """Return a file of labels, mostly a good one, with a mistake here and there."""
    columns = rng.choice((["file", "label"], ["File", "LABEL", "Split"], ["file", "split"], ["x"]))
    if rng.random() < 0.8:
        columns = rng.choice((["file", "label"], ["label", "FILE", "split"]))
    separator = rng.choice(",,,;\t")
    lines = [separator.join(columns)]
    for name in rng.sample(names, rng.randint(0, len(names))):
        if rng.random() < 0.01:
            name = rng.choice(("nowhere.png", "../x.png", "", "/etc/passwd", names[0], "\x00"))
        cells = {"file": name, "label": rng.choice(("cat", "dog", "", "été")),
                 "split": rng.choice(("train", "Test", "val", "training"))}  # fmt: skip
        if rng.random() < 0.005:
            cells["split"] = rng.choice(("", "x", '"'))
        lines.append(separator.join(cells.get(column.lower(), "?") for column in columns))
    content = "\n".join(lines).encode(rng.choice(("utf-8", "utf-8-sig", "utf-8", "utf-16")))
    if rng.random() < 0.1:
        place = rng.randint(0, len(content))
        content = content[:place] + bytes([rng.randint(0, 255)]) + content[place + 1 :]
    return content


def test_files_of_labels_are_understood_or_refused(tmp_path):
    rng = random.Random(5)
    path = tmp_path / "labels.csv"
    understood = 0
    for _ in range(LABELLED):
        tree = random_tree(rng)
        path.write_bytes(random_csv(rng, [image.name for image in tree.images]))
        try:
            layout = listed(tree, read_rows(path), path)
        except DataProblem as problem:
            assert_one_line(problem)
            continue
        understood += 1
        assert_nothing_is_lost(layout, tree)
        assert_scores_make_sense(layout)
    assert understood > LABELLED / 10


def write(path: Path, rng: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if rng.random() < 0.1:
        path.write_bytes(rng.choice((b"", b"no image", b"\x89PNG\r\n\x1a\n")))
        return
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def disturb(root: Path, rng: random.Random) -> None:
    """Put beside the images what is none, in places that are there."""
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for number in range(rng.randint(0, 6)):
        place = rng.choice(folders) / rng.choice((f"x{number}", ".hidden", "x.png", "Thumbs.db"))
        if os.path.lexists(place):
            continue
        kind = rng.choice(("file", "folder", "dangling", "loop", "up", "pipe", "results"))
        if kind == "file":
            place.write_text("no image")
        elif kind == "folder":
            place.mkdir()
        elif kind == "pipe":
            os.mkfifo(place)
        elif kind == "results":
            (place / "runs" / "one").mkdir(parents=True)
            (place / "runs" / "one" / "run.json").write_text("{}")
            write(place / "report" / "1.png", rng)
        else:
            place.symlink_to({"dangling": root / "gone", "loop": place, "up": root}[kind])


def assert_every_file_is_known(root: Path, tree: Tree) -> None:
    """Each file is an image, or left out by itself or with a folder above it."""
    known = {image.name for image in (*tree.images, *tree.labels)}
    known |= {name.removesuffix("/") for name, _ in tree.left_out}
    for folder, _, files in os.walk(root):
        for file in files:
            path = (Path(folder) / file).relative_to(root)
            places = {path.as_posix(), *(above.as_posix() for above in path.parents)}
            assert places & known, path


@pytest.mark.parametrize("seed", range(4))
def test_folders_are_read_or_refused(tmp_path, seed):
    rng = random.Random(seed)
    read = 0
    for number in range(ON_DISK // 4):
        root = tmp_path / str(number)
        root.mkdir()
        names = (structured_names if rng.random() < 0.7 else random_names)(rng)
        for name in names:
            write(root / name, rng)
        disturb(root, rng)
        if rng.random() < 0.2:
            (root / "Labels.CSV").write_bytes(random_csv(rng, names))
        tree = walk(root)
        assert_every_file_is_known(root, tree)
        try:
            layout = layout_of(root, tree)
            data = Folder().load(root, rng.choice((None, 8, 12)))
        except (DataProblem, UsageProblem) as problem:
            assert_one_line(problem)
            continue
        read += 1
        assert len(data.understood) >= 2
        disjoint = layout.bank if not set(layout.bank) & set(layout.train) else ()
        used = len(data.train) + (len(data.test) if data.test else 0)
        used += len(data.bank) if disjoint and data.bank else 0
        assert used + sum(data.left_out.values()) == len(tree.images) + len(tree.left_out)
    assert read
