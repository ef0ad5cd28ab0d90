"""Where a run was made: machine, precision, versions, commit of the suite."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import __version__
from benchmarks.common.device import device_name
from benchmarks.runs.store import Environment
from benchmarks.training.slices import Slice

PACKAGES = ("torch", "torchvision", "faiss-gpu", "faiss-cpu", "numpy", "scikit-learn")
"""Whose versions a record states, beside the suite's own."""


def describe(device: torch.device, precision: str, compiled: bool = False) -> Environment:
    """Return the facts that a record keeps about this machine and installation."""
    commit, dirty = _git()
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device_name(device),
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
