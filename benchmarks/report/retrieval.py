"""Retrieval and clustering of the test images: neighbours and clusters against classes."""

import re
from typing import Any

from benchmarks.report import measures, recipe_facts, remarks
from benchmarks.report.commands import Commands
from benchmarks.report.layout import METHOD, Cell, Chapter, Column, Table, TableRow
from benchmarks.report.measures import Spread
from benchmarks.report.select import Comparison, Group

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
    names = {name for run in comparison.runs for name in run.record.final.figures}
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
    rows = [row for group in comparison.groups if (row := _row(group, columns, prefix)) is not None]
    if not rows:
        return None
    return Table(
        slug=recipe_facts.slug(name),
        caption=caption,
        columns=(METHOD, *columns),
        rows=tuple(rows),
        remarks=() if prefix else tuple(remarks.retrieval()),
    )


def _row(group: Group, columns: tuple[Column, ...], prefix: str) -> TableRow | None:
    found: dict[str, Spread | None] = {
        column.key: measures.side_figure(group, prefix + column.key) for column in columns
    }
    known = {key: figure for key, figure in found.items() if figure is not None}
    if not known:
        return None
    cells = {key: Cell(str(figure), figure.mean) for key, figure in known.items()}
    data: dict[str, Any] = {"method": group.method, "label": group.label, "seeds": len(group.runs)}
    for key, figure in found.items():
        data[key] = figure.mean if figure else None
        data[f"{key}_sd"] = figure.sd if figure else None
    return TableRow({"method": Cell("", code=group.label), **cells}, data)
