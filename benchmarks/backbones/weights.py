"""Pre-trained weights: read from a file, checked by digest, by name and by shape."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn

from benchmarks.common.errors import DataProblem

State = dict[str, Tensor]
NAMED = 3
"""How many wrong entries of a kind an error names."""


@dataclass(frozen=True)
class Published:
    """The file in which a network's weights were published.

    Attributes:
        file: its name.
        url: where it comes from.
        algorithm: of the digest: "md5" or "sha256".
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
    if path.suffix not in READERS:
        known = ", ".join(READERS)
        raise DataProblem(f"weights {path}: expected a file of {known}, found {path.suffix!r}.")
    if not path.is_file():
        raise DataProblem(f"weights {path}: no such file. {published.remedy}.")
    if path.suffix != Path(published.file).suffix:
        return WeightsFacts(file=path.name, sha256=_digest(path, "sha256"), published=False)
    found = _digest(path, published.algorithm)
    if not found.startswith(published.digest):
        raise DataProblem(
            f"weights {path}: expected {published.algorithm.upper()} {published.digest} "
            f"({published.file}), found {found} ({path.stat().st_size:,} bytes). "
            f"{published.remedy}."
        )
    return WeightsFacts(file=path.name, sha256=_digest(path, "sha256"), published=True)


def load(network: nn.Module, path: Path, published: Published) -> WeightsFacts:
    """Fill every parameter and buffer of a network from a file.

    Args:
        network: only changed when the whole file fits.
        path: a file with the suffix of one of `READERS`.
        published: what is expected.

    Raises:
        DataProblem: as `identify`; or the file holds weights of another network, or values that
            are not finite.
    """
    facts = identify(path, published)
    found = {k: v for k, v in read(path).items() if not k.startswith(published.ignored)}
    expected = network.state_dict()
    # Counts of batches came to PyTorch's files later than the statistics, and nothing needs them.
    for name in expected.keys() - found.keys():
        if name.endswith("num_batches_tracked"):
            found[name] = expected[name]
    problems = _differences(expected, found)
    if problems:
        raise DataProblem(f"weights {path}: of another network; {problems}. {published.remedy}.")
    network.load_state_dict(found)
    return facts


def read(path: Path) -> State:
    """Return the named tensors of a file, whatever its format.

    Raises:
        DataProblem: the file is damaged, holds something else, or needs a package that is missing.
    """
    try:
        state = READERS[path.suffix](path)
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise DataProblem(
            f"weights {path}: reading {path.suffix} needs the package {package}; "
            f"pip install {package}"
        ) from error
    except Exception as error:  # every format's library has errors of its own
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataProblem(f"weights {path}: cannot be read ({reason}).") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataProblem(
            f"weights {path}: expected a dictionary of tensors by name, found {_kinds(state)}."
        )
    return dict(state)


def _read_npz(path: Path) -> State:
    with np.load(path) as arrays:
        return _tensors(arrays)


def _read_torch(path: Path) -> State:
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _read_safetensors(path: Path) -> State:
    state: State = import_module("safetensors.torch").load_file(path)
    return state


def _read_h5(path: Path) -> State:
    """Read a dictionary that hickle wrote: /data_0/<name>/data_0 is the array of that name."""
    h5py = import_module("h5py")
    arrays: dict[str, Any] = {}

    def keep(place: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            parts = [part for part in place.split("/") if part not in ("data", "data_0")]
            arrays[".".join(parts).replace("'", "")] = node[()]

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return _tensors(arrays)


READERS: dict[str, Callable[[Path], State]] = {
    ".h5": _read_h5,
    ".npz": _read_npz,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".safetensors": _read_safetensors,
}
"""Reader by suffix."""


def _tensors(arrays: Mapping[str, Any]) -> State:
    return {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}


def _differences(expected: State, found: State) -> str:
    """Say in words what keeps `found` from filling `expected`; empty if nothing does."""
    both = [name for name in expected if name in found]
    shapes = {name: (tuple(expected[name].shape), tuple(found[name].shape)) for name in both}
    kinds = {
        "missing": [name for name in expected if name not in found],
        "not expected": [name for name in found if name not in expected],
        "of other shapes": [
            f"{name} (expected {wanted}, found {had})"
            for name, (wanted, had) in shapes.items()
            if wanted != had
        ],
        "not finite": [name for name in both if not torch.isfinite(found[name]).all()],
    }
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(list(names)[:NAMED]) + more


def _kinds(content: Any) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    others = [k for k, v in content.items() if not isinstance(v, Tensor)]
    return f"other things under {_some([repr(k) for k in others])}"


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise DataProblem(f"weights {path}: cannot be read ({error.strerror}).") from error
