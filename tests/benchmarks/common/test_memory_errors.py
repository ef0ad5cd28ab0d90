import numpy as np
import pytest
import torch

from benchmarks.common.memory_errors import out_of_memory


def test_what_numpy_says():
    with pytest.raises(MemoryError) as caught:
        np.empty((1 << 24, 1 << 24), np.uint8)
    line = out_of_memory(caught.value)
    assert line.startswith("out of memory: 256 TiB were asked for at once; set a smaller batch")


def test_what_torch_says_of_the_processor():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 46, dtype=torch.uint8)
    assert out_of_memory(caught.value).startswith("out of memory: 64 TiB were asked for at once; ")


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has"),
            "out of the GPU's memory: 20.00 MiB were",
        ),
        (RuntimeError("CUDA error: out of memory\nmore"), "out of the GPU's memory; set"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "out of the GPU's memory; set",
        ),
        (RuntimeError("std::bad_alloc"), "out of memory; set"),
        (MemoryError(), "out of memory; set"),
        (OSError(12, "Cannot allocate memory"), "out of memory; set"),
    ],
)
def test_what_others_say(error, start):
    line = out_of_memory(error)
    assert line.startswith(start)
    assert "\n" not in line


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("out of memory"), OSError(13, "denied")]
)
def test_other_errors_are_not_of_memory(error):
    assert out_of_memory(error) is None
