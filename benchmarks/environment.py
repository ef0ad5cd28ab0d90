"""Where a run is made: device, precision, versions, commit."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import __version__
from benchmarks.errors import UsageProblem
from benchmarks.records import Environment

PACKAGES = ("torch", "torchvision", "faiss-gpu", "faiss-cpu", "numpy", "scikit-learn")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" takes a GPU if there is one.

    Raises:
        UsageProblem: if the name is malformed or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageProblem(
            f"--device: expected auto, cpu, cuda or cuda:N, found {name!r}"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageProblem(
            f"--device: {name} is not here, found {torch.cuda.device_count()} CUDA devices; "
            "use --device cpu"
        )
    if device.type not in ("cpu", "cuda"):
        raise UsageProblem(f"--device: expected auto, cpu, cuda or cuda:N, found {name!r}")
    return device


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
    here = Path(__file__).parent.parent
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
