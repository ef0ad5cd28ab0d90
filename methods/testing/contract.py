"""What a method must declare and return, checked by `check_method` and before any training."""

import inspect
import math
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.base import FAMILIES, Method, Views, check_encoder, views_of

GROUP_KEYS = {"params", "momentum", "weight_decay", "lr_scale", "schedule"}
RENAMED = {"figures": "metrics", "embed_all": "train.embeddings"}
"""Names of an earlier contract, which would be passed over in silence."""
RESERVED_METRICS = frozenset(
    {"epoch", "knn", "loss", "lr", "images_per_second", "images_seen", "train_seconds",
     "evaluate_seconds", "memory_knn", "linear", "linear_c", "map_at_r", "nmi", "nmi_geometric",
     "ari", "clustering_accuracy", "alignment", "uniformity", "effective_rank", "view_agreement",
     "similarity_overlap", "similarity_auc", "attribute_overlap", "spread"}
)  # fmt: skip
"""Names of the record that the suite measures itself."""
RESERVED_REPRESENTATIONS = ("memory", "predictions")
"""Names of what is evaluated beside the representations."""
LONGEST_TEXT = 200
"""Characters of a citation."""
RESERVED_PREFIXES = ("recall_at_", "pooled_", "attribute_auc", "assignment_")
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
    for fact in ("rounds", "revision"):
        check_count(getattr(method_class, fact), fact)
    if not isinstance(method_class.views, property):
        check_views(method_class.views)
    require(
        method_class.family in FAMILIES,
        f"expected family to be one of {', '.join(FAMILIES)}, got {describe(method_class.family)}",
    )
    for earlier, now in RENAMED.items():
        require(
            not hasattr(method_class, earlier),
            f"expected no `{earlier}`, which is called `{now}` now; rename it",
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


def check_count(value: object, name: str) -> None:
    """Check a whole number of at least 1."""
    require(
        isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        f"expected {name} to be a whole number of at least 1, got {describe(value)}",
    )


def check_views(views: Views) -> None:
    """Check the views that a class or an instance asks for."""
    try:
        views_of(views)
    except ValueError as error:
        raise MethodCheckError(str(error)) from error


def check_instance(method: Method) -> None:
    """Check what a constructor may have set: views, rounds, and the encoder that it kept."""
    check_views(method.views)
    check_count(method.rounds, "rounds")
    try:
        check_encoder(method.encoder)
    except ValueError as error:
        raise MethodCheckError(str(error)) from error


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
    for group in groups:
        _check_overrides(group)


def _check_overrides(group: Mapping[str, Any]) -> None:
    """Check the values of what a group overrides."""
    for key in ("lr_scale", "momentum", "weight_decay"):
        value = group.get(key, 0)
        require(
            isinstance(value, int | float) and math.isfinite(value) and value >= 0,
            f"expected {key} to be a number of at least 0, got {describe(value)}",
        )
    schedule = group.get("schedule", "constant")
    require(
        schedule == "constant",
        f"expected schedule to be 'constant', or left out for the recipe's, got "
        f"{describe(schedule)}",
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
        and order.ndim in (1, 2)
        and order.numel() > 0
        and bool(((order >= 0) & (order < instances)).all()),
        f"expected sample() to return (n,) or (m, g) int64 image indices from 0 to "
        f"{instances - 1}, got {describe(order)}",
    )
    assert isinstance(order, Tensor)
    require(
        order.numel() >= at_least,
        f"expected sample() to return at least the {at_least} images of a batch, got "
        f"{order.numel()}; return more or set drop_last = False",
    )


def check_loss(value: object) -> None:
    """Check that a loss is a floating-point scalar."""
    require(
        isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point(),
        f"expected loss() to return a scalar float tensor, got {describe(value)}; compute it with "
        "torch and reduce with mean()",
    )


def check_representations(found: object, images: int) -> None:
    """Check names, shapes and values of what `representations` returned for some images."""
    require(
        isinstance(found, Mapping) and len(found) > 0,
        f"expected representations() to return a dict of names and rows, got {describe(found)}",
    )
    assert isinstance(found, Mapping)
    for name, rows in found.items():
        require(
            isinstance(name, str)
            and bool(re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name))
            and name not in RESERVED_REPRESENTATIONS,
            f"expected representations() to give names such as embedding or features, got "
            f"{describe(name)}; {', '.join(RESERVED_REPRESENTATIONS)} are the suite's",
        )
        require(
            isinstance(rows, Tensor)
            and rows.ndim == 2
            and len(rows) == images
            and rows.is_floating_point(),
            f"expected representation {name} to be ({images}, d) floats, a row per image, got "
            f"{describe(rows)}; end with methods.normalise",
        )
        require(
            bool(rows.isfinite().all()),
            f"expected representation {name} to be finite, got NaN or infinity",
        )


def check_prediction(found: object, images: int) -> None:
    """Check what `predict` returned for some images."""
    require(
        found is None
        or (isinstance(found, Tensor) and found.ndim == 3 and found.shape[1] == images),
        f"expected predict() to return None or (heads, {images}, classes) log-probabilities, got "
        f"{describe(found)}",
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
        f"expected metrics() to return a dict of names and floats, got {describe(found)}",
    )
    assert isinstance(found, Mapping)
    return {_metric_name(name): _number(name, value) for name, value in found.items()}


def not_finite(metrics: Mapping[str, float]) -> list[str]:
    """Return the names of the metrics that are NaN or infinite."""
    return [name for name, value in metrics.items() if not math.isfinite(value)]


def _metric_name(name: object) -> str:
    require(
        isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64,
        f"expected metrics() to return names of letters, digits and _, 64 at most, got "
        f"{describe(name)}",
    )
    assert isinstance(name, str)
    require(
        name not in RESERVED_METRICS and not name.startswith(RESERVED_PREFIXES),
        f"expected metrics() to leave the name {name!r} to the suite, which measures it itself; "
        "choose another",
    )
    return name


def _number(name: object, value: object) -> float:
    scalar = isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex()
    require(
        scalar or isinstance(value, int | float | np.integer | np.floating),
        f"expected metrics() to return floats, got {describe(value)} for {name!r}",
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
