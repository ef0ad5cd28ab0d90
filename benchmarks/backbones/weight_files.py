"""Files of pre-trained weights: read whatever their format, checked by name and by shape."""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.backbones.weights import Published, WeightsFacts, identify
from benchmarks.common.errors import DataProblem

State = dict[str, Tensor]
MAX_LISTED = 3
"""How many wrong entries of a kind an error names."""


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
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(list(names)[:MAX_LISTED]) + more


def _kinds(content: Any) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    others = [k for k, v in content.items() if not isinstance(v, Tensor)]
    return f"other things under {_some([repr(k) for k in others])}"
