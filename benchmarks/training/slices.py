"""Under which conditions each stretch of a run was made: threads, device and torch change bits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_CONDITIONS = {
    "threads": "threads",
    "device": "device",
    "platform": "platform",
    "precision": "precision",
    "compiled": "torch.compile",
    "torch": "torch",
}
"""What the bits of a result depend on, as a `Slice` and as a message name it."""


class Slice(BaseModel):
    """A continuous stretch of a run's epochs, in one process, under one set of conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_epoch: int | None
    """Counted from 1; 0 if there was nothing to train; None if the process only evaluated the last
    epoch, whose training had been finished by another."""
    last_epoch: int | None
    device: str
    platform: str
    threads: int
    precision: str
    compiled: bool
    torch: str
    """Version of torch."""
    seconds: float
    """Wall-clock time of the training and the evaluation of its epochs."""

    def differences(self, later: "Slice") -> list[str]:
        """Return in which conditions a later slice differs, as `threads 1, now 2`."""
        pairs = ((name, getattr(self, name), getattr(later, name)) for name in _CONDITIONS)
        return [
            f"{_CONDITIONS[name]} {_word(before)}, now {_word(now)}"
            for name, before, now in pairs
            if before != now
        ]


_SLICES = TypeAdapter(tuple[Slice, ...])


def _word(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class SliceLog:
    """The slices of the processes before, and what this process adds to them.

    Attributes:
        earlier: slices of a checkpoint that this process goes on from.
        current: the conditions of this process; its epochs and seconds are filled in later.
        start: the history of the checkpoint; empty at the start of a run.
    """

    earlier: tuple[Slice, ...]
    current: Slice
    start: "pd.DataFrame"

    @property
    def change(self) -> str:
        """Say in one line that this process goes on under other conditions; "" if it does not."""
        if self.start.empty:
            return ""
        done = int(self.start["epoch"].iloc[-1])
        if not self.earlier:
            return (
                f"resumed after epoch {done}: the checkpoint does not say with which device, "
                "threads and torch it was made; unless they were these, the bits are not those of "
                "an uninterrupted run"
            )
        changed = self.earlier[-1].differences(self.current)
        if not changed:
            return ""
        return (
            f"resumed after epoch {done} under other conditions: {', '.join(changed)}; the bits "
            "are not those of an uninterrupted run, and the record lists both"
        )

    def until(self, history: "pd.DataFrame") -> tuple[Slice, ...]:
        """Return all slices when `history` is what has been trained and evaluated."""
        new = history.iloc[len(self.start) :]
        if new.empty:
            return (*self.earlier, self.current)
        seconds = _seconds(history) - (0.0 if self.start.empty else _seconds(self.start))
        first, last = int(new["epoch"].iloc[0]), int(new["epoch"].iloc[-1])
        update = {"first_epoch": first, "last_epoch": last, "seconds": round(seconds, 3)}
        return (*self.earlier, self.current.model_copy(update=update))


def _seconds(history: "pd.DataFrame") -> float:
    last = history.iloc[-1]
    return float(last["train_seconds"] + last["evaluate_seconds"])


def to_tensor(slices: Sequence[Slice]) -> "Tensor":
    """Return slices as a uint8 tensor: a checkpoint holds tensors only."""
    import torch  # at need: records have slices too, and are read where nothing is trained

    text = json.dumps([part.model_dump() for part in slices])
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def from_tensor(encoded: Any) -> tuple[Slice, ...]:
    """Return the slices of `to_tensor`.

    Raises:
        ValueError: if it holds anything else.
    """
    return _SLICES.validate_json(bytes(encoded.cpu().numpy()))
