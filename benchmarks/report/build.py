"""What the report says, before it is a page: parts of tables, plots and facts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.report.data import paper_rows, recipe_facts
from benchmarks.report.data.compare import compare, planned
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import Plot, Section, Table
from benchmarks.report.sections import (
    accuracy,
    class_separation,
    embedding_map,
    gallery,
    label_free,
    learning_speed,
    ranks,
    retrieval,
    significance,
)
from benchmarks.report.sections.accuracy import not_run
from benchmarks.report.text import notes, provenance
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables as tables
from benchmarks.runs.failures import Failure
from benchmarks.runs.store import StoredRun

TITLE = "Instance discrimination, compared"

SECTIONS: tuple[Callable[[Comparison, Commands], Section], ...] = (
    accuracy.section,
    learning_speed.section,
    significance.section,
    retrieval.section,
    class_separation.section,
    label_free.section,
    embedding_map.section,
    gallery.section,
)
"""What is said about a comparison, in order; a section with nothing to show is left out."""
BY_REPRESENTATION = (
    learning_speed.section,
    significance.section,
    class_separation.section,
    label_free.section,
)
"""What is said once more by each further representation that is the headline of some method."""


@dataclass(frozen=True)
class Part:
    """All that the report says about one comparison, or about several."""

    comparison: Comparison | None
    """None for what concerns several."""
    anchor: str
    title: str
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    """In what runs that are shown together differ."""

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for section in self.sections for table in section.tables]

    @property
    def plots(self) -> list[Plot]:
        """All plots."""
        return [plot for section in self.sections for plot in section.plots]


@dataclass(frozen=True)
class Content:
    """The whole report."""

    summary: tuple[str, ...]
    parts: tuple[Part, ...]
    reading: tuple[str, ...] = field(default_factory=lambda: tuple(notes.reading()))
    problems: tuple[str, ...] = ()
    title: str = TITLE

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for part in self.parts for table in part.tables]

    @property
    def plots(self) -> list[Plot]:
        """All plots."""
        return [plot for part in self.parts for plot in part.plots]


def build(
    runs: Sequence[StoredRun],
    failures: Sequence[Failure],
    problems: Sequence[str],
    results: Path,
) -> Content:
    """Return the report on these runs."""
    commands = Commands(results)
    comparisons = compare(runs, failures)
    found = [_part(comparison, commands) for comparison in comparisons]
    unmade = [
        _part(plan, commands)
        for plan in _reproductions()
        if all(c.paper_tables != plan.paper_tables for c in comparisons)
    ]
    across = ranks.section(comparisons)
    several = [Part(None, "across", "Across data sets", (across,))] if across else []
    return Content(
        summary=tuple(_summary(runs, failures, comparisons, results, commands)),
        parts=(*found, *several, *unmade),
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
    return texts + [t for plan in _reproductions() for t in _to_run(plan, comparisons, commands)]


def _reproductions() -> list[Comparison]:
    """Return the comparisons that make the paper's tables."""
    settings = dict.fromkeys((table.dataset, table.recipe) for table in tables.TABLES.values())
    return [planned(dataset, recipe) for dataset, recipe in settings]


def _to_run(paper: Comparison, comparisons: Sequence[Comparison], commands: Commands) -> list[str]:
    """Say which of the tables that a comparison makes were not run with its recipe."""
    alike = [
        c
        for c in comparisons
        if c.dataset_name == paper.dataset_name
        and c.runs
        and not c.partial
        and not recipe_facts.differences(c.recipe, str(paper.recipe["name"]))
    ]
    absent = [t for t in paper.paper_tables if not any(paper_rows.begun(t, c) for c in alike)]
    if not absent:
        return []
    ids = [table.id for table in absent]
    command = commands.table(paper, *ids)
    unrun = not_run(ids, "the paper's recipe")
    text = f"{unrun}; to run: `{command}` (hours on a GPU)."
    quick = absent[0].quick
    if quick:
        command = commands.table(planned(paper.dataset_name, quick), *ids)
        text += f" In minutes, for the order of the rows: `{command}`"
    return [text]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _part(comparison: Comparison, commands: Commands) -> Part:
    begun = comparison.dataset is not None
    title = f"{comparison.dataset_name}, recipe {comparison.label}"
    return Part(
        comparison=comparison,
        anchor=recipe_facts.slug(f"{comparison.dataset_name} {comparison.slug}"),
        title=title if begun else f"{title}: not run yet",
        sections=tuple(_sections(comparison, commands)),
        facts=tuple(provenance.facts(comparison)) if begun else (),
        warning=provenance.differences(comparison),
    )


def _sections(comparison: Comparison, commands: Commands) -> Iterator[Section]:
    yield from (section for make in SECTIONS if (section := make(comparison, commands)))
    for aside in comparison.asides:
        for make in BY_REPRESENTATION:
            section = make(aside, commands)
            if section:
                yield replace(section, title=f"{section.title}, by {aside.representation}")
