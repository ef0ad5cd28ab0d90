"""Retrieval and clustering of the test images: neighbours and clusters against classes."""

from typing import Any

from benchmarks.report import measures, recipe_facts, remarks
from benchmarks.report.commands import Commands
from benchmarks.report.layout import Cell, Chapter, Column, Table, TableRow
from benchmarks.report.select import Comparison, Group

_RECALL = tuple(Column(f"recall_at_{k}", f"R@{k}") for k in (1, 2, 4, 8))
FIGURES = (
    *_RECALL,
    Column("map_at_r", "mAP@R"),
    Column("nmi", "NMI"),
    Column("nmi_geometric", "NMI (geometric)", "NMI,\ngeometric"),
    Column("ari", "ARI"),
    Column("clustering_accuracy", "Clustering accuracy", "Clustering\naccuracy"),
)
"""A column for each figure, under the name that records keep it by."""


def chapter(comparison: Comparison, commands: Commands) -> Chapter:
    """Return how well neighbours and clusters agree with the classes; empty if no run knows."""
    rows = [row for group in comparison.groups if (row := _row(group)) is not None]
    if not rows:
        return Chapter()
    table = Table(
        slug=recipe_facts.slug(f"retrieval {comparison.dataset_name} {comparison.slug}"),
        caption=f"Retrieval and clustering (%) on {comparison.dataset_name}, test images: "
        f"recipe {comparison.label}",
        columns=(Column("method", "Method", numeric=False, given=True), *FIGURES),
        rows=tuple(rows),
        remarks=tuple(remarks.retrieval()),
    )
    return Chapter(title="Retrieval and clustering", tables=(table,))


def _row(group: Group) -> TableRow | None:
    figures = {column.key: measures.side_figure(group, column.key) for column in FIGURES}
    known = {key: figure for key, figure in figures.items() if figure is not None}
    if not known:
        return None
    cells = {key: Cell(str(figure), figure.mean) for key, figure in known.items()}
    data: dict[str, Any] = {"method": group.method, "label": group.label, "seeds": len(group.runs)}
    for key, figure in figures.items():
        data[key] = figure.mean if figure else None
        data[f"{key}_sd"] = figure.sd if figure else None
    return TableRow({"method": Cell("", code=group.label), **cells}, data)
