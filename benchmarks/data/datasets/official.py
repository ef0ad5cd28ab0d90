"""Words for what is wrong with an official file, whatever its format."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.errors import DataProblem, one_line


def not_official(path: Path, found: str, remedy: str) -> DataProblem:
    """Build the error for a file whose content is not that of the official format.

    Args:
        path: the file.
        found: what was expected and what was found.
        remedy: what the user can do, as the end of the sentence "Delete it and ...".
    """
    return DataProblem(
        f"{path} is not in the official format: {one_line(found)}. Delete it and {remedy}."
    )


def kind(value: Any) -> str:
    """Return what a value is, for a message."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
