"""Learning speed: the curves, and how long a method takes to reach a target accuracy."""

from collections.abc import Sequence

from benchmarks.report.data import aggregate, csv_row
from benchmarks.report.data.aggregate import Crossing
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.labels import beyond_recipe
from benchmarks.report.data.learning import (
    PUBLISHED_TARGET,
    own_target,
    published_epochs,
    shown_groups,
    slug,
)
from benchmarks.report.document import (
    METHOD,
    Cell,
    Column,
    Notes,
    Plot,
    Section,
    Table,
    TableRow,
    in_seconds,
    interval,
)
from benchmarks.report.render import learning_curves
from benchmarks.report.render.learning_curves import PANELS, Panel
from benchmarks.report.text import footnotes
from benchmarks.report.text import notes as known
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return the learning curves and how long each method takes to reach a target accuracy."""
    table = efficiency_table(comparison, commands)
    panels = PANELS if shown_groups(comparison) else ()
    return Section(
        title="Learning speed",
        tables=() if table is None else (table,),
        plots=tuple(_plot(comparison, panel) for panel in panels),
    )


def _plot(comparison: Comparison, panel: Panel) -> Plot:
    name = f"{slug(comparison)}-{panel.name}"
    return Plot(
        slug=name,
        caption=learning_curves.title(comparison, panel),
        draw=lambda: learning_curves.draw(comparison, panel, name),
    )


def efficiency_table(comparison: Comparison, commands: Commands) -> Table | None:
    """Return epochs, images and seconds to the paper's target and to one of the comparison's.

    None if there is no target: the paper has no values for the data set and no two methods share
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
        _row(g, comparison, targets, notes, in_paper and not beyond_recipe(g, comparison.recipe))
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
        general_notes=tuple(_general_notes(own, in_paper)),
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


def _row(
    group: Group, comparison: Comparison, targets: Sequence[float], notes: Notes, usual: bool
) -> TableRow:
    published = _published_cells(group.method) if usual else {}
    name = Cell("", code=group.label, notes=notes.add(*footnotes.of_group(group, comparison)))
    cells = {"method": name, **published}
    stated = {name: cell.value for name, cell in published.items()}
    data = {**csv_row.of_group(group), **stated}
    if not group.runs:
        reason = "; ".join(dict.fromkeys(f.message for f in group.failures))
        return TableRow(cells, {**data, "status": "failed"}, "failed", reason)
    for target in targets:
        crossings = (aggregate.crossing(run, comparison.key, target) for run in group.runs)
        found = [crossing for crossing in crossings if crossing is not None]
        cells |= _crossing_cells(group, comparison.key, target, found)
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
    stated = {name: cell.value for name, cell in published.items()}
    data = {"method": method, "label": method, **stated, "status": "missing", "command": command}
    return TableRow({"method": Cell("", code=method), **published}, data, "missing", command)


def _mean(values: Sequence[float]) -> float | None:
    found = aggregate.spread(values)
    return None if found is None else found.mean


def _crossing_cells(
    group: Group, name: str, target: float, found: Sequence[Crossing]
) -> dict[str, Cell]:
    columns = [f"{quantity}_{target:g}" for quantity in ("epochs", "images", "seconds")]
    epochs = aggregate.spread(crossing.epoch for crossing in found)
    images = aggregate.spread(crossing.images_seen for crossing in found)
    seconds = aggregate.spread(crossing.train_seconds for crossing in found)
    if epochs is None or images is None or seconds is None:
        top = aggregate.highest(group, name)
        return {
            columns[0]: Cell(
                "not reached", aside=f"best {top[0]:.1f}, epoch {top[1]}" if top else ""
            )
        }
    early = any(c.epoch == c.first_evaluated == _first_epoch(group, name) for c in found)
    at_most = "≤ " if early else ""
    firsts = [crossing.first_evaluated for crossing in found]
    details = [f"epoch{'s' * (len(set(firsts)) > 1)} {interval(firsts)}"]
    if len(found) < len(group.runs):
        details.append(f"{len(found)} of {len(group.runs)} seeds")
    return {
        columns[0]: Cell(f"{at_most}{epochs}", epochs.mean, aside="; ".join(details)),
        columns[1]: Cell(f"{at_most}{_large(images.mean)}", images.mean),
        columns[2]: Cell(f"{at_most}{in_seconds(seconds.mean)}", seconds.mean),
    }


def _large(number: float) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,.0f}"


def _first_epoch(group: Group, name: str) -> int:
    return int(min(aggregate.evaluated(run, name)["epoch"].min() for run in group.runs))


def _general_notes(own: float | None, in_paper: bool) -> list[str]:
    texts = known.efficiency(in_paper)
    if own is not None:
        reason = "the highest multiple of 5 % that two methods of this comparison reach"
        texts.append(f"The target of {own:g} % comes from these runs: {reason}.")
    return texts
