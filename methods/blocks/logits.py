"""Similarities of embeddings, and the softmax mathematics that several losses share."""

from collections.abc import Sequence

import torch
from torch import Tensor


def similarity(queries: Tensor, keys: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the (q, k) inner products of (q, d) and (k, d) rows, divided by the temperature.

    Computed in fp32 (or the inputs' wider type) also under autocast: a bf16 logit at temperature
    0.05 is off by up to 0.06, more than the differences that training follows.
    """
    queries, keys = as_one_type(queries, keys)
    with torch.autocast(queries.device.type, enabled=False):
        return (queries / temperature) @ keys.T


def as_one_type(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in fp32, or in the wider of their types."""
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    return first.to(dtype), second.to(dtype)


def other_instances(instances: int, views: int, device: torch.device) -> Tensor:
    """Return, for every row of stacked views, the rows that show another instance.

    Rows are ordered view by view, so row r shows instance r modulo `instances`.

    Returns:
        (views * instances, views * (instances - 1)) int64 row indices.
    """
    row = torch.arange(views * instances, device=device)
    # from any row, steps of 0, n, 2n, ... lead to the same instance, and all others elsewhere
    offset = row.view(views, instances)[:, 1:].flatten()  # (views * (instances - 1),)
    return (row.unsqueeze(1) + offset) % len(row)


def log_one_minus_softmax(logits: Tensor, context: Sequence[Tensor] = ()) -> Tensor:
    """Return (r, k) log(1 - P), P being the softmax of (r, k) logits and their context.

    Only a row's largest P can pass 1/2, where 1 - P cancels. For that one, 1 - P is the softmax
    weight of everything else, so values and gradients are exact and finite up to P = 1.

    Args:
        logits: (r, k) the logits whose P counts.
        context: (r, c) further logits that only share the denominator.

    Raises:
        ValueError: if a row has a single logit and no context: P is 1 and log(1 - P) infinite.
    """
    together = torch.cat([logits, *context], 1)  # (r, k + c)
    width = logits.shape[1]
    if width == 0:
        return logits
    if together.shape[1] == 1:
        raise ValueError("log(1 - P): expected at least 2 logits in the denominator, got 1")
    log_total = together.logsumexp(1, keepdim=True)  # (r, 1) log of the denominator
    largest = logits.argmax(1, keepdim=True)  # (r, 1)
    rest = together.scatter(1, largest, -torch.inf)  # (r, k + c) everything but the largest
    # the largest gets log(1 - 0) = 0 here, and its true value below
    small = torch.log1p(-(rest[:, :width] - log_total).exp())
    return small.scatter(1, largest, rest.logsumexp(1, keepdim=True) - log_total)
