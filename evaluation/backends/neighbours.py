"""Exact nearest neighbours: FAISS in host memory, torch on an accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evaluation.validation import (
    CELLS,
    Array,
    Floats,
    Integers,
    as_embeddings,
    check_count,
    check_same_width,
    row_chunks,
)

Flags: TypeAlias = npt.NDArray[np.bool_]

CHUNK = 1 << 26
"""Similarities held at once on an accelerator: 256 MiB in fp32."""
ROUNDING = 1e-6
"""By how much fp32 rounds entries of unit rows, and the cosines of equal rows at different places
of a bank."""
PERMUTATIONS = 8
"""Orders of the bank in which ties are broken; queries take them in turn."""


def search(
    bank: Array, queries: Array, k: int, exclude_self: bool = False
) -> tuple[Floats, Integers]:
    """Find the k rows of the bank with the largest inner product with each query, exactly.

    Computed in fp32 on the bank's device. Neighbours of equal similarity come in the order of
    their index; which of several that tie for the last place is kept is not defined. A metric
    must not depend on that order: see `fair_search`.

    Args:
        bank: (n, d) finite embeddings, used as they are; unit rows give cosine similarity.
        queries: (q, d) finite embeddings.
        k: neighbours per query, at most n, or n - 1 with `exclude_self`.
        exclude_self: the queries are the bank, and query i must not find row i. Its exact copies
            under other indices are found.

    Returns:
        Similarities (q, k) fp32, descending, and indices into the bank (q, k) int64.

    Raises:
        ValueError: if shapes, values or k do not fit.
    """
    bank, queries = as_embeddings(bank, "bank"), as_embeddings(queries, "queries")
    check_same_width(bank, "bank", queries, "queries")
    k = check_count(k, "k")
    if exclude_self and len(queries) != len(bank):
        raise ValueError(
            f"queries: expected the bank's {len(bank)} rows with exclude_self, found "
            f"{len(queries)}; pass the bank itself as queries, or exclude_self=False"
        )
    available = len(bank) - exclude_self
    if k > available:
        raise ValueError(
            f"k: expected at most {available}, the rows of the bank"
            f"{' without the query itself' if exclude_self else ''}, got {k}; lower k"
        )
    on_host = bank.device.type == "cpu"
    neighbours = _search_host if on_host else _search_device
    found = _order_ties(*neighbours(bank, queries.to(bank.device), k + exclude_self))
    return drop_self(*found, np.arange(len(bank))) if exclude_self else found


def fair_search(
    bank: Array, queries: Array, k: int, *, cells: int = CELLS
) -> tuple[Floats, Integers]:
    """Find the k nearest rows of the bank as `search` does, ties broken whatever the bank's order.

    Two rows tie if they are equally similar to the query, or are equal themselves up to ROUNDING:
    matrix products round the same row otherwise at another place. Of those that tie, the ones that
    come first in a pseudo-random permutation of the bank are nearer, at the last place too. The
    permutations depend on nothing but the number of rows, so that the same arrays give the same
    neighbours; PERMUTATIONS of them serve the queries with ties in turn. Duplicates that are sorted
    by class, and a collapsed network all of whose rows are equal, are thus retrieved as by chance.
    Where there is no tie, similarities and indices are those of `search`, bit by bit.

    Args:
        bank: (n, d) finite embeddings, unit rows or zero.
        queries: (q, d) finite embeddings, unit rows or zero.
        k: neighbours per query, at most n. A query that is in the bank finds itself; see
            `drop_self`.
        cells: entries of rows compared at once; bounds memory and changes no result.

    Returns:
        Similarities (q, k) fp32, descending but for the rounding among those that tie, and indices
        into the bank (q, k) int64.

    Raises:
        ValueError: if shapes, values or k do not fit.
    """
    bank, queries = as_embeddings(bank, "bank"), as_embeddings(queries, "queries")
    k, count = check_count(k, "k"), len(bank)
    # one neighbour more, to see whether the last place is tied
    wide, indexed = search(bank, queries, k + (k < count))
    ties = _ties(wide, indexed, bank, cells)  # (q, k), or (q, n - 1)
    tied = np.flatnonzero(ties.any(axis=1))
    at_border: Flags = np.any(ties[:, k - 1 :], axis=1)
    similarities, indices = wide[:, :k].copy(), indexed[:, :k].copy()
    for turn in range(min(PERMUTATIONS, len(tied))):
        rows = tied[turn::PERMUTATIONS]
        order = np.random.default_rng([count, turn]).permutation(count)
        again = rows[at_border[rows]]
        if len(again):
            shuffled = bank[torch.from_numpy(order).to(bank.device)]
            asked = queries[torch.from_numpy(again).to(queries.device)]
            similarities[again], found = search(shuffled, asked, k)
            indices[again] = order[found]
            ties[again, : k - 1] = _ties(similarities[again], indices[again], bank, cells)
        _shuffle(similarities, indices, ties, rows, np.argsort(order))
    return similarities, indices


def _search_host(bank: Tensor, queries: Tensor, k: int) -> tuple[Floats, Integers]:
    import faiss  # at need: what only names methods and metrics does without

    similarities, indices = faiss.knn(
        queries.numpy(), bank.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT
    )
    return similarities, indices


def _search_device(
    bank: Tensor, queries: Tensor, k: int, chunk: int = CHUNK
) -> tuple[Floats, Integers]:
    rows = max(1, chunk // len(bank))
    with _exact_float32(bank.device.type):
        found = [(part @ bank.T).topk(k) for part in torch.split(queries, rows)]
    similarities, indices = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return similarities, indices


@contextmanager
def _exact_float32(device_type: str) -> Iterator[None]:
    """Keep a trainer's autocast and TF32 out: they would reorder near-duplicates."""
    matmul = torch.backends.cuda.matmul
    # torch 2.9 replaced the flag, and refuses to read the old one where the new one is in use
    settings: dict[str, str | bool] = {"fp32_precision": "ieee", "allow_tf32": False}
    setting = next(name for name in settings if hasattr(matmul, name))
    before = getattr(matmul, setting)
    setattr(matmul, setting, settings[setting])
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        setattr(matmul, setting, before)


def _order_ties(similarities: Floats, indices: Integers) -> tuple[Floats, Integers]:
    tied = (similarities[:, 1:] == similarities[:, :-1]).any(axis=1)
    order = np.lexsort((indices[tied], -similarities[tied]))
    indices[tied] = np.take_along_axis(indices[tied], order, axis=1)
    return similarities, indices


def _ties(similarities: Floats, indices: Integers, bank: Tensor, cells: int) -> Flags:
    """Return whether each of the (q, k) neighbours ties with the next one, (q, k - 1)."""
    gaps = similarities[:, :-1] - similarities[:, 1:]
    ties: Flags = np.equal(gaps, 0.0)
    rows, places = np.nonzero((gaps <= ROUNDING) & ~ties)
    for part in row_chunks(len(rows), bank.shape[1], cells):
        nearer, farther = (
            bank[torch.from_numpy(indices[rows[part], places[part] + step]).to(bank.device)]
            for step in (0, 1)
        )
        equal = (nearer - farther).abs().amax(dim=1) <= ROUNDING
        ties[rows[part], places[part]] = equal.cpu().numpy()
    return ties


def _shuffle(
    similarities: Floats, indices: Integers, ties: Flags, rows: Integers, places: Integers
) -> None:
    """Order those neighbours of some rows that tie by their places (n,) in a permutation."""
    groups = np.zeros((len(rows), indices.shape[1]), np.int64)
    (~ties[rows, : groups.shape[1] - 1]).cumsum(axis=1, out=groups[:, 1:])
    order = np.lexsort((places[indices[rows]], groups))
    indices[rows] = np.take_along_axis(indices[rows], order, axis=1)
    similarities[rows] = np.take_along_axis(similarities[rows], order, axis=1)


def drop_self(similarities: Floats, indices: Integers, own: Integers) -> tuple[Floats, Integers]:
    """Drop each query's `own` row of the bank from its neighbours, or the last if it is absent."""
    dropped = indices == own[:, None]
    dropped[~dropped.any(axis=1), -1] = True
    shape = (len(indices), -1)
    return similarities[~dropped].reshape(shape), indices[~dropped].reshape(shape)
