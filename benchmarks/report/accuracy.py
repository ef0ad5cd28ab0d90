"""The accuracy tables: Table 1 of the paper, and the same for other data sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import tables
from benchmarks.report import measures, recipe_facts, remarks
from benchmarks.report.commands import Commands
from benchmarks.report.layout import Cell, Column, Notes, Table, TableRow, in_seconds, interval
from benchmarks.report.select import Comparison, Group, beyond_recipe, named

COLUMNS = (
    Column("method", "Method", numeric=False, given=True),
    Column("published", "Published", given=True),
    Column("measured", "Measured, last epoch", "Measured", required=True),
    Column("difference", "Difference", "Diff."),
    Column("best", "Best epoch (chosen on the test set)", "Best"),
    Column("memory_knn", "Memory-bank kNN", "Memory"),
    Column("pooled_knn", "Pooled-feature kNN", "Pooled"),
    Column("epochs", "Epochs"),
    Column("seeds", "Seeds"),
    Column("seconds", "Train seconds", "Seconds"),
)
UNLABELLED_COLUMNS = (
    COLUMNS[0],
    Column("loss", "Loss, last epoch", "Loss", required=True),
    *COLUMNS[-3:],
)


def paper_table(table: tables.Table, comparison: Comparison, commands: Commands) -> Table:
    """Return a table of the paper with published and measured figures side by side."""
    notes = Notes()
    rows: list[TableRow] = []
    placed: set[int] = set()
    for row in table.rows:
        known = notes.add(*remarks.of_method(row.method))
        published = tables.published_value(table, row)
        fitting = [g for g in comparison.groups if _fills(g, row, comparison.recipe)]
        placed.update(map(id, fitting))
        for group in fitting:
            label = Cell(row.published, code=group.label, notes=known)
            rows.append(_row(group, label, comparison, notes, published, commands))
        if not fitting:
            command = commands.methods(comparison, [row.method], row.hyper_parameters)
            label = Cell(row.published, code=named(row.method, row.hyper_parameters), notes=known)
            rows.append(_missing(row, label, published, command, comparison))
    others = [g for g in comparison.groups if id(g) not in placed]
    rows += [_row(g, Cell("", code=g.label), comparison, notes, None, commands) for g in others]
    return Table(
        slug=f"table-{table.number}-{comparison.slug}",
        caption=f"Table {table.number} of the paper, {table.title}: {_marks(comparison)}",
        columns=COLUMNS,
        rows=_with_best(rows),
        caution=_caution(comparison),
        notes=tuple(notes.texts),
        remarks=tuple(_missing_rows(table, comparison, rows, commands)),
    )


def plain_table(comparison: Comparison, commands: Commands) -> Table:
    """Return the table of a data set that the paper has no figures for."""
    notes = Notes()
    rows = [
        _row(g, Cell("", code=g.label), comparison, notes, None, commands)
        for g in comparison.groups
    ]
    images = comparison.dataset
    unlabelled = images is not None and not (images.labelled and images.test_images)
    subject = "Loss" if unlabelled else "kNN accuracy (%)"
    return Table(
        slug=recipe_facts.slug(f"table {comparison.dataset_name} {comparison.slug}"),
        caption=f"{subject} on {comparison.dataset_name}: {_marks(comparison)}",
        columns=UNLABELLED_COLUMNS if unlabelled else COLUMNS,
        rows=_with_best(rows),
        notes=tuple(notes.texts),
        remarks=tuple(_plain_remarks(comparison, commands, unlabelled)),
    )


def _fills(group: Group, row: tables.Row, recipe: Mapping[str, Any]) -> bool:
    own = row.hyper_parameters
    return (
        group.method == row.method
        and all(group.hyper_parameters.get(k) == v for k, v in own.items())
        and set(beyond_recipe(group, recipe)) <= set(own)
    )


def _marks(comparison: Comparison) -> str:
    seeds = sorted({run.record.seed for run in comparison.runs})
    protocols = sorted({g.protocol for g in comparison.groups if g.protocol})
    words = [f"recipe {comparison.label}"]
    words += [f"protocol {' and '.join(protocols)}"] if protocols else []
    words += [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    return "; ".join(words)


def _row(
    group: Group,
    name: Cell,
    comparison: Comparison,
    notes: Notes,
    published: float | None,
    commands: Commands,
) -> TableRow:
    data = _data(group, name.text, published, comparison)
    if not group.runs:
        reason = "; ".join(dict.fromkeys(f.message for f in group.failures))
        cells = {"method": name, **_published_cell(published)}
        return TableRow(cells, data, status="failed", remedy=reason)
    shortfall = notes.add(*_shortfall(group, comparison, commands))
    cells = {
        "method": replace(name, notes=name.notes + shortfall),
        **_published_cell(published),
    }
    knn, best = measures.final_knn(group), measures.best_knn(group)
    if knn is not None:
        cells["measured"] = Cell(str(knn), knn.mean)
        if published is not None:
            gap = knn.mean - published
            cells["difference"] = Cell(f"{gap:+.1f}".replace("-", "−"), gap)
    if best is not None:
        cells["best"] = Cell(str(best), best.mean, aside=_epochs(group))
    for key in ("memory_knn", "pooled_knn", "loss"):
        figure = measures.side_figure(group, key)
        if figure is not None:
            cells[key] = Cell(_loss(figure) if key == "loss" else str(figure), figure.mean)
    return TableRow({**cells, **_effort(group)}, data)


def _shortfall(group: Group, comparison: Comparison, commands: Commands) -> list[str]:
    """Say which seeds failed, and how to run those that other groups have."""
    texts = [f"Seed {failure.seed} failed: {failure.message}" for failure in group.failures]
    if len(group.runs) + len(texts) < comparison.seeds:
        command = commands.methods(comparison, [group.method], group.changed)
        texts.append(f"{len(group.runs)} of {comparison.seeds} seeds; the others: `{command}`")
    return texts


def _published_cell(published: float | None) -> dict[str, Cell]:
    return {} if published is None else {"published": Cell(f"{published:.1f}", published)}


def _epochs(group: Group) -> str:
    epochs = {run.record.best.epoch for run in group.runs if run.record.best}
    return f"epoch{'s' * (len(epochs) > 1)} {interval(epochs)}"


def _loss(figure: measures.Spread) -> str:
    return f"{figure.mean:.3f}" + ("" if figure.sd is None else f" ± {figure.sd:.3f}")


def _effort(group: Group) -> dict[str, Cell]:
    epochs = {run.record.final.epoch for run in group.runs}
    seconds = measures.spread(run.record.seconds.train for run in group.runs)
    cells = {
        "epochs": Cell(interval(epochs), max(epochs)),
        "seeds": Cell(str(len(group.runs)), len(group.runs)),
    }
    if seconds is not None:
        cells["seconds"] = Cell(in_seconds(seconds.mean), seconds.mean)
    return cells


def _missing(
    row: tables.Row, name: Cell, published: float | None, command: str, comparison: Comparison
) -> TableRow:
    group = Group(row.method, row.hyper_parameters, row.hyper_parameters)
    data = {**_data(group, row.published, published, comparison), "command": command}
    cells = {"method": name, **_published_cell(published)}
    return TableRow(cells, data, status="missing", remedy=command)


def _data(
    group: Group, published_name: str, published: float | None, comparison: Comparison
) -> dict[str, Any]:
    """Return the row in plain numbers."""
    figures = {
        "measured": measures.final_knn(group),
        "best": measures.best_knn(group),
        "memory_knn": measures.side_figure(group, "memory_knn"),
        "pooled_knn": measures.side_figure(group, "pooled_knn"),
        "loss": measures.side_figure(group, "loss"),
        "train_seconds": measures.spread(run.record.seconds.train for run in group.runs),
    }
    measured = figures["measured"]
    status = "measured" if group.runs else "failed" if group.failures else "missing"
    spreads = {
        name: value
        for key, figure in figures.items()
        for name, value in (
            (key, figure.mean if figure else None),
            (f"{key}_sd", figure.sd if figure else None),
        )
    }
    return {
        "method": group.method,
        "published_name": published_name,
        "hyper_parameters": json.dumps(dict(group.hyper_parameters), sort_keys=True),
        "status": status,
        "published": published,
        **spreads,
        "difference": measured.mean - published if measured and published is not None else None,
        "epochs": max((run.record.final.epoch for run in group.runs), default=None),
        "seeds": " ".join(map(str, group.seeds)),
        "protocol": group.protocol,
        "dataset": comparison.dataset_name,
        "recipe": comparison.label,
        "failures": "; ".join(f"seed {f.seed}: {f.message}" for f in group.failures),
        "command": "",
        "runs": " ".join(run.folder.name for run in group.runs),
    }


def _with_best(rows: Sequence[TableRow]) -> tuple[TableRow, ...]:
    """Mark the row with the highest last-epoch figure."""
    heights = [row.cells.get("measured", Cell()).value for row in rows]
    top = max((h for h in heights if h is not None), default=None)
    return tuple(
        replace(row, best=top is not None and height == top)
        for row, height in zip(rows, heights, strict=True)
    )


def _caution(comparison: Comparison) -> str:
    unlike = recipe_facts.differences(comparison.recipe)
    if not unlike:
        return ""
    fields = "; ".join(
        f"{k} = {recipe_facts.shown(here, k)} (paper: {recipe_facts.shown(paper, k)})"
        for k, (here, paper) in unlike.items()
    )
    return (
        "Not the paper's recipe: the difference to the published figure is not a reproduction gap. "
        f"What differs: {fields}."
    )


def _missing_rows(
    table: tables.Table, comparison: Comparison, rows: Sequence[TableRow], commands: Commands
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
    rest = list(dict.fromkeys(row.method for row in tables.TABLES[1].rows if row.method not in ran))
    if rest:
        texts.append(f"Missing here; to fill: `{commands.methods(comparison, rest)}`")
    return texts
