"""Saving a run after each epoch and going on from there: tensors only, written atomically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.errors import BenchError
from benchmarks.records import CHECKPOINT, atomic_path
from benchmarks.slices import Slice, from_tensor, to_tensor
from methods import Method


class DamagedCheckpoint(BenchError):
    """A checkpoint.pt that cannot be loaded, or that belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """State after some epochs: nothing else is needed to go on to the same bits.

    Random numbers need no state: each epoch draws from generators seeded by (seed, epoch).
    """

    epochs_done: int
    method: Mapping[str, Tensor]
    optimizer: Mapping[int, Mapping[str, Tensor]]
    history: pd.DataFrame
    """The rows of epochs.parquet so far."""
    slices: tuple[Slice, ...] = ()
    """The processes that trained them; empty in checkpoints of older versions."""


def save(
    folder: Path,
    key: str,
    method: Method,
    optimizer: torch.optim.Optimizer | None,
    history: pd.DataFrame,
    slices: Sequence[Slice] = (),
) -> None:
    """Write checkpoint.pt; the epoch is that of the last row of `history`."""
    state = optimizer.state_dict()["state"] if optimizer else {}
    content = {
        "key": torch.frombuffer(bytearray(bytes.fromhex(key)), dtype=torch.uint8),
        "method": method.state_dict(),
        "optimizer": {
            index: {name: value for name, value in slots.items() if isinstance(value, Tensor)}
            for index, slots in state.items()
        },
        "history": {
            column: torch.from_numpy(history[column].to_numpy("float64", copy=True))
            for column in history
        },
        "slices": to_tensor(slices),
    }
    with atomic_path(folder / CHECKPOINT) as part:
        torch.save(content, part)


def load(folder: Path, key: str, device: torch.device) -> Checkpoint | None:
    """Read checkpoint.pt; None if there is none.

    Raises:
        DamagedCheckpoint: if it cannot be loaded or was written by another run.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        found = bytes(content["key"].cpu().numpy()).hex()
        history = pd.DataFrame({k: v.cpu().numpy() for k, v in content["history"].items()})
        history["epoch"] = history["epoch"].astype("int64")
        history["images_seen"] = history["images_seen"].astype("int64")
        checkpoint = Checkpoint(
            int(history["epoch"].iloc[-1]),
            content["method"],
            content["optimizer"],
            history,
            from_tensor(content["slices"]) if "slices" in content else (),
        )
    except Exception as error:  # torch.load fails in many ways on a cut or foreign file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedCheckpoint(f"{path}: cannot be loaded ({reason[:120]})") from error
    if found != key:
        raise DamagedCheckpoint(f"{path}: belongs to run {found[:8]}, expected {key[:8]}")
    return checkpoint


def restore(
    checkpoint: Checkpoint, method: Method, optimizer: torch.optim.Optimizer | None
) -> None:
    """Put a checkpoint's state back into a method and its optimiser.

    Raises:
        DamagedCheckpoint: if the state does not fit the method.
    """
    try:
        method.load_state_dict(dict(checkpoint.method))
        if optimizer is not None:
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict(
                {
                    "state": {k: dict(v) for k, v in checkpoint.optimizer.items()},
                    "param_groups": groups,
                }
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise DamagedCheckpoint(
            f"the checkpoint does not fit {method.name} ({str(error).splitlines()[0]})"
        ) from error
