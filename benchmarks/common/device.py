"""Choosing a device and a precision."""

import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.common.errors import UsageProblem

EXPECTED_DEVICE = "expected auto, cpu, cuda or cuda:N"


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def choose_device(name: str = "auto", log: Callable[[str], None] = _to_stderr) -> torch.device:
    """Return the device of that name; "auto" takes a GPU if there is one that works.

    A GPU has its index, as the tensors on it have: `cuda` and `cuda:0` are not equal in torch.

    Args:
        name: auto, cpu, cuda or cuda:N.
        log: takes a line if there is a GPU or a driver that "auto" cannot use.

    Raises:
        UsageProblem: if the name is malformed, or the device is not there or does not work.
    """
    if name == "auto":
        return _best_device(log)
    try:
        device = torch.device(name)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise UsageProblem(f"--device: {EXPECTED_DEVICE}, found {name!r}") from error
    if device.type == "cpu" and not device.index:
        return torch.device("cpu")
    if device.type != "cuda":
        raise UsageProblem(f"--device: {EXPECTED_DEVICE}, found {name!r}")
    try:
        return _working_gpu(device.index)
    except _NoGpu as error:
        raise UsageProblem(f"--device: {name} cannot be used: {error}; use --device cpu") from error


class _NoGpu(Exception):
    """Why a CUDA device cannot be used, in one line."""


def _best_device(log: Callable[[str], None]) -> torch.device:
    try:
        return _working_gpu(None) if _gpu_count() else torch.device("cpu")
    except _NoGpu as error:
        log(f"no GPU is used: {error}; the runs are made on the processor")
        return torch.device("cpu")


def _working_gpu(index: int | None) -> torch.device:
    """Return the CUDA device, the current one if `index` is None, after a first computation on it.

    Raises:
        _NoGpu: if it is not there, or torch cannot compute on it.
    """
    count = _gpu_count()
    if (index or 0) >= count:
        built = "" if torch.version.cuda or torch.version.hip else " and a torch without CUDA"
        raise _NoGpu(f"found {count} CUDA device{'s' * (count != 1)}{built}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is raised
            chosen = torch.cuda.current_device() if index is None else index
            device = torch.device("cuda", chosen)
            torch.ones(1, device=device).add(1).item()
    except (RuntimeError, AssertionError) as error:
        raise _NoGpu(_first_line(error)) from error
    return device


def _gpu_count() -> int:
    """Return the number of CUDA devices.

    Raises:
        _NoGpu: if the driver is broken, which torch says by a warning or by an error.
    """
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        except (RuntimeError, AssertionError) as error:
            raise _NoGpu(_first_line(error)) from error
    if count == 0 and seen:
        raise _NoGpu(_first_line(seen[-1].message))
    return count


def _first_line(problem: object) -> str:
    lines = str(problem).split("(Triggered internally")[0].strip().splitlines()
    return lines[0].rstrip(" .") if lines else type(problem).__name__


def choose_precision(name: str, device: torch.device) -> str:
    """Return "bf16" or "fp32"; "auto" takes bf16 where the device computes it natively.

    Raises:
        UsageProblem: if bf16 is asked for where the device only imitates it, slower than fp32.
    """
    if name == "bf16" and not _native_bf16(device):
        raise UsageProblem(
            f"--precision: expected fp32 or auto, found bf16, which {device_name(device)} does "
            "not compute natively; leave the option out"
        )
    if name != "auto":
        return name
    return "bf16" if _native_bf16(device) else "fp32"


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context that runs a network at a precision, "bf16" or "fp32"."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def device_name(device: torch.device) -> str:
    """Return the name of a GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
