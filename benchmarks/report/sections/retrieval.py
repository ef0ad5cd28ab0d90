"""Retrieval and clustering of the test images: neighbours and clusters against classes."""

import re
from typing import Any

from benchmarks.report.data import aggregate, recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import METHOD, Cell, Chapter, Column, Notes, Table, TableRow
from benchmarks.report.text import footnotes
from benchmarks.report.text import notes as remarks
from benchmarks.report.text.commands import Commands

POOLED = "pooled_"
"""Before the name of a figure: the same of the features before the embedding layer."""
_RECALL = re.compile(r"recall_at_(\d+)")
_OTHERS = (
    Column("map_at_r", "mAP@R"),
    Column("nmi", "NMI"),
    Column("nmi_geometric", "NMI (geometric)", "NMI,\ngeometric"),
    Column("ari", "ARI"),
    Column("clustering_accuracy", "Clustering accuracy", "Clustering\naccuracy"),
)


def figures(comparison: Comparison) -> tuple[Column, ...]:
    """Return a column for each figure, under the name that records keep it by.

    R@K is there for each K that any run was judged by.
    """
    records = [run.record for run in comparison.runs]
    names = {name for record in records for name in (*record.final.figures, *record.undefined)}
    ks = sorted(int(match[1]) for name in names if (match := _RECALL.fullmatch(name)))
    return (*(Column(f"recall_at_{k}", f"R@{k}") for k in ks), *_OTHERS)


def chapter(comparison: Comparison, commands: Commands) -> Chapter:
    """Return how well neighbours and clusters agree with the classes; empty if no run knows.

    A second table has the same of the pooled features, where runs have it.
    """
    name = f"retrieval {comparison.dataset_name} {comparison.slug}"
    words = f"on {comparison.dataset_name}, test images: recipe {comparison.label}"
    embedded = _table(comparison, name, f"Retrieval and clustering (%) {words}", "")
    pooled = _table(
        comparison, f"{name} pooled", f"Before the embedding layer: pooled features {words}", POOLED
    )
    found = tuple(table for table in (embedded, pooled) if table is not None)
    return Chapter(title="Retrieval and clustering", tables=found) if found else Chapter()


def _table(comparison: Comparison, name: str, caption: str, prefix: str) -> Table | None:
    columns = figures(comparison)
    notes = Notes()
    made = (_row(group, columns, prefix, notes) for group in comparison.groups)
    rows = [row for row in made if row is not None]
    if not rows:
        return None
    return Table(
        slug=recipe_facts.slug(name),
        caption=caption,
        columns=(METHOD, *columns),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=() if prefix else tuple(remarks.retrieval()),
    )


def _row(group: Group, columns: tuple[Column, ...], prefix: str, notes: Notes) -> TableRow | None:
    found: dict[str, Spread | None] = {
        column.key: aggregate.side_figure(group, prefix + column.key) for column in columns
    }
    known = {key: figure for key, figure in found.items() if figure is not None}
    names = {column.key: prefix + column.key for column in columns}
    if not known and not footnotes.undefined(group, *names.values()):
        return None
    cells = {key: Cell(str(figure), figure.mean) for key, figure in known.items()}
    label = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group)))
    cells = footnotes.marked({"method": label, **cells}, group, names, notes)
    data: dict[str, Any] = {"method": group.method, "label": group.label, "seeds": len(group.runs)}
    for key, figure in found.items():
        data[key] = figure.mean if figure else None
        data[f"{key}_sd"] = figure.sd if figure else None
    return TableRow(cells, {**data, **footnotes.in_data(group, names.values())})
