"""Footnotes on metrics: why one has no value, what its reader must know, what was evaluated."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import Cell, Notes
from benchmarks.runs.record import RunRecord

OTHER = (
    "Evaluated by its own representation, {own}, which has a column of its own: never ranked, "
    "tested or marked as the best with the others' {usual}."
)


def of_group(group: Group, comparison: Comparison) -> list[str]:
    """Return what sets a group's values apart from those of the others in a comparison."""
    own, usual = group.representation, comparison.representation
    apart = bool(group.runs) and own != usual
    return [OTHER.format(own=own, usual=usual)] if apart else []


def of_metric(group: Group, name: str) -> list[str]:
    """Return why a metric has no value in a group's runs, and the caveats on its value.

    What does not concern every run names the seeds that it does.
    """
    reasons = {run.record.seed: _reason(run.record, name) for run in group.runs}
    texts = []
    for reason in dict.fromkeys(reason for reason in reasons.values() if reason):
        seeds = [seed for seed, found in reasons.items() if found == reason]
        which = f" (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        texts.append(f"{reason}{'' if len(seeds) == len(reasons) else which}.")
    return texts


def _reason(record: RunRecord, name: str) -> str:
    if name in record.undefined:
        return f"Undefined: {record.undefined[name]}"
    caveat = record.caveats.get(name, "")
    return caveat[:1].upper() + caveat[1:]


def marked(
    cells: Mapping[str, Cell], group: Group, names: Mapping[str, str], notes: Notes
) -> dict[str, Cell]:
    """Return a row's cells with their footnotes; what is undefined becomes a dash with one.

    Args:
        cells: of the metrics that have a value, by column.
        group: whose row it is.
        names: the metric that each column shows.
        notes: of the table.
    """
    found = dict(cells)
    for column, name in names.items():
        texts = of_metric(group, name)
        if texts and (column in found or undefined(group, name)):
            cell = found.get(column, Cell())
            found[column] = replace(cell, notes=(*cell.notes, *notes.add(*texts)))
    return found


def undefined(group: Group, *names: str) -> bool:
    """Return whether any of these metrics is stated as undefined by any of a group's runs."""
    return any(name in run.record.undefined for run in group.runs for name in names)


def in_data(group: Group, names: Iterable[str]) -> dict[str, str]:
    """Return the reasons of a row in plain words, for CSV; empty where every metric has a value."""
    each = {name: " ".join(of_metric(group, name)) for name in names if undefined(group, name)}
    return {"undefined": "; ".join(f"{k}: {v}" for k, v in each.items())} if each else {}
