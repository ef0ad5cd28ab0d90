"""Caltech-UCSD Birds-200-2011 (Wah et al., CNS-TR-2011-001), split by class."""

from pathlib import Path

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.class_disjoint import (
    Extent,
    Lists,
    Photo,
    UnseenClasses,
    UnseenFacts,
    read_table,
)

CUB200 = UnseenFacts(
    folder="CUB_200_2011",
    lists={
        "images.txt": "619b5c21b05008767b6d09160bdfba38",
        "image_class_labels.txt": "3d8c4b071f61d8491ca681918115d7f1",
        "classes.txt": "5030a19bb88899c92f2c00787283c2ab",
    },
    images="images",
    archive="CUB_200_2011.tgz",
    archive_md5="97eceeb196236b17998738112f37df78",
    archive_size=1_150_585_339,
    mirrors=(
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "https://s3.amazonaws.com/fast-ai-imageclas/CUB_200_2011.tgz",
    ),
    source="Its page is https://data.caltech.edu/records/65de6-vp158.",
    train=Extent(100, 5_864),
    test=Extent(100, 5_924),
)


class Cub200(UnseenClasses):
    """11,788 photographs of 200 species of birds: 100 to train on, 100 others to test on."""

    name = "cub200"
    description = "CUB-200-2011: 5,864 + 5,924 birds, 100 classes and 100 unseen ones (1.2 GB)"
    default_recipe = "cub200"
    facts = CUB200

    def read_lists(self, folder: Path) -> Lists:
        """Read images.txt, image_class_labels.txt and classes.txt, each with an id a line."""
        paths = read_table(folder / "images.txt", int, str)
        classes = dict(read_table(folder / "image_class_labels.txt", int, int))
        if {number for number, _ in paths} != set(classes) or len(paths) != len(classes):
            raise DataProblem(
                f"{folder}: expected the same image numbers in images.txt and "
                f"image_class_labels.txt, found {len(paths):,} and {len(classes):,} that differ. "
                "Bring both from one copy."
            )
        photos = [Photo(path, classes[number]) for number, path in paths]
        return Lists(photos, dict(read_table(folder / "classes.txt", int, str)))
