"""Which file of pre-trained weights a network starts from: known by its digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked_dataclass

from benchmarks.common.errors import DataProblem

SUFFIXES = (".h5", ".npz", ".pth", ".pt", ".safetensors")
"""Of the formats that can be read."""


@dataclass(frozen=True)
class Published:
    """The file in which a network's weights were published.

    Attributes:
        file: its name.
        url: where it comes from.
        algorithm: of the digest: "md5" or "sha256"; "" if no digest was published, so that no
            file counts as the published one.
        digest: hexadecimal; the first digits of it will do.
        ignored: beginnings of the names of entries that the network leaves out (a classifier).
    """

    file: str
    url: str
    algorithm: str
    digest: str
    ignored: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do when the file is missing or wrong."""
        return f"Get {self.file} from {self.url} and give it with --weights FILE"


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WeightsFacts:
    """What a record says of the weights that a run started from."""

    file: str
    sha256: str
    published: bool
    """Whether it is the very file that was published, by its digest."""


@dataclass(frozen=True)
class WeightsFile:
    """A file that was identified as holding a network's weights."""

    path: Path
    facts: WeightsFacts


GOOGLENET_CAFFE = Published(
    "googlenet.h5",
    "https://github.com/vadimkantorov/metriclearningbench/releases/download/data/googlenet.h5",
    "md5",
    "c7d7856bd1ab5cb02618b3f7f564e3c6",
    ignored=("loss3.classifier.",),
)
"""BVLC's weights as metriclearningbench and InvaSpread use them; MD5 as stated by RKD's code."""
GOOGLENET_TORCHVISION = Published(
    "googlenet-1378be20.pth",
    "https://download.pytorch.org/models/googlenet-1378be20.pth",
    "sha256",
    "1378be20",
    ignored=("fc.", "aux1.", "aux2."),
)
"""torchvision's IMAGENET1K_V1; its file names carry the first digits of the SHA-256."""


def identify(path: Path, published: Published) -> WeightsFacts:
    """Return the facts of a file of weights.

    A file in the published one's format must be the published one. Other formats hold converted
    weights, of which only the digest is recorded.

    Raises:
        DataProblem: the file is missing, cannot be read, has another digest than published, or is
            of a format that is not known.
    """
    if path.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise DataProblem(f"weights {path}: expected a file of {known}, found {path.suffix!r}.")
    if not path.is_file():
        raise DataProblem(f"weights {path}: no such file. {published.remedy}.")
    if not published.algorithm or path.suffix != Path(published.file).suffix:
        return WeightsFacts(file=path.name, sha256=_digest(path, "sha256"), published=False)
    found = _digest(path, published.algorithm)
    if not found.startswith(published.digest):
        raise DataProblem(
            f"weights {path}: expected {published.algorithm.upper()} {published.digest} "
            f"({published.file}), found {found} ({path.stat().st_size:,} bytes). "
            f"{published.remedy}."
        )
    return WeightsFacts(file=path.name, sha256=_digest(path, "sha256"), published=True)


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise DataProblem(f"weights {path}: cannot be read ({error.strerror}).") from error
