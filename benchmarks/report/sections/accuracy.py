"""The accuracy tables: those of the paper, and the same for other data sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.report.data import aggregate, paper_rows, recipe_facts
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import (
    METHOD,
    Cell,
    Chapter,
    Column,
    Notes,
    Table,
    TableRow,
    in_seconds,
    interval,
)
from benchmarks.report.sections import ablation
from benchmarks.report.sections.ablation import signed
from benchmarks.report.text import footnotes
from benchmarks.report.text import notes as remarks
from benchmarks.report.text.caveats import caution, cautioned_above
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

_MEASURED = Column("measured", "Measured, last epoch", "Measured", required=True)
_BEST = Column("best", "Best epoch (chosen on the test set)", "Best")
_SIDE = {
    paper_tables.KNN: (
        Column("memory_knn", "Memory-bank kNN", "Memory"),
        Column("pooled_knn", "Pooled-feature kNN", "Pooled"),
        Column("linear", "Linear SVM", "Linear"),
    ),
    paper_tables.RECALL_AT_1: (Column("pooled_recall_at_1", "Pooled-feature R@1", "Pooled\nR@1"),),
}
"""Further columns, by what methods are compared by."""
_EFFORT = (
    Column("epochs", "Epochs"),
    Column("seeds", "Seeds"),
    Column("seconds", "Train seconds", "Seconds"),
)
_FEW = 2
"""Figures of a table up to which each has its difference and a long title."""
_LOSS = Column("loss", "Loss, last epoch", "Loss", required=True)
_BOUND = (
    "Learns from the labels of the training images: an upper bound, never the best of the others."
)


@dataclass(frozen=True)
class _Line:
    """What is known of one row before its groups are looked at."""

    published: Mapping[paper_tables.Metric, float | None]
    """The paper's figures, by what the table states."""
    change: float | None = None
    """The paper's figure against the table's reference."""
    references: Sequence[Group] = ()
    """The groups that fill the table's reference."""
    name: str = ""
    """In the paper."""
    notes: tuple[int, ...] = ()

    def cells(self, label: Cell) -> dict[str, Cell]:
        """Return the cells that stand before anything is run."""
        found = {"method": label, **ablation.cells(self.change, None)}
        for metric, value in self.published.items():
            if value is not None:
                found[f"published{metric.suffix}"] = Cell(f"{value:.1f}", value)
        return found


@dataclass(frozen=True)
class _Page:
    """What the rows of a table share."""

    comparison: Comparison
    commands: Commands
    notes: Notes = field(default_factory=Notes)


def chapter(comparison: Comparison, commands: Commands) -> Chapter:
    """Return the paper's tables on the comparison's data set, or a plain one.

    Of a comparison in which something was run, a table of which nothing was run is only named.
    """
    in_paper = comparison.paper_tables
    if not in_paper:
        return Chapter(tables=(plain_table(comparison, commands),))
    begun = [table for table in in_paper if paper_rows.begun(table, comparison)] or in_paper
    made = [paper_table(table, comparison, commands) for table in begun]
    absent = [table.number for table in in_paper if table not in begun]
    if absent:
        command = commands.table(comparison, *absent)
        text = f"{not_run(absent, 'this recipe')}; to run: `{command}`"
        made[-1] = replace(made[-1], remarks=(*made[-1].remarks, text))
    return Chapter(tables=(made[0], *map(cautioned_above, made[1:])))


def not_run(numbers: Sequence[int], recipe: str) -> str:
    """Return that tables have not been run, such as "Tables 7 and 8 have not been run with it"."""
    *first, last = map(str, numbers)
    which = f"Tables {', '.join(first)} and {last} have" if first else f"Table {last} has"
    return f"{which} not been run with {recipe}"


def paper_table(table: paper_tables.Table, comparison: Comparison, commands: Commands) -> Table:
    """Return a table of the paper with published and measured figures side by side."""
    page = _Page(comparison, commands)
    filled = paper_rows.filled(table, comparison)
    references = next((g for row, g in filled if row.published == table.reference), [])
    rows: list[TableRow] = []
    for row, groups in filled:
        line = _Line(
            published={m: paper_tables.published_value(table, row, m) for m in table.metrics},
            change=ablation.published_change(table, row),
            references=references,
            name=row.published,
            notes=page.notes.add(*remarks.of_row(table, row)),
        )
        if row.quoted:
            rows.append(_quoted(table, row, line, page))
        elif groups:
            rows += [_row(group, line, page) for group in groups]
        else:
            rows.append(_missing(row, line, page))
    unnamed = _Line(dict.fromkeys(table.metrics), references=references)
    rows += [_row(group, unnamed, page) for group in paper_rows.further(table, comparison)]
    return Table(
        slug=f"table-{table.number}-{comparison.slug}",
        caption=f"Table {table.number} of the paper, {table.title}: {_marks(comparison)}",
        columns=_columns(table),
        rows=_with_best(rows),
        caution=caution(comparison),
        notes=tuple(page.notes.texts),
        remarks=(*remarks.of_table(table), *_missing_rows(table, comparison, rows, commands)),
    )


def _columns(table: paper_tables.Table) -> tuple[Column, ...]:
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
    stated = {metric.figure for metric in table.metrics}
    # With the changes beside it, an ablation is read on one quantity.
    kept = () if table.reference else _SIDE[table.headline]
    side = (column for column in kept if column.key not in stated)
    return (METHOD, *published, *measured, *differences, _BEST, *side, *_EFFORT)


def plain_table(comparison: Comparison, commands: Commands) -> Table:
    """Return the table of a data set that the paper has no figures for."""
    page = _Page(comparison, commands)
    headline = comparison.headline
    rows = [_row(group, _Line({headline: None}), page) for group in comparison.groups]
    images = comparison.dataset
    unlabelled = images is not None and not (images.labelled and images.test_images)
    subject = "Loss" if unlabelled else f"{headline.words} (%)"
    shown = (_LOSS,) if unlabelled else (_MEASURED, _BEST, *_SIDE[headline])
    return Table(
        slug=recipe_facts.slug(f"table {comparison.dataset_name} {comparison.slug}"),
        caption=f"{subject} on {comparison.dataset_name}: {_marks(comparison)}",
        columns=(METHOD, *shown, *_EFFORT),
        rows=_with_best(rows),
        notes=tuple(page.notes.texts),
        remarks=tuple(_plain_remarks(comparison, commands, unlabelled)),
    )


def _marks(comparison: Comparison) -> str:
    seeds = sorted({run.record.seed for run in comparison.runs})
    protocols = sorted({g.protocol for g in comparison.groups if g.protocol})
    words = [f"recipe {comparison.label}"]
    words += [f"protocol {' and '.join(protocols)}"] if protocols else []
    words += [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    return "; ".join(words)


def _row(group: Group, line: _Line, page: _Page) -> TableRow:
    data = _data(group, line, page.comparison)
    label = Cell(line.name, code=group.label, notes=line.notes)
    if not group.runs:
        reason = "; ".join(dict.fromkeys(f.message for f in group.failures))
        return TableRow(line.cells(label), data, status="failed", remedy=reason)
    notes = line.notes + page.notes.add(*[_BOUND] * group.uses_labels, *footnotes.of_group(group))
    notes += page.notes.add(*_shortfall(group, page.comparison, page.commands))
    change = _change(group, line)
    cells = line.cells(replace(label, notes=notes)) | ablation.cells(line.change, change)
    for metric, published in line.published.items():
        cells |= _measured_cells(metric, aggregate.final(group, metric), published)
    best = aggregate.best(group)
    if best is not None:
        cells["best"] = Cell(str(best), best.mean, aside=_epochs(group))
    for key, figure in _side_figures(group, page.comparison).items():
        if figure is not None:
            cells[key] = Cell(_loss(figure) if key == "loss" else str(figure), figure.mean)
    shown = _metrics(line, page.comparison)
    cells = footnotes.marked(cells, group, shown, page.notes)
    return TableRow(
        {**cells, **_effort(group)}, {**data, **footnotes.in_data(group, shown.values())}
    )


def _metrics(line: _Line, comparison: Comparison) -> dict[str, str]:
    """Return the metric that each measured column shows."""
    side = (column.key for column in _SIDE[comparison.headline])
    return {f"measured{m.suffix}": m.figure for m in line.published} | {key: key for key in side}


def _change(group: Group, line: _Line) -> Spread | None:
    """Return the change from the reference, which is none of what else was evaluated."""
    alike = [reference for reference in line.references if reference.own == group.own]
    return ablation.measured_change(group, alike)


def _side_figures(group: Group, comparison: Comparison) -> dict[str, Spread | None]:
    keys = [column.key for column in (*_SIDE[comparison.headline], _LOSS)]
    return {key: aggregate.side_figure(group, key) for key in keys}


def _measured_cells(
    metric: paper_tables.Metric, figure: Spread | None, published: float | None
) -> dict[str, Cell]:
    if figure is None:
        return {}
    cells = {f"measured{metric.suffix}": Cell(str(figure), figure.mean)}
    if published is not None:
        gap = figure.mean - published
        cells[f"difference{metric.suffix}"] = Cell(signed(gap), gap)
    return cells


def _shortfall(group: Group, comparison: Comparison, commands: Commands) -> list[str]:
    """Say which seeds failed, and how to run those that other groups have."""
    texts = [f"Seed {failure.seed} failed: {failure.message}" for failure in group.failures]
    if len(group.runs) + len(texts) < comparison.seeds:
        command = commands.methods(
            comparison, [group.method], group.changed, group.ablation, group.split
        )
        texts.append(f"{len(group.runs)} of {comparison.seeds} seeds; the others: `{command}`")
    return texts


def _epochs(group: Group) -> str:
    epochs = {run.record.best.epoch for run in group.runs if run.record.best}
    return f"epoch{'s' * (len(epochs) > 1)} {interval(epochs)}"


def _loss(figure: Spread) -> str:
    return f"{figure.mean:.3f}" + ("" if figure.sd is None else f" ± {figure.sd:.3f}")


def _effort(group: Group) -> dict[str, Cell]:
    epochs = {run.record.final.epoch for run in group.runs}
    seconds = aggregate.spread(run.record.seconds.train for run in group.runs)
    cells = {
        "epochs": Cell(interval(epochs), max(epochs)),
        "seeds": Cell(str(len(group.runs)), len(group.runs)),
    }
    if seconds is not None:
        cells["seconds"] = Cell(in_seconds(seconds.mean), seconds.mean)
    return cells


def _missing(row: paper_tables.Row, line: _Line, page: _Page) -> TableRow:
    comparison = page.comparison
    asked = Group(row.method, row.hyper_parameters, row.hyper_parameters)
    asked = replace(asked, split=row.split or asked.split, ablation=recipe_facts.plain(row.recipe))
    command = page.commands.methods(
        comparison, [row.method], row.hyper_parameters, row.recipe, row.split
    )
    words = recipe_facts.ablation(asked.ablation, comparison.recipe)
    name = recipe_facts.named(row.method, row.hyper_parameters)
    code = ", ".join(word for word in (name, words) if word)
    cells = line.cells(Cell(row.published, code=code, notes=line.notes))
    data = {**_data(asked, line, comparison), "command": command}
    return TableRow(cells, data, status="missing", remedy=command)


def _quoted(table: paper_tables.Table, row: paper_tables.Row, line: _Line, page: _Page) -> TableRow:
    note = page.notes.add(f"Quoted from the paper: {paper_tables.published_note(table, row)}.")
    label = Cell(f"{row.published} (quoted, {row.quoted})", notes=line.notes + note)
    data = _data(Group("", {}, {}, split=row.split or ""), line, page.comparison)
    return TableRow(line.cells(label), {**data, "status": "quoted"})


def _data(group: Group, line: _Line, comparison: Comparison) -> dict[str, Any]:
    """Return the row in plain numbers."""
    status = "measured" if group.runs else "failed" if group.failures else "missing"
    stated: dict[str, Any] = {}
    for metric, published in line.published.items():
        figure = aggregate.final(group, metric)
        stated[f"published{metric.suffix}"] = published
        stated |= _spread_data(f"measured{metric.suffix}", figure)
        stated[f"difference{metric.suffix}"] = (
            figure.mean - published if figure and published is not None else None
        )
    if line.references or line.change is not None:
        stated[ablation.PUBLISHED] = line.change
        change = _change(group, line)
        stated |= _spread_data(ablation.MEASURED, change)
    seconds = aggregate.spread(run.record.seconds.train for run in group.runs)
    for key, figure in _side_figures(group, comparison).items():
        stated |= _spread_data(key, figure)
    marks = {
        "partial": comparison.partial,
        "uses_labels": group.uses_labels,
        "own_features": group.own,
    }
    return {
        "method": group.method,
        "published_name": line.name,
        "hyper_parameters": json.dumps(dict(group.hyper_parameters), sort_keys=True),
        "recipe_changed": json.dumps(dict(group.ablation), sort_keys=True),
        "split": group.split,
        "status": status,
        **stated,
        **_spread_data("best", aggregate.best(group)),
        **_spread_data("train_seconds", seconds),
        "epochs": max((run.record.final.epoch for run in group.runs), default=None),
        "seeds": " ".join(map(str, group.seeds)),
        "protocol": group.protocol,
        "dataset": comparison.dataset_name,
        "recipe": comparison.label,
        "failures": "; ".join(f"seed {f.seed}: {f.message}" for f in group.failures),
        "command": "",
        "runs": " ".join(run.folder.name for run in group.runs),
        **{name: True for name, marked in marks.items() if marked},
    }


def _spread_data(name: str, figure: Spread | None) -> dict[str, float | None]:
    return {name: figure.mean if figure else None, f"{name}_sd": figure.sd if figure else None}


def _with_best(rows: Sequence[TableRow]) -> tuple[TableRow, ...]:
    """Mark the row with the highest last-epoch metric of those that may be ranked."""
    unranked = ("uses_labels", "own_features")
    heights = [
        None if any(map(row.data.get, unranked)) else row.cells.get("measured", Cell()).value
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
    return [f"{count} missing; to fill: `{commands.table(comparison, table.number)}`"]


def _plain_remarks(comparison: Comparison, commands: Commands, unlabelled: bool) -> list[str]:
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
