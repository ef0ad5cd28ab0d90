"""The learning rate of every step, as a factor of the recipe's: steps, cosine or constant."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["steps", "cosine", "constant"]


@dataclass(frozen=True)
class Schedule:
    """Factor of the learning rate within one round, from its first step to its last.

    Attributes:
        kind: "steps" holds a factor from an epoch on, "cosine" falls from 1 to 0 along half a
            cosine over the steps after the warm-up, "constant" stays at 1.
        epochs: of the round, at least 1.
        factors: of "steps": from this epoch on (counted from 0) the factor holds.
        warmup: epochs, fractions allowed, in which the factor rises linearly to 1; 0 for none.

    Raises:
        ValueError: if the warm-up is negative or longer than the round.
    """

    kind: Kind
    epochs: int
    factors: Mapping[int, float] = field(default_factory=dict)
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.epochs:
            raise ValueError(
                f"warmup_epochs: expected 0 to {self.epochs}, the epochs of a round, found "
                f"{self.warmup:g}; set fewer with --set recipe.warmup_epochs=N"
            )

    def factor(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """Return the factor of a step.

        Args:
            epoch: counted from 0 within the round.
            step: counted from 0 within the epoch.
            steps: of an epoch, at least 1.
        """
        passed = epoch + step / steps  # epochs before this step
        if passed < self.warmup:
            # The rise ends at the last step of the warm-up, and no step has the rate 0.
            return min(1.0, (passed + 1 / steps) / self.warmup)
        if self.kind == "cosine":
            share = (passed - self.warmup) / (self.epochs - self.warmup)
            return 0.5 * (1 + math.cos(math.pi * share))
        if self.kind == "steps":
            started = [first for first in self.factors if first <= epoch]
            return self.factors[max(started)] if started else 1.0
        return 1.0
