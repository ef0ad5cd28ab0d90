"""Where a run is made: device, precision, versions, commit."""

import platform
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import __version__
from benchmarks.common.errors import UsageProblem
from benchmarks.runs.store import Environment
from benchmarks.training.slices import Slice

PACKAGES = ("torch", "torchvision", "faiss-gpu", "faiss-cpu", "numpy", "scikit-learn")


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
            f"--precision: expected fp32 or auto, found bf16, which {_device_name(device)} does "
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


def describe(device: torch.device, precision: str, compiled: bool = False) -> Environment:
    """Return the facts that a record keeps about this machine and installation."""
    commit, dirty = _git()
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=_device_name(device),
        precision="bf16" if precision == "bf16" else "fp32",
        compiled=compiled,
        threads=torch.get_num_threads(),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def slice_of(environment: Environment) -> Slice:
    """Return the conditions that a slice of a run keeps, yet without epochs."""
    return Slice(
        first_epoch=None,
        last_epoch=None,
        device=environment.device,
        platform=environment.platform,
        threads=environment.threads,
        precision=environment.precision,
        compiled=environment.compiled,
        torch=environment.packages.get("torch", torch.__version__),
        seconds=0.0,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {"instbench": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _git() -> tuple[str | None, bool | None]:
    """Return the commit of the suite's checkout and whether tracked code differs from it."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None, None
    try:
        commit = _git_output(here, "rev-parse", "HEAD")
        changes = _git_output(
            here, "status", "--porcelain", "--", "methods", "benchmarks", "evaluation"
        )
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None, None
    return commit, bool(changes)


def _git_output(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
