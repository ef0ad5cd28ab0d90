"""What a change costs: metrics against the row of a table that changes nothing."""

from collections.abc import Sequence

from benchmarks.report.data import aggregate
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Group
from benchmarks.report.document import Cell, Column
from benchmarks.runs import paper_tables

PUBLISHED, MEASURED = "published_change", "measured_change"


def columns(table: paper_tables.Table) -> tuple[Column, Column]:
    """Return the columns of the published and of the measured change."""
    against = f"change from {table.reference}"
    return (
        Column(PUBLISHED, f"Published {against}", "Change", given=True),
        Column(MEASURED, f"Measured {against}", "Change"),
    )


def published_change(table: paper_tables.Table, row: paper_tables.Row | None) -> float | None:
    """Return by how much a row's published value lies above that of the table's reference.

    None for the reference itself, for a table without one, and for what the paper does not have.
    """
    if row is None or row.published == table.reference:
        return None
    metric, reference = table.metrics[0], paper_tables.Row(table.reference)
    own = paper_tables.published_value(table, row, metric)
    usual = paper_tables.published_value(table, reference, metric)
    return None if own is None or usual is None else own - usual


def measured_change(group: Group, references: Sequence[Group], name: str) -> Spread | None:
    """Return by how much a group's metric lies above the reference's, seed by seed.

    Only seeds that both have count, so that what they have in common cancels. None for a reference
    itself, and where no seed is shared.

    Args:
        group: of which the change is.
        references: groups that fill the table's reference.
        name: of the metric, such as `knn@embedding`.
    """
    measured = group.precision, group.protocol
    alike = [other for other in references if (other.precision, other.protocol) == measured]
    if not alike or any(other is group for other in references):
        return None
    usual = {run.record.seed: run.record.value(name) for run in alike[0].runs}
    pairs = [(run.record.value(name), usual.get(run.record.seed)) for run in group.runs]
    return aggregate.spread(a - b for a, b in pairs if a is not None and b is not None)


def cells(published: float | None, measured: Spread | None) -> dict[str, Cell]:
    """Return the cells of the changes that are known."""
    found = {}
    if published is not None:
        found[PUBLISHED] = Cell(signed(published), published)
    if measured is not None:
        found[MEASURED] = Cell(signed(measured.mean, measured.sd), measured.mean)
    return found


def signed(mean: float, sd: float | None = None) -> str:
    """Return a difference with its sign, and the deviation if there is one."""
    text = f"{mean:+.1f}".replace("-", "−")
    return text if sd is None else f"{text} ± {sd:.1f}"
