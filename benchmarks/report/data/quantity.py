"""Metrics as tables and plots show them, and rows of several of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.evaluator import metric_names
from benchmarks.report.data import aggregate, csv_row
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import METHOD, Cell, Column, Notes, TableRow
from benchmarks.report.text import footnotes

SEEDS = Column("seeds", "Seeds")


@dataclass(frozen=True)
class Quantity:
    """A metric of a run's record as tables and plots show it."""

    key: str
    """Its name in records, without the representation."""
    title: str
    short: str = ""
    decimals: int = 3

    @property
    def column(self) -> Column:
        """The column that shows it."""
        return Column(self.key, self.title, self.short)

    @property
    def words(self) -> str:
        """The title inside a sentence, without unit and arrow."""
        return self.title.lower().split(" (")[0].rstrip(" ↓↑")

    def of(self, group: Group, representation: str) -> Spread | None:
        """Return its mean and deviation over the seeds, or None if no run has it."""
        return aggregate.final(group, metric_names.of(self.key, representation))

    def cell(self, value: Spread) -> Cell:
        """Return its mean, with the deviation if there is one."""
        numbers = [value.mean] if value.sd is None else [value.mean, value.sd]
        text = " ± ".join(f"{number:.{self.decimals}f}" for number in numbers)
        return Cell(text.replace("-", "−"), value.mean)


def quantity_row(
    group: Group,
    values: Mapping[Quantity, Spread],
    comparison: Comparison,
    shown: Iterable[Quantity],
    notes: Notes,
) -> TableRow:
    """Return a row of a group's metrics, with means and deviations in its plain numbers.

    Args:
        group: whose row it is.
        values: of those metrics that have one.
        comparison: that the group is part of.
        shown: all metrics of the table; those without a value are footnoted.
        notes: of the table.
    """
    seeds = max((value.n for value in values.values()), default=len(group.runs))
    label = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group, comparison)))
    cells = {METHOD.key: label} | {q.key: q.cell(value) for q, value in values.items()}
    names = {q.key: metric_names.of(q.key, comparison.representation) for q in shown}
    return TableRow(
        cells={
            **footnotes.marked(cells, group, names, notes),
            SEEDS.key: Cell(str(seeds), seeds),
        },
        data={
            **csv_row.of_group(group),
            **csv_row.numbers({quantity.key: value for quantity, value in values.items()}),
            "seeds": seeds,
            **csv_row.origin(group, comparison),
            **footnotes.in_data(group, names.values()),
        },
    )
