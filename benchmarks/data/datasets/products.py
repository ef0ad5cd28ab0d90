"""Stanford Online Products (Song et al., CVPR 2016), split by class."""

from pathlib import Path, PurePosixPath

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.class_disjoint import (
    Extent,
    Lists,
    Photo,
    UnseenClasses,
    UnseenFacts,
    read_table,
)

HEADER = "image_id class_id super_class_id path"
TRAIN, TEST = "Ebay_train.txt", "Ebay_test.txt"

PRODUCTS = UnseenFacts(
    folder="Stanford_Online_Products",
    # No digest of the lists themselves is published; the archive's covers them.
    lists={TRAIN: None, TEST: None},
    images="",
    archive="Stanford_Online_Products.zip",
    archive_md5="7f73d41a2f44250d4779881525aea32e",
    archive_size=3_083_860_082,
    mirrors=(
        "http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
        "ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
    ),
    source="Its page is https://cvgl.stanford.edu/projects/lifted_struct/.",
    train=Extent(11_318, 59_551),
    test=Extent(11_316, 60_502),
)


class Products(UnseenClasses):
    """120,053 photographs of 22,634 products: 11,318 to train on, 11,316 others to test on."""

    name = "products"
    description = "Stanford Online Products: 59,551 + 60,502 photos, 22,634 classes (3.1 GB)"
    recalls = (1, 10, 100)
    facts = PRODUCTS

    def read_lists(self, folder: Path) -> Lists:
        """Read Ebay_train.txt and Ebay_test.txt; a class is named by its kind and number."""
        photos: list[Photo] = []
        names: dict[int, str] = {}
        for file in (TRAIN, TEST):
            for _, class_id, _, path in read_table(
                folder / file, int, int, int, str, header=HEADER
            ):
                if (class_id <= self.facts.train.classes) != (file == TRAIN):
                    raise DataProblem(
                        f"{folder / file}: expected classes 1 to {self.facts.train.classes:,} in "
                        f"{TRAIN} and later ones in {TEST}, found {class_id}."
                    )
                photos.append(Photo(path, class_id))
                kind = PurePosixPath(path).parent.name.removesuffix("_final")
                names[class_id] = f"{kind} {class_id}"
        return Lists(photos, names)
