"""Plug-in files: methods, data sets, backbones and tables that one command brings along."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.backbones.base import BACKBONES
from benchmarks.common.errors import UsageProblem
from benchmarks.data.datasets.base import DATASETS
from benchmarks.runs import plugin_tables
from methods.base import registry

KINDS = (registry.METHODS, DATASETS, BACKBONES)
"""What a plug-in may define; all of them exist before a file is imported."""


def load_plugins(files: Sequence[Path]) -> dict[str, str]:
    """Import plug-in files so that what is in them is known by name.

    A file may define methods, data sets and backbones, and have tables beside it
    (`plugin_tables`); a `.csv` file is a table alone.

    Returns:
        The files that failed to import or of which something was refused, each with the reason.

    Raises:
        UsageProblem: if a file is missing or brings none of these, or a table is malformed.
    """
    failed = {}
    for file in files:
        try:
            _load(file)
        except registry.PluginError as error:
            reason = str(error).removeprefix(f"plug-in {file.resolve()}")
            failed[f"plug-in {file}"] = reason.lstrip(": ")
        except ValueError as error:
            raise UsageProblem(str(error)) from error
    return failed


def _load(file: Path) -> None:
    if file.suffix == ".csv":
        plugin_tables.load(file)
        return
    tables = plugin_tables.beside(file)
    for table in tables:
        plugin_tables.load(table)
    try:
        registry.load_file(file, f", or a table beside it ({file.stem}.tables.csv)")
    except registry.NothingFound:
        if not tables:
            raise
