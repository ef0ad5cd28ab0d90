"""Memory that is not enough, in one line, whichever library reports it in whichever way."""

import re

import torch

_SIGNS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|bad_alloc"
    r"|(CUBLAS|CUDNN)_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"(?:allocate|allocation of)\s+([\d.]+)\s*(bytes|[KMGTP]i?B)\b", re.IGNORECASE)
REMEDY = (
    "set a smaller batch (--set recipe.batch_size=N), smaller images (recipe.image_size) or fewer "
    "(recipe.train_images)"
)


def out_of_memory(error: BaseException) -> str | None:
    """Return what to say of an error that means that memory is not enough; None for others.

    numpy and Python raise MemoryError, torch an OutOfMemoryError on a GPU and a plain RuntimeError
    on the processor, as FAISS and cuBLAS do.
    """
    text = str(error)
    if isinstance(error, RuntimeError | OSError) and not _SIGNS.search(text):
        return None
    if not isinstance(error, MemoryError | RuntimeError | OSError | torch.OutOfMemoryError):
        return None
    gpu = isinstance(error, torch.OutOfMemoryError) or re.search(r"CUDA|CUBLAS|CUDNN", text)
    where = "out of the GPU's memory" if gpu else "out of memory"
    amount = _AMOUNT.search(text)
    wanted = f": {_readable(*amount.groups())} were asked for at once" if amount else ""
    return f"{where}{wanted}; {REMEDY}"


def _readable(number: str, unit: str) -> str:
    if unit != "bytes":
        return f"{number.rstrip('.')} {unit}"
    size = float(number)
    for name in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {name}"
        size /= 1024
    return f"{size:.4g} TiB"
