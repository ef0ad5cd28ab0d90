"""Saving a run after each epoch and going on from there: tensors only, written atomically."""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.errors import BenchError
from benchmarks.common.files import Unreadable, atomic_path, one_line, unreadable
from benchmarks.training.history import CHECKPOINT, flaw_of_epochs
from benchmarks.training.slices import Slice, from_tensor, to_tensor
from methods import Method

TOTALS = ("knn", "images_seen", "train_seconds", "evaluate_seconds")
"""Columns of the history that going on needs."""


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
        DamagedCheckpoint: if it was read whole and is none, or was written by another run.
        Unreadable: if it cannot be read just now: no permission, an I/O error, no memory.
    """
    path = folder / CHECKPOINT
    try:
        with path.open("rb") as file:
            flaw = _flaw_of_archive(file)
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        raise unreadable(path, error) from error
    if flaw:
        raise DamagedCheckpoint(f"{path}: cannot be loaded ({flaw})")
    content = _load_tensors(path, device)
    try:
        found = bytes(content["key"].cpu().numpy()).hex()
        checkpoint = _understand(content)
    except Exception as error:  # it holds anything but what `save` writes
        raise DamagedCheckpoint(f"{path}: cannot be loaded ({one_line(error)})") from error
    if found != key:
        raise DamagedCheckpoint(f"{path}: belongs to run {found[:8]}, expected {key[:8]}")
    return checkpoint


def _flaw_of_archive(file: BinaryIO) -> str | None:
    """Read a checkpoint's bytes whole and return what is wrong with them; None if nothing.

    torch.load does not compare checksums: a tensor with a bit turned would be trained on.

    Raises:
        OSError: if the file cannot be read.
    """
    while file.read(1 << 24):  # that all of it can be read is part of the proof
        pass
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except MemoryError:
        raise
    except Exception as error:  # zipfile fails in many ways on a cut or foreign file
        return one_line(error)
    return one_line(f"wrong checksum of {bad}") if bad else None


def _load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """Read the content of a file whose checksums are right.

    Raises:
        DamagedCheckpoint: if it is no file of tensors.
        Unreadable: if it may be one, but the system or the device fails just now.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, MemoryError, torch.OutOfMemoryError) as error:
        raise unreadable(path, error) from error
    except pickle.UnpicklingError as error:
        raise DamagedCheckpoint(f"{path}: cannot be loaded ({one_line(error)})") from error
    except Exception as error:
        # A RuntimeError may be the file's fault or that of a device without memory or driver.
        if _of_the_system(error) or (device.type != "cpu" and _loads_on_cpu(path)):
            raise unreadable(path, error) from error
        raise DamagedCheckpoint(f"{path}: cannot be loaded ({one_line(error)})") from error
    return content


def _of_the_system(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in words for sign in ("allocate memory", "cuda error", "out of memory")
    )


def _loads_on_cpu(path: Path) -> bool:
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # then the device is not what is wrong
        return False
    return True


def _understand(content: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint; raises some error or other if the content is not one."""
    history = pd.DataFrame({k: v.cpu().numpy() for k, v in content["history"].items()})
    if flaw := flaw_of_epochs(history):
        raise ValueError(flaw)
    for column in ("epoch", "images_seen"):
        history[column] = history[column].astype("int64")
    history[[*TOTALS]].astype("float64")
    method, optimizer = dict(content["method"]), dict(content["optimizer"])
    for tensors in (method, *optimizer.values()):
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name}: expected a tensor, found {type(tensor).__name__}")
    slices = from_tensor(content["slices"]) if "slices" in content else ()
    return Checkpoint(int(history["epoch"].iloc[-1]), method, optimizer, history, slices)


def restore(
    checkpoint: Checkpoint, method: Method, optimizer: torch.optim.Optimizer | None
) -> None:
    """Put a checkpoint's state back into a method and its optimiser.

    Raises:
        DamagedCheckpoint: if the state does not fit the method.
        Unreadable: if the device has no memory for it just now.
    """
    try:
        method.load_state_dict(dict(checkpoint.method))
        if optimizer is not None:
            groups = optimizer.state_dict()["param_groups"]
            _check_slots(checkpoint, optimizer)
            optimizer.load_state_dict(
                {
                    "state": {k: dict(v) for k, v in checkpoint.optimizer.items()},
                    "param_groups": groups,
                }
            )
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Unreadable(
            f"no memory to go on from the checkpoint of {method.name}; it is kept, give the same "
            "command again when memory is free"
        ) from error
    except Exception as error:  # a method of a plug-in may restore its state in its own way
        raise DamagedCheckpoint(
            f"the checkpoint does not fit {method.name} ({one_line(error)})"
        ) from error


def _check_slots(checkpoint: Checkpoint, optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError unless each of the optimiser's tensors is as large as its parameter."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, slots in checkpoint.optimizer.items():
        for name, slot in slots.items():
            if slot.dim() and slot.shape != parameters[index].shape:
                expected = tuple(parameters[index].shape)
                raise ValueError(f"{name}: expected shape {expected}, found {tuple(slot.shape)}")
