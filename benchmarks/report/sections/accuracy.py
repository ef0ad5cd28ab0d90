"""The accuracy tables: those of the paper, and the same for other data sets."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.report.data import ablation, paper_rows, recipe_facts
from benchmarks.report.data.accuracy_rows import (
    LOSS,
    Line,
    Page,
    group_row,
    missing_row,
    quoted_row,
    side_columns,
)
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import METHOD, Cell, Column, Section, Table, TableRow
from benchmarks.report.text import notes as known
from benchmarks.report.text.caveats import caveat, refer_to_previous_caveat
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

_MEASURED = Column("measured", "Measured, last epoch", "Measured", required=True)
_BEST = Column("best", "Best epoch (chosen on the test set)", "Best")
_EFFORT = (
    Column("epochs", "Epochs"),
    Column("seeds", "Seeds"),
    Column("seconds", "Train seconds", "Seconds"),
)
_FEW = 2
"""Metrics of a table up to which each has its difference and a long title."""


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return the paper's tables on the comparison's data set, or a plain one.

    Of a comparison in which something was run, a table of which nothing was run is only named.
    """
    in_paper = comparison.paper_tables
    if not in_paper:
        return Section(tables=(plain_table(comparison, commands),))
    begun = [table for table in in_paper if paper_rows.begun(table, comparison)] or in_paper
    made = [paper_table(table, comparison, commands) for table in begun]
    absent = [table.id for table in in_paper if table not in begun]
    if absent:
        command = commands.table(comparison, *absent)
        text = f"{not_run(absent, 'this recipe')}; to run: `{command}`"
        made[-1] = replace(made[-1], general_notes=(*made[-1].general_notes, text))
    return Section(tables=(made[0], *map(refer_to_previous_caveat, made[1:])))


def not_run(tables: Sequence[str], recipe: str) -> str:
    """Return that tables have not been run, such as "Tables 7 and 8 have not been run with it"."""
    *first, last = tables
    which = f"Tables {', '.join(first)} and {last} have" if first else f"Table {last} has"
    return f"{which} not been run with {recipe}"


def paper_table(table: paper_tables.Table, comparison: Comparison, commands: Commands) -> Table:
    """Return a table of the paper with published and measured values side by side."""
    page = Page(comparison, commands)
    filled = paper_rows.filled(table, comparison)
    references = next((g for row, g in filled if row.published == table.reference), [])
    rows: list[TableRow] = []
    for row, groups in filled:
        line = Line(
            published={m: paper_tables.published_value(table, row, m) for m in table.metrics},
            change=ablation.published_change(table, row),
            references=references,
            name=row.published,
            notes=page.notes.add(*known.of_row(table, row)),
        )
        if row.quoted:
            rows.append(quoted_row(table, row, line, page))
        elif groups:
            rows += [group_row(group, line, page) for group in groups]
        else:
            rows.append(missing_row(row, line, page))
    unnamed = Line(dict.fromkeys(table.metrics), references=references)
    rows += [group_row(group, unnamed, page) for group in paper_rows.further(table, comparison)]
    return Table(
        slug=f"table-{recipe_facts.slug(table.id)}-{comparison.slug}",
        caption=f"{table.heading}: {_marks(comparison)}",
        columns=_columns(table, comparison),
        rows=_with_best(rows),
        caveat=caveat(comparison),
        notes=tuple(page.notes.texts),
        general_notes=(*known.of_table(table), *_missing_rows(table, comparison, rows, commands)),
    )


def _columns(table: paper_tables.Table, comparison: Comparison) -> tuple[Column, ...]:
    published, measured, differences = [], [], []
    several, many = len(table.metrics) > 1, len(table.metrics) > _FEW
    source, when, gap = ("Published", ", last epoch", "Difference")
    if many:
        source, when, gap = ("Paper", "", "Diff.")
    for metric in table.metrics:
        name, line = (f" {metric.published}", f"\n{metric.published}") if several else ("", "")
        own = metric.suffix
        paper = Column(f"published{own}", f"{source}{name}", f"{source}{line}", given=True)
        here = Column(f"measured{own}", f"Measured{name}{when}", f"Measured{line}", required=True)
        published.append(paper)
        measured.append(here)
        if not many or metric == table.headline:
            differences.append(Column(f"difference{own}", f"{gap}{name}", f"Diff.{line}"))
    if table.reference:
        published_change, measured_change = ablation.columns(table)
        published.append(published_change)
        differences.append(measured_change)
    stated = {metric.name for metric in table.metrics}
    # With the changes beside it, an ablation is read on one quantity.
    kept = () if table.reference else side_columns(comparison)
    side = (column for column in kept if column.key not in stated)
    return (METHOD, *published, *measured, *differences, _BEST, *side, *_EFFORT)


def plain_table(comparison: Comparison, commands: Commands) -> Table:
    """Return the table of a data set that the paper has no values for."""
    page = Page(comparison, commands)
    headline = comparison.headline
    rows = [group_row(group, Line({headline: None}), page) for group in comparison.groups]
    images = comparison.dataset
    unlabelled = images is not None and not (images.labelled and images.test_images)
    subject = "Loss" if unlabelled else f"{headline.words} (%)"
    shown = (LOSS,) if unlabelled else (_MEASURED, _BEST, *side_columns(comparison))
    return Table(
        slug=recipe_facts.slug(f"table {comparison.dataset_name} {comparison.slug}"),
        caption=f"{subject} on {comparison.dataset_name}: {_marks(comparison)}",
        columns=(METHOD, *shown, *_EFFORT),
        rows=_with_best(rows),
        notes=tuple(page.notes.texts),
        general_notes=tuple(_plain_notes(comparison, commands, unlabelled)),
    )


def _marks(comparison: Comparison) -> str:
    seeds = sorted({run.record.seed for run in comparison.runs})
    same = (g for g in comparison.groups if g.representation == comparison.representation)
    protocols = sorted({group.protocol for group in same if group.protocol})
    words = [f"recipe {comparison.label}"]
    words += [f"protocol {' and '.join(protocols)}"] if protocols else []
    words += [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    return "; ".join(words)


def _with_best(rows: Sequence[TableRow]) -> tuple[TableRow, ...]:
    """Mark the row with the highest last-epoch metric of those that may be ranked."""
    heights = [
        None if row.data.get("uses_labels") else row.cells.get("measured", Cell()).value
        for row in rows
    ]
    top = max((h for h in heights if h is not None), default=None)
    return tuple(
        replace(row, best=top is not None and height == top)
        for row, height in zip(rows, heights, strict=True)
    )


def _missing_rows(
    table: paper_tables.Table, comparison: Comparison, rows: Sequence[TableRow], commands: Commands
) -> list[str]:
    missing = sum(row.status == "missing" for row in rows)
    if not missing:
        return []
    count = "Every row is" if missing == len(rows) else f"{missing} rows are"
    count = "1 row is" if missing == 1 else count
    return [f"{count} missing; to fill: `{commands.table(comparison, table.id)}`"]


def _plain_notes(comparison: Comparison, commands: Commands, unlabelled: bool) -> list[str]:
    texts = []
    if unlabelled:
        texts.append(
            "There are no labelled test images to judge by, so only the loss is shown. Losses of "
            "different methods are different quantities: do not compare them."
        )
    ran = {group.method for group in comparison.groups}
    rest = list(
        dict.fromkeys(row.method for row in paper_tables.TABLES[1].rows if row.method not in ran)
    )
    if rest:
        texts.append(f"Missing here; to fill: `{commands.methods(comparison, rest)}`")
    return texts
