"""What the report says, before it is a page: sections of tables, figures and facts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.records import StoredRun
from benchmarks.report import efficiency, figures, provenance, recipe_facts, remarks
from benchmarks.report.accuracy import paper_table, plain_table
from benchmarks.report.commands import Commands
from benchmarks.report.layout import Table
from benchmarks.report.select import Comparison, Failure, compare, planned
from benchmarks.tables import TABLES

TITLE = "Instance discrimination, compared"


@dataclass(frozen=True)
class Plot:
    """One panel of a comparison's learning curves; drawn when it is asked for."""

    comparison: Comparison
    panel: figures.Panel

    @property
    def slug(self) -> str:
        """Its file name without suffix."""
        return f"{efficiency.slug(self.comparison)}-{self.panel.name}"

    @property
    def caption(self) -> str:
        """What it shows."""
        return f"kNN accuracy against {self.panel.title}"

    @cached_property
    def svg(self) -> str:
        """The drawing."""
        return figures.draw(self.comparison, self.panel, self.slug)


@dataclass(frozen=True)
class Section:
    """All that the report says about one comparison."""

    comparison: Comparison
    anchor: str
    title: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    """In what runs that are shown together differ."""


@dataclass(frozen=True)
class Content:
    """The whole report."""

    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    reading: tuple[str, ...] = field(default_factory=lambda: tuple(remarks.reading()))
    problems: tuple[str, ...] = ()
    title: str = TITLE

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for section in self.sections for table in section.tables]

    @property
    def plots(self) -> list[Plot]:
        """All plots."""
        return [plot for section in self.sections for plot in section.plots]


def build(
    runs: Sequence[StoredRun],
    failures: Sequence[Failure],
    problems: Sequence[str],
    results: Path,
) -> Content:
    """Return the report on these runs."""
    commands = Commands(results)
    comparisons = compare(runs, failures)
    found = [_section(comparison, commands) for comparison in comparisons]
    unmade = [
        _planned_section(number, commands)
        for number, table in TABLES.items()
        if all(c.dataset_name != table.dataset for c in comparisons)
    ]
    return Content(
        summary=tuple(_summary(runs, failures, comparisons, results, commands)),
        sections=(*found, *unmade),
        problems=tuple(problems),
    )


def _summary(
    runs: Sequence[StoredRun],
    failures: Sequence[Failure],
    comparisons: Sequence[Comparison],
    results: Path,
    commands: Commands,
) -> list[str]:
    if not runs:
        failed = f" ({_count(len(failures), 'failed run')})" if failures else ""
        texts = [
            f"There is no finished run in `{results}` yet{failed}. In seconds, on the embedded "
            f"digits: `{commands.first()}`"
        ]
    else:
        codes = dict.fromkeys(provenance.code(run.record.environment) for run in runs)
        last = max(run.record.finished for run in runs)[:10]
        failed = f" ({len(failures)} more failed)" if failures else ""
        texts = [
            f"Made from {_count(len(runs), 'finished run')}{failed} in `{results}`, "
            f"{_count(len(comparisons), 'comparison')}; {'; '.join(codes)}; last run {last}."
        ]
    for number, table in TABLES.items():
        done = [c for c in comparisons if c.dataset_name == table.dataset and c.runs]
        if all(recipe_facts.differences(c.recipe) for c in done):
            paper = planned(table.dataset, table.recipe)
            texts.append(
                f"Table {number} has not been run with the paper's recipe; to run it: "
                f"`{commands.table(paper, number)}` (hours on a GPU). In minutes, for the order of "
                f"the methods: `{commands.table(planned(table.dataset, 'quick'), number)}`"
            )
    return texts


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _planned_section(number: int, commands: Commands) -> Section:
    table = TABLES[number]
    comparison = planned(table.dataset, table.recipe)
    tables = (
        paper_table(table, comparison, commands),
        efficiency.efficiency_table(comparison, commands),
    )
    return Section(
        comparison=comparison,
        anchor=recipe_facts.slug(f"{table.dataset} {comparison.slug}"),
        title=f"{table.dataset}, recipe {table.recipe}: not run yet",
        tables=tuple(made for made in tables if made is not None),
    )


def _section(comparison: Comparison, commands: Commands) -> Section:
    in_paper = [table for table in TABLES.values() if table.dataset == comparison.dataset_name]
    tables = [paper_table(table, comparison, commands) for table in in_paper]
    tables = tables or [plain_table(comparison, commands)]
    speed = efficiency.efficiency_table(comparison, commands)
    tables += [speed] if speed is not None else []
    panels = figures.PANELS if efficiency.shown_groups(comparison) else ()
    return Section(
        comparison=comparison,
        anchor=recipe_facts.slug(f"{comparison.dataset_name} {comparison.slug}"),
        title=f"{comparison.dataset_name}, recipe {comparison.label}",
        tables=tuple(tables),
        plots=tuple(Plot(comparison, panel) for panel in panels),
        facts=tuple(provenance.facts(comparison)),
        warning=provenance.differences(comparison),
    )
