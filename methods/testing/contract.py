"""What a method must declare and return, checked by `check_method` and before any training."""

import inspect
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.base import Method

GROUP_KEYS = {"params", "momentum", "weight_decay", "lr_scale"}
RESERVED_METRICS = frozenset(
    {"epoch", "knn", "loss", "lr", "images_per_second", "images_seen", "train_seconds",
     "evaluate_seconds", "memory_knn", "linear", "linear_c", "map_at_r", "nmi", "nmi_geometric",
     "ari", "clustering_accuracy", "alignment", "uniformity", "effective_rank", "view_agreement",
     "similarity_overlap", "similarity_auc", "attribute_overlap"}
)  # fmt: skip
"""Names of the record that the suite measures itself."""
LONGEST_TEXT = 200
"""Characters of a citation."""
RESERVED_PREFIXES = ("recall_at_", "pooled_", "attribute_auc")
"""Beginnings of such names."""


class MethodCheckError(AssertionError):
    """A method breaks the contract of `methods.Method`; the message says where, and the remedy."""


def require(condition: bool, problem: str) -> None:
    """Raise MethodCheckError unless the condition holds."""
    if not condition:
        raise MethodCheckError(problem)


def describe(value: object) -> str:
    """Say what a value is, in an error."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else f"{text[:100]}…"


def check_declaration(method_class: type[Method]) -> None:
    """Check name, paper, views, flags and revision of a class."""
    for fact, example in (("name", "my-method"), ("paper", "Author et al., CVPR 2019")):
        value = getattr(method_class, fact, None)
        require(
            isinstance(value, str) and bool(value) and _is_text(value),
            f'expected a class attribute like {fact} = "{example}", got {describe(value)}',
        )
    for fact in ("views", "revision"):
        value = getattr(method_class, fact)
        require(
            isinstance(value, int) and not isinstance(value, bool) and value >= 1,
            f"expected {fact} to be a whole number of at least 1, got {describe(value)}",
        )
    for fact in ("drop_last", "uses_labels"):
        value = getattr(method_class, fact)
        require(
            isinstance(value, bool), f"expected {fact} to be True or False, got {describe(value)}"
        )
    takes_labels = method_class.set_labels is not Method.set_labels
    require(
        method_class.uses_labels is takes_labels,
        f"expected uses_labels = True with set_labels, and neither without the other; got "
        f"uses_labels = {method_class.uses_labels!r}, set_labels "
        f"{'defined' if takes_labels else 'not defined'}",
    )


def check_signature(method_class: type[Method]) -> None:
    """Check that a constructor takes encoder, instances and keyword-only hyper-parameters."""
    parameters = list(inspect.signature(method_class).parameters.values())
    require(
        [parameter.name for parameter in parameters[:2]] == ["encoder", "instances"],
        f"expected __init__(self, encoder, instances, *, ...), got "
        f"{inspect.signature(method_class)}",
    )
    for parameter in parameters[2:]:
        require(
            parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty,
            f"expected the hyper-parameter {parameter.name} to be keyword-only with a default, got "
            f"`{parameter}`; write it after `*`, with the paper's value",
        )


def check_epochs(value: object, planned: int) -> None:
    """Check what `epochs` returned."""
    require(
        _is_count(value),
        f"expected epochs({planned}) to be a whole number of at least 0, got {describe(value)}",
    )


def check_groups(groups: Sequence[Mapping[str, Any]]) -> None:
    """Check the keys of what `parameter_groups` returned."""
    unknown = {key for group in groups for key in group} - GROUP_KEYS
    require(not unknown, f"expected no other keys than {sorted(GROUP_KEYS)}, got {sorted(unknown)}")
    require(
        all("params" in group for group in groups),
        "expected parameter_groups() to return groups with `params`, got one without",
    )


def check_order(order: object, instances: int, at_least: int = 1) -> None:
    """Check what `sample` returned.

    Args:
        order: the value; None means shuffled.
        instances: number of training images.
        at_least: images that an epoch needs: a batch, where a smaller one is left out.
    """
    if order is None:
        return
    require(
        isinstance(order, Tensor)
        and order.dtype == torch.int64
        and order.ndim == 1
        and len(order) > 0
        and bool(((order >= 0) & (order < instances)).all()),
        f"expected sample() to return (n,) int64 image indices from 0 to {instances - 1}, got "
        f"{describe(order)}",
    )
    assert isinstance(order, Tensor)
    require(
        len(order) >= at_least,
        f"expected sample() to return at least the {at_least} images of a batch, got {len(order)}; "
        "return more or set drop_last = False",
    )


def check_loss(value: object) -> None:
    """Check that a loss is a floating-point scalar."""
    require(
        isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point(),
        f"expected loss() to return a scalar float tensor, got {describe(value)}; compute it with "
        "torch and reduce with mean()",
    )


def check_embeddings(rows: object, images: int) -> None:
    """Check the shape and type of what `embed` returned for a number of images."""
    require(
        isinstance(rows, Tensor)
        and rows.ndim == 2
        and len(rows) == images
        and rows.is_floating_point(),
        f"expected embed() to return ({images}, d) floats, a row per image, got {describe(rows)}; "
        "end with methods.base.method.normalise",
    )


def check_memory(memory: object, instances: int) -> None:
    """Check what `memory` returned."""
    require(
        memory is None
        or (isinstance(memory, Tensor) and memory.ndim == 2 and len(memory) == instances),
        f"expected memory() to return None or ({instances}, d), got {describe(memory)}",
    )


def as_metrics(found: object) -> dict[str, float]:
    """Return a method's side metrics as floats, which may be NaN or infinite.

    Raises:
        MethodCheckError: if a name is reserved or malformed, or a value is no number.
    """
    require(
        isinstance(found, Mapping),
        f"expected figures() to return a dict of names and floats, got {describe(found)}",
    )
    assert isinstance(found, Mapping)
    return {_metric_name(name): _number(name, value) for name, value in found.items()}


def not_finite(metrics: Mapping[str, float]) -> list[str]:
    """Return the names of the metrics that are NaN or infinite."""
    return [name for name, value in metrics.items() if not math.isfinite(value)]


def _metric_name(name: object) -> str:
    require(
        isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64,
        f"expected figures() to return names of letters, digits and _, 64 at most, got "
        f"{describe(name)}",
    )
    assert isinstance(name, str)
    require(
        name not in RESERVED_METRICS and not name.startswith(RESERVED_PREFIXES),
        f"expected figures() to leave the name {name!r} to the suite, which measures it itself; "
        "choose another",
    )
    return name


def _number(name: object, value: object) -> float:
    scalar = isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex()
    require(
        scalar or isinstance(value, int | float | np.integer | np.floating),
        f"expected figures() to return floats, got {describe(value)} for {name!r}",
    )
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf


def _is_count(value: object) -> bool:
    try:
        return not isinstance(value, bool) and operator.index(value) >= 0  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return False


def _is_text(value: str) -> bool:
    """Return whether it is a line that can be written to a file."""
    return value.isprintable() and len(value) <= LONGEST_TEXT
