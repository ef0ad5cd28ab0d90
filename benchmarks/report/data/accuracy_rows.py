"""Rows of the accuracy tables: a group beside what the paper has, and what is not there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.evaluator.metric_names import FEATURES, KNN, LINEAR, MEMORY, Metric
from benchmarks.report.data import ablation, aggregate, csv_row, recipe_facts
from benchmarks.report.data.ablation import signed
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import Cell, Column, Notes, TableRow, in_seconds, interval
from benchmarks.report.text import footnotes
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

LOSS = Column("loss", "Loss, last epoch", "Loss", required=True)
_TITLES = {MEMORY: ("Memory-bank", "Memory"), FEATURES: ("Pooled-feature", "Pooled")}
"""How columns call the suite's own further representations."""
_BOUND = (
    "Learns from the labels of the training images: an upper bound, never the best of the others."
)


@dataclass(frozen=True)
class Line:
    """What is known of one row before its groups are looked at."""

    published: Mapping[Metric, float | None]
    """The paper's values, by what the table states."""
    change: float | None = None
    """The paper's value against the table's reference."""
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
class Page:
    """What the rows of a table share."""

    comparison: Comparison
    commands: Commands
    notes: Notes = field(default_factory=Notes)


def group_row(group: Group, line: Line, page: Page) -> TableRow:
    """Return the row of a group: what it measured beside what the paper states of it."""
    data = _data(group, line, page.comparison)
    label = Cell(line.name, code=group.label, notes=line.notes)
    if not group.runs:
        reason = "; ".join(dict.fromkeys(f.message for f in group.failures))
        return TableRow(line.cells(label), data, status="failed", remedy=reason)
    notes = line.notes + page.notes.add(
        *[_BOUND] * group.uses_labels, *footnotes.of_group(group, page.comparison)
    )
    notes += page.notes.add(*_shortfall(group, page.comparison, page.commands))
    change = ablation.measured_change(group, line.references, page.comparison.key)
    cells = line.cells(replace(label, notes=notes)) | ablation.cells(line.change, change)
    for metric, published in line.published.items():
        measured = aggregate.final(group, page.comparison.name_of(metric))
        cells |= _measured_cells(metric, measured, published)
    best = aggregate.best(group, page.comparison.key)
    if best is not None:
        cells["best"] = Cell(str(best), best.mean, aside=_epochs(group))
    for key, value in _side_values(group, page.comparison).items():
        if value is not None:
            cells[key] = Cell(_loss(value) if key == LOSS.key else str(value), value.mean)
    shown = _metrics(line, page.comparison)
    cells = footnotes.marked(cells, group, shown, page.notes)
    return TableRow(
        {**cells, **_effort(group)}, {**data, **footnotes.in_data(group, shown.values())}
    )


def side_columns(comparison: Comparison) -> dict[Column, str]:
    """Return the columns beside the headline's, and the metric of the records that each shows.

    They are the headline by each further representation, and a linear classifier of each.
    """
    metric, found = comparison.headline, {}
    order = dict.fromkeys((MEMORY, FEATURES, *comparison.others))
    others = [name for name in order if name != comparison.representation]
    for representation in others:
        title, short = _TITLES.get(representation, (f"{representation}:", representation))
        short = short if metric == KNN else f"{short}\n{metric.published}"
        name = metric.of(representation)
        found[Column(name, f"{title} {metric.published}", short)] = name
    if metric == KNN:
        found[Column(LINEAR.name, "Linear SVM", "Linear")] = comparison.name_of(LINEAR)
        for representation in others:
            title, short = _TITLES.get(representation, (f"{representation}:", representation))
            name = LINEAR.of(representation)
            found[Column(name, f"{title} linear SVM", f"Linear,\n{short.lower()}")] = name
    return found


def _metrics(line: Line, comparison: Comparison) -> dict[str, str]:
    """Return the metric of the records that each measured column shows."""
    side = {column.key: name for column, name in side_columns(comparison).items()}
    return {f"measured{m.suffix}": comparison.name_of(m) for m in line.published} | side


def _side_values(group: Group, comparison: Comparison) -> dict[str, Spread | None]:
    named = {column.key: name for column, name in side_columns(comparison).items()}
    return {
        key: aggregate.final(group, name) for key, name in {**named, LOSS.key: LOSS.key}.items()
    }


def _measured_cells(
    metric: Metric, measured: Spread | None, published: float | None
) -> dict[str, Cell]:
    if measured is None:
        return {}
    cells = {f"measured{metric.suffix}": Cell(str(measured), measured.mean)}
    if published is not None:
        gap = measured.mean - published
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


def _loss(value: Spread) -> str:
    return f"{value.mean:.3f}" + ("" if value.sd is None else f" ± {value.sd:.3f}")


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


def missing_row(row: paper_tables.Row, line: Line, page: Page) -> TableRow:
    """Return a row of which nothing was run, with the command that runs it."""
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


def quoted_row(
    table: paper_tables.Table, row: paper_tables.Row, line: Line, page: Page
) -> TableRow:
    """Return a row whose values the paper quotes and the suite cannot measure."""
    note = page.notes.add(f"Quoted from the paper: {paper_tables.published_note(table, row)}.")
    label = Cell(f"{row.published} (quoted, {row.quoted})", notes=line.notes + note)
    data = _data(Group("", {}, {}, split=row.split or ""), line, page.comparison)
    return TableRow(line.cells(label), {**data, "status": "quoted"})


def _data(group: Group, line: Line, comparison: Comparison) -> dict[str, Any]:
    """Return the row in plain numbers."""
    status = "measured" if group.runs else "failed" if group.failures else "missing"
    marks = {"partial": comparison.partial, "uses_labels": group.uses_labels}
    return {
        "method": group.method,
        "published_name": line.name,
        "hyper_parameters": json.dumps(dict(group.hyper_parameters), sort_keys=True),
        "recipe_changed": json.dumps(dict(group.ablation), sort_keys=True),
        "split": group.split,
        "status": status,
        **_stated(group, line, comparison),
        **csv_row.numbers(_side_values(group, comparison)),
        **csv_row.numbers(
            {
                "best": aggregate.best(group, comparison.key),
                "train_seconds": aggregate.spread(run.record.seconds.train for run in group.runs),
            }
        ),
        "epochs": max((run.record.final.epoch for run in group.runs), default=None),
        "seeds": " ".join(map(str, group.seeds)),
        "representation": group.representation if group.runs else "",
        "protocol": group.protocol,
        "dataset": comparison.dataset_name,
        "recipe": comparison.label,
        "failures": "; ".join(f"seed {f.seed}: {f.message}" for f in group.failures),
        "command": "",
        "runs": " ".join(run.folder.name for run in group.runs),
        **{name: True for name, marked in marks.items() if marked},
    }


def _stated(group: Group, line: Line, comparison: Comparison) -> dict[str, float | None]:
    """Return what the paper states, what was measured, their differences and the changes."""
    stated: dict[str, float | None] = {}
    for metric, published in line.published.items():
        measured = aggregate.final(group, comparison.name_of(metric))
        stated[f"published{metric.suffix}"] = published
        stated |= csv_row.numbers({f"measured{metric.suffix}": measured})
        stated[f"difference{metric.suffix}"] = (
            None if measured is None or published is None else measured.mean - published
        )
    if line.references or line.change is not None:
        stated[ablation.PUBLISHED] = line.change
        change = ablation.measured_change(group, line.references, comparison.key)
        stated |= csv_row.numbers({ablation.MEASURED: change})
    return stated
