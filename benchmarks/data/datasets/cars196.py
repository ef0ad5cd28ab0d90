"""Cars-196 (Krause et al., 3dRR 2013), split by class."""

from pathlib import Path

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.class_disjoint import (
    Extent,
    Lists,
    Photo,
    UnseenClasses,
    UnseenFacts,
)

ANNOTATIONS = "cars_annos.mat"

CARS196 = UnseenFacts(
    folder="cars196",
    lists={ANNOTATIONS: "b407c6086d669747186bd1d764ff9dbc"},
    images="",
    archive="car_ims.tgz",
    archive_md5="d5c8f0aa497503f355e17dc7886c3f14",
    archive_size=1_956_628_579,
    archive_holds="car_ims",
    mirrors=(),
    source=(
        "The authors' host (ai.stanford.edu/~jkrause/car196) has been gone since 2023 and no "
        "lasting copy is known; https://github.com/pytorch/vision/issues/7545 lists where others "
        "found it. Needed are car_ims.tgz (MD5 d5c8f0aa497503f355e17dc7886c3f14), or the folder "
        "car_ims that it holds, and beside it cars_annos.mat (MD5 "
        "b407c6086d669747186bd1d764ff9dbc); the archives cars_train and cars_test number their "
        "images otherwise."
    ),
    train=Extent(98, 8_054),
    test=Extent(98, 8_131),
)


class Cars196(UnseenClasses):
    """16,185 photographs of 196 models of cars: 98 to train on, 98 others to test on.

    The authors' own training and test images, which share all classes, are taken together, in the
    order of cars_annos.mat.
    """

    name = "cars196"
    description = "Cars-196: 8,054 + 8,131 cars, 98 classes and 98 unseen ones (2 GB, no download)"
    facts = CARS196

    def read_lists(self, folder: Path) -> Lists:
        """Read cars_annos.mat."""
        # Imported here: only this data set needs it.
        from scipy.io import loadmat

        path = folder / ANNOTATIONS
        try:
            content = loadmat(path, simplify_cells=True)
            photos = [
                Photo(str(row["relative_im_path"]), int(row["class"]))
                for row in content["annotations"]
            ]
            names = {number: str(name) for number, name in enumerate(content["class_names"], 1)}
        except Exception as error:  # the decoder raises almost any type on a damaged file
            raise DataProblem(
                f"{path} is not in the official format ({type(error).__name__}: {error}). "
                f"{self.facts.source}"
            ) from error
        return Lists(photos, names)
