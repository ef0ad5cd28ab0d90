"""Optimisers by the name that a recipe states: SGD and AdamW of torch, and LARS."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.training.recipe.schema import Optimiser


class LARS(Optimizer):
    """SGD with momentum whose step on each weight follows the weight's own norm (You et al., 2017).

    The local rate is `trust * |w| / |g + weight_decay * w|`, as in SimCLR and BYOL. Parameters of
    one dimension (biases, scales of normalisation) take plain SGD steps without it.

    Args:
        params: parameters or groups of them.
        lr: global learning rate, above 0.
        momentum: above 0 and below 1; LARS without momentum is no published optimiser.
        weight_decay: at least 0.
        trust: the coefficient eta, above 0.

    Raises:
        ValueError: if a value is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        for name, value in (("lr", lr), ("trust", trust)):
            if not value > 0:
                raise ValueError(f"{name}: expected a number above 0, found {value}")
        if not 0 < momentum < 1:
            raise ValueError(
                f"momentum: expected above 0 and below 1 with optimiser lars, found {momentum}; "
                "set recipe.momentum=0.9 or choose optimiser sgd"
            )
        values = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(params, values)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; nothing waits for the device."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._step_group(weights, group)
        return loss

    def _step_group(self, weights: list[Tensor], group: Mapping[str, Any]) -> None:
        steps = [weight.grad.clone() for weight in weights if weight.grad is not None]
        if group["weight_decay"]:
            torch._foreach_add_(steps, weights, alpha=group["weight_decay"])
        pairs = [(w, s) for w, s in zip(weights, steps, strict=True) if w.ndim > 1]
        if pairs:
            adapted, directions = map(list, zip(*pairs, strict=True))
            # A weight or a gradient that is all zeros takes the plain step, as elsewhere.
            norms = torch.stack(torch._foreach_norm(adapted))  # (m,)
            lengths = torch.stack(torch._foreach_norm(directions))  # (m,)
            rates = torch.where(
                (norms > 0) & (lengths > 0),
                group["trust"] * norms / lengths,
                torch.ones_like(norms),
            )
            torch._foreach_mul_(directions, list(rates.unbind()))
        momenta = [self._momentum_of(weight) for weight in weights]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, steps)
        torch._foreach_add_(weights, momenta, alpha=-group["lr"])

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def split_decay(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups with biases and scales of normalisation apart, in groups without decay.

    A group that states its own `weight_decay` is left as it is.
    """
    parts: list[dict[str, Any]] = []
    for group in groups:
        if "weight_decay" in group:
            parts.append(dict(group))
            continue
        params = list(group["params"])
        decayed = [p for p in params if p.ndim > 1]
        rest = [p for p in params if p.ndim <= 1]
        parts += [{**group, "params": decayed}] if decayed else []
        parts += [{**group, "params": rest, "weight_decay": 0.0}] if rest else []
    return parts


def build(
    kind: Optimiser,
    groups: Iterable[Mapping[str, Any]],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
    decay_all: bool = True,
    betas: tuple[float, float] = (0.9, 0.999),
    device: torch.device | None = None,
) -> Optimizer | None:
    """Return the optimiser of parameter groups; None if there is nothing to optimise.

    Args:
        kind: "sgd", "lars" or "adamw".
        groups: with `params` and optionally overrides of `momentum` and `weight_decay`, and the
            trainer's own keys `lr_scale` and `schedule`.
        lr: base learning rate.
        momentum: of SGD and LARS.
        weight_decay: of all groups that state none.
        nesterov: of SGD.
        decay_all: False spares biases and scales of normalisation the weight decay.
        betas: of AdamW.
        device: where the parameters are; on a CPU or GPU the fused implementation is used.

    Raises:
        ValueError: if a value does not suit the optimiser.
    """
    kept = [dict(group) for group in groups if list(group["params"])]
    if not kept:
        return None
    if not decay_all:
        kept = split_decay(kept)
    fused = device is not None and device.type in ("cpu", "cuda")
    if kind == "lars":
        return LARS(kept, lr, momentum, weight_decay)
    if kind == "adamw":
        for group in kept:
            group.pop("momentum", None)
        return torch.optim.AdamW(kept, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)
    return torch.optim.SGD(
        kept, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused
    )


def set_rate(optimiser: Optimizer | None, lr: float, factor: float) -> None:
    """Set the rate of every group for a step.

    Args:
        optimiser: None is left alone.
        lr: the recipe's base rate.
        factor: of the schedule; groups with `schedule` "constant" take no part in it.
    """
    for group in optimiser.param_groups if optimiser else ():
        scheduled = 1.0 if group.get("schedule") == "constant" else factor
        group["lr"] = lr * scheduled * group.get("lr_scale", 1.0)
