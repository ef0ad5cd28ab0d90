"""Nearest neighbours and entropies within a memory bank, without the whole (n, n) matrix.

Source: Huang et al., ICML 2019 (AND), and its released code; Super-AND discovers the same way.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.validation import Array, as_floats, check_positive

CELLS = 1 << 24
"""Similarities held at once on the host, twice: 128 MiB in fp32."""
CELLS_ON_DEVICE = 1 << 26
"""The same on an accelerator, where large products pay: 256 MiB in fp32."""


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What a bank of n instances says about each of them.

    Attributes:
        nearest: (n,) int64 the most similar other instance.
        entropy: (n,) fp32 entropy of the softmax over all n similarities, in nats, from 0 to
            log n; low where few instances are similar.
    """

    nearest: Tensor
    entropy: Tensor


@torch.no_grad()
def discover(bank: Array, temperature: float, cells: int | None = None) -> Neighbourhoods:
    """Return each instance's nearest neighbour and the entropy of its similarities.

    p_i = softmax(v_i V^T / temperature), the instance itself included as in the code.
    Of neighbours that are equally near, the one with the lowest index is found.

    Args:
        bank: (n, d) L2-normalised rows, n at least 2.
        temperature: above 0.
        cells: similarities held at once; None for what suits the bank's device.
    """
    rows = as_floats(bank, "bank", "n", "d")
    check_positive(temperature, "temperature")
    if len(rows) < 2:
        raise ValueError(f"bank: expected at least 2 instances to be neighbours, got {len(rows)}")
    if cells is None:
        cells = CELLS if rows.device.type == "cpu" else CELLS_ON_DEVICE
    step = max(1, min(len(rows), cells // len(rows)))
    scores, weights = (rows.new_empty(step, len(rows)) for _ in range(2))  # used for all chunks
    nearest = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    entropy = torch.empty_like(rows[:, 0])
    with torch.autocast(rows.device.type, enabled=False):
        for start in range(0, len(rows), step):
            chunk = slice(start, min(start + step, len(rows)))
            count = chunk.stop - start
            nearest[chunk], entropy[chunk] = _chunk(
                rows, chunk, temperature, scores[:count], weights[:count]
            )
    return Neighbourhoods(nearest, entropy)


def _chunk(
    rows: Tensor, chunk: slice, temperature: float, scores: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the nearest and the entropy of some rows; both (c, n) buffers are overwritten."""
    torch.mm(rows[chunk] / temperature, rows.T, out=scores)  # (c, n)
    own = scores.diagonal(chunk.start)  # (c,) a view of each row's similarity to itself
    kept = own.clone()
    own.fill_(-torch.inf)
    near, nearest = scores.max(1)  # (c,) both, the image itself left out
    own.copy_(kept)
    # with s = score - largest and Z = sum exp(s), the entropy is log Z - sum exp(s) s / Z
    scores.sub_(torch.maximum(near, kept).unsqueeze(1))
    torch.exp(scores, out=weights)
    total = weights.sum(1)  # (c,) Z
    return nearest, total.log() - weights.mul_(scores).sum(1) / total
