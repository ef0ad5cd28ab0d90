"""Learning speed: the curves, and how long a method takes to reach a target accuracy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.report.data import aggregate, recipe_facts
from benchmarks.report.data.aggregate import Crossing
from benchmarks.report.data.comparison import Comparison, Group, beyond_recipe
from benchmarks.report.document import (
    METHOD,
    Cell,
    Column,
    Notes,
    Table,
    TableRow,
    in_seconds,
    interval,
)
from benchmarks.report.text import footnotes
from benchmarks.report.text import notes as remarks
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables

PUBLISHED_TARGET = 60.0
"""Percent; the target of section 4.1.1 of the paper."""
_QUANTITY = "epochs_to_60pct_kNN"
_STEP = 5.0


def shown_groups(comparison: Comparison) -> list[Group]:
    """Return the groups that have a learning curve, less the ablations."""
    return [group for group in comparison.unablated if len(aggregate.curve(group))]


def curves(comparison: Comparison) -> pd.DataFrame:
    """Return all learning curves of a comparison, a row per group and evaluated epoch."""
    frames = []
    for group in shown_groups(comparison):
        frame = aggregate.curve(group)
        frame.insert(0, "method", group.method)
        frame.insert(1, "label", group.label)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def published_epochs(method: str, source: str) -> float | None:
    """Return the paper's epochs to 60 %: "text_stated", or "digitised" from its Figure 3."""
    figures = paper_tables.published_figure_3()
    match = figures[
        (figures.source == source)
        & (figures.method == paper_tables.FIGURE_3.get(method))
        & (figures.quantity == _QUANTITY)
    ].value
    return None if match.empty else float(match.iloc[0])


def published_points(group: Group, comparison: Comparison) -> list[tuple[float, float]]:
    """Return (epoch, kNN) of the paper's Figure 3.

    None for a variant of the method, another network or fewer images.
    """
    unlike = set(recipe_facts.differences(comparison.recipe))
    if comparison.dataset_name != paper_tables.TABLES[1].dataset or unlike & {
        "backbone",
        "train_images",
    }:
        return []
    if beyond_recipe(group, comparison.recipe):
        return []
    figures, prefix = paper_tables.published_figure_3(), "kNN_at_epoch_"
    points = figures[
        (figures.method == paper_tables.FIGURE_3.get(group.method))
        & figures.quantity.str.startswith(prefix)
    ]
    epochs = points.quantity.str.removeprefix(prefix).astype(float)
    return sorted(zip(epochs, points.value.astype(float), strict=True))


def own_target(comparison: Comparison) -> float | None:
    """Return the highest multiple of 5 % that two trained methods reach at some epoch.

    None if there is none above the untrained network, where reaching it would mean nothing.
    """
    tops: dict[str, float] = {}
    for group in comparison.unablated:
        top = aggregate.highest(group)
        if group.trained and group.ranked and top is not None:
            tops[group.method] = max(top[0], tops.get(group.method, 0.0))
    untrained = [aggregate.final(g) for g in comparison.unablated if not g.trained]
    floor = max((figure.mean for figure in untrained if figure), default=0.0)
    if len(tops) < 2:
        return None
    target = math.floor(sorted(tops.values())[-2] / _STEP) * _STEP
    return target if target > floor else None


def slug(comparison: Comparison) -> str:
    """Return how the files on a comparison's learning speed are called."""
    return recipe_facts.slug(f"efficiency {comparison.dataset_name} {comparison.slug}")


def efficiency_table(comparison: Comparison, commands: Commands) -> Table | None:
    """Return epochs, images and seconds to the paper's target and to one of the comparison's.

    None if there is no target: the paper has no figures for the data set and no two methods share
    one.
    """
    in_paper = comparison.dataset_name == paper_tables.TABLES[1].dataset
    own = own_target(comparison)
    targets = [PUBLISHED_TARGET] if in_paper else []
    targets += [own] if own is not None and own not in targets else []
    if not targets:
        return None
    shown = shown_groups(comparison)
    groups = [g for g in comparison.unablated if not g.runs or (g.trained and g in shown)]
    notes = Notes()
    rows = [
        _row(g, targets, notes, usual=in_paper and not beyond_recipe(g, comparison.recipe))
        for g in groups
    ]
    if in_paper:
        ran = {group.method for group in comparison.unablated}
        rows += [_absent(m, comparison, commands) for m in paper_tables.FIGURE_3 if m not in ran]
    goal = " and ".join(f"{target:g} %" for target in targets)
    return Table(
        slug=slug(comparison),
        caption=f"Epochs, images and seconds to {goal} {comparison.headline.words} on "
        f"{comparison.dataset_name}: recipe {comparison.label}",
        columns=_columns(targets, in_paper),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(own, in_paper)),
    )


def _columns(targets: Sequence[float], in_paper: bool) -> tuple[Column, ...]:
    columns = [METHOD]
    if in_paper:
        columns += [
            Column(
                "text_stated",
                f"Paper's text, to {PUBLISHED_TARGET:g}\u00a0%",
                "Paper,\ntext",
                given=True,
            ),
            Column(
                "digitised",
                f"Paper's Figure 3, to {PUBLISHED_TARGET:g}\u00a0%",
                "Paper,\nFigure 3",
                given=True,
            ),
        ]
    for target in targets:
        goal = f"to {target:g}\u00a0%"
        columns += [
            Column(
                f"epochs_{target:g}", f"Measured epochs {goal}", f"Epochs\n{goal}", required=True
            ),
            Column(f"images_{target:g}", f"Images seen {goal}", f"Images\n{goal}"),
            Column(f"seconds_{target:g}", f"Train seconds {goal}", f"Seconds\n{goal}"),
        ]
    return tuple(columns)


def _published_cells(method: str) -> dict[str, Cell]:
    found = {source: published_epochs(method, source) for source in ("text_stated", "digitised")}
    return {k: Cell(f"{v:g}", v) for k, v in found.items() if v is not None}


def _row(group: Group, targets: Sequence[float], notes: Notes, usual: bool) -> TableRow:
    published = _published_cells(group.method) if usual else {}
    name = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group)))
    cells = {"method": name, **published}
    data = _data(group.method, group.label, published)
    if not group.runs:
        reason = "; ".join(dict.fromkeys(f.message for f in group.failures))
        return TableRow(cells, {**data, "status": "failed"}, "failed", reason)
    for target in targets:
        found = [crossing for run in group.runs if (crossing := aggregate.crossing(run, target))]
        cells |= _crossing_cells(group, target, found)
        data |= {
            f"epochs_{target:g}": _mean([c.epoch for c in found]),
            f"images_{target:g}": _mean([c.images_seen for c in found]),
            f"seconds_{target:g}": _mean([c.train_seconds for c in found]),
            f"seeds_{target:g}": len(found),
        }
    return TableRow(cells, {**data, "status": "measured"})


def _absent(method: str, comparison: Comparison, commands: Commands) -> TableRow:
    published = _published_cells(method)
    command = commands.methods(comparison, [method])
    data = {**_data(method, method, published), "status": "missing", "command": command}
    return TableRow({"method": Cell("", code=method), **published}, data, "missing", command)


def _data(method: str, label: str, published: Mapping[str, Cell]) -> dict[str, Any]:
    return {"method": method, "label": label, **{k: cell.value for k, cell in published.items()}}


def _mean(values: Sequence[float]) -> float | None:
    figure = aggregate.spread(values)
    return None if figure is None else figure.mean


def _crossing_cells(group: Group, target: float, found: Sequence[Crossing]) -> dict[str, Cell]:
    names = [f"{quantity}_{target:g}" for quantity in ("epochs", "images", "seconds")]
    epochs = aggregate.spread(crossing.epoch for crossing in found)
    images = aggregate.spread(crossing.images_seen for crossing in found)
    seconds = aggregate.spread(crossing.train_seconds for crossing in found)
    if epochs is None or images is None or seconds is None:
        top = aggregate.highest(group)
        return {
            names[0]: Cell("not reached", aside=f"best {top[0]:.1f}, epoch {top[1]}" if top else "")
        }
    early = any(c.epoch == c.first_evaluated == _first_epoch(group) for c in found)
    at_most = "≤ " if early else ""
    firsts = [crossing.first_evaluated for crossing in found]
    details = [f"epoch{'s' * (len(set(firsts)) > 1)} {interval(firsts)}"]
    if len(found) < len(group.runs):
        details.append(f"{len(found)} of {len(group.runs)} seeds")
    return {
        names[0]: Cell(f"{at_most}{epochs}", epochs.mean, aside="; ".join(details)),
        names[1]: Cell(f"{at_most}{_large(images.mean)}", images.mean),
        names[2]: Cell(f"{at_most}{in_seconds(seconds.mean)}", seconds.mean),
    }


def _large(number: float) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,.0f}"


def _first_epoch(group: Group) -> int:
    return int(min(aggregate.evaluated(run)["epoch"].min() for run in group.runs))


def _remarks(own: float | None, in_paper: bool) -> list[str]:
    texts = remarks.efficiency(in_paper)
    if own is not None:
        reason = "the highest multiple of 5 % that two methods of this comparison reach"
        texts.append(f"The target of {own:g} % comes from these runs: {reason}.")
    return texts
