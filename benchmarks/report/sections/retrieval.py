"""Retrieval and clustering of the test images: neighbours and clusters against classes."""

import re

from benchmarks.evaluator import metric_names
from benchmarks.report.data import aggregate, csv_row, recipe_facts
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import METHOD, Cell, Column, Notes, Section, Table, TableRow
from benchmarks.report.text import footnotes
from benchmarks.report.text import notes as known
from benchmarks.report.text.commands import Commands

_SUBJECTS = {metric_names.FEATURES: "Before the embedding layer: pooled features"}
"""How captions call a further representation."""
_RECALL = re.compile(r"recall_at_(\d+)")
_OTHERS = (
    Column("map_at_r", "mAP@R"),
    Column("nmi", "NMI"),
    Column("nmi_geometric", "NMI (geometric)", "NMI,\ngeometric"),
    Column("ari", "ARI"),
    Column("clustering_accuracy", "Clustering accuracy", "Clustering\naccuracy"),
)


def columns(comparison: Comparison) -> tuple[Column, ...]:
    """Return a column for each metric, by its bare name.

    R@K is there for each K that any run was evaluated at.
    """
    records = [run.record for run in comparison.runs]
    names = {name for r in records for name in (*r.final.measurements, *r.undefined)}
    metrics = {metric_names.split(name)[0] for name in names}
    ks = sorted(int(match[1]) for metric in metrics if (match := _RECALL.fullmatch(metric)))
    return (*(Column(f"recall_at_{k}", f"R@{k}") for k in ks), *_OTHERS)


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return how well neighbours and clusters agree with the classes; empty if no run knows.

    Each representation has a table of its own, that of the comparison first.
    """
    records = [run.record for run in comparison.runs]
    names = {name for r in records for name in (*r.final.measurements, *r.undefined)}
    of = {representation for _, representation in map(metric_names.split, names) if representation}
    others = sorted(of - {comparison.representation})
    tables = [_table(comparison, name) for name in (comparison.representation, *others)]
    found = tuple(table for table in tables if table is not None)
    return Section(title="Retrieval and clustering", tables=found) if found else Section()


def _table(comparison: Comparison, representation: str) -> Table | None:
    shown, notes = columns(comparison), Notes()
    made = (_row(group, comparison, shown, representation, notes) for group in comparison.groups)
    rows = [row for row in made if row is not None]
    if not rows:
        return None
    usual = representation == comparison.representation
    name = f"retrieval {comparison.dataset_name} {comparison.slug}"
    subject = _SUBJECTS.get(representation, f"Retrieval and clustering (%), {representation}")
    return Table(
        slug=recipe_facts.slug(name if usual else f"{name} {representation}"),
        caption=f"{subject if not usual else 'Retrieval and clustering (%)'} on "
        f"{comparison.dataset_name}, test images: recipe {comparison.label}",
        columns=(METHOD, *shown),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        general_notes=tuple(known.retrieval()) if usual else (),
    )


def _row(
    group: Group,
    comparison: Comparison,
    shown: tuple[Column, ...],
    representation: str,
    notes: Notes,
) -> TableRow | None:
    names = {column.key: metric_names.of(column.key, representation) for column in shown}
    found = {key: aggregate.final(group, name) for key, name in names.items()}
    known = {key: value for key, value in found.items() if value is not None}
    if not known and not footnotes.undefined(group, *names.values()):
        return None
    cells = {key: Cell(str(value), value.mean) for key, value in known.items()}
    label = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group, comparison)))
    cells = footnotes.marked({"method": label, **cells}, group, names, notes)
    data = {
        **csv_row.of_group(group),
        "seeds": len(group.runs),
        **csv_row.numbers(found),
        **footnotes.in_data(group, names.values()),
    }
    return TableRow(cells, data)
