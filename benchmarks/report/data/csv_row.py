"""A row of a table as plain numbers, for CSV: what all sections state in the same way."""

from collections.abc import Mapping
from typing import Any

from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group


def numbers(values: Mapping[str, Spread | None]) -> dict[str, float | None]:
    """Return mean and standard deviation of each value: `name` and `name_sd`, None if unknown."""
    found: dict[str, float | None] = {}
    for name, value in values.items():
        found[name] = value.mean if value else None
        found[f"{name}_sd"] = value.sd if value else None
    return found


def of_group(group: Group) -> dict[str, Any]:
    """Return which group a row is of."""
    return {"method": group.method, "label": group.label}


def origin(group: Group, comparison: Comparison) -> dict[str, Any]:
    """Return from which runs, of which comparison, a row was made."""
    return {
        "dataset": comparison.dataset_name,
        "recipe": comparison.label,
        "runs": " ".join(run.folder.name for run in group.runs),
    }
