"""What the report says, before it is a page: sections of tables, figures and facts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.report.data import paper_rows, recipe_facts
from benchmarks.report.data.compare import compare, planned
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import Chapter, Picture, Table
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

CHAPTERS: tuple[Callable[[Comparison, Commands], Chapter], ...] = (
    accuracy.chapter,
    learning_speed.chapter,
    significance.chapter,
    retrieval.chapter,
    class_separation.chapter,
    label_free.chapter,
    embedding_map.chapter,
    gallery.chapter,
)
"""What is said about a comparison, in order; a chapter with nothing to show is left out."""
BY_REPRESENTATION = (
    learning_speed.chapter,
    significance.chapter,
    class_separation.chapter,
    label_free.chapter,
)
"""What is said once more by each further representation that is the headline of some method."""


@dataclass(frozen=True)
class Section:
    """All that the report says about one comparison, or about several."""

    comparison: Comparison | None
    """None for what concerns several."""
    anchor: str
    title: str
    chapters: tuple[Chapter, ...]
    facts: tuple[tuple[str, str], ...] = ()
    warning: str = ""
    """In what runs that are shown together differ."""

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for chapter in self.chapters for table in chapter.tables]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        return [picture for chapter in self.chapters for picture in chapter.pictures]


@dataclass(frozen=True)
class Content:
    """The whole report."""

    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    reading: tuple[str, ...] = field(default_factory=lambda: tuple(notes.reading()))
    problems: tuple[str, ...] = ()
    title: str = TITLE

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for section in self.sections for table in section.tables]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        return [picture for section in self.sections for picture in section.pictures]


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
        _section(plan, commands)
        for plan in _reproductions()
        if all(c.paper_tables != plan.paper_tables for c in comparisons)
    ]
    across = ranks.chapter(comparisons)
    several = [Section(None, "across", "Across data sets", (across,))] if across else []
    return Content(
        summary=tuple(_summary(runs, failures, comparisons, results, commands)),
        sections=(*found, *several, *unmade),
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
    numbers = [table.number for table in absent]
    command = commands.table(paper, *numbers)
    unrun = not_run(numbers, "the paper's recipe")
    text = f"{unrun}; to run: `{command}` (hours on a GPU)."
    quick = absent[0].quick
    if quick:
        command = commands.table(planned(paper.dataset_name, quick), *numbers)
        text += f" In minutes, for the order of the rows: `{command}`"
    return [text]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _section(comparison: Comparison, commands: Commands) -> Section:
    begun = comparison.dataset is not None
    title = f"{comparison.dataset_name}, recipe {comparison.label}"
    return Section(
        comparison=comparison,
        anchor=recipe_facts.slug(f"{comparison.dataset_name} {comparison.slug}"),
        title=title if begun else f"{title}: not run yet",
        chapters=tuple(_chapters(comparison, commands)),
        facts=tuple(provenance.facts(comparison)) if begun else (),
        warning=provenance.differences(comparison),
    )


def _chapters(comparison: Comparison, commands: Commands) -> Iterator[Chapter]:
    yield from (chapter for make in CHAPTERS if (chapter := make(comparison, commands)))
    for aside in comparison.asides:
        for make in BY_REPRESENTATION:
            chapter = make(aside, commands)
            if chapter:
                yield replace(chapter, title=f"{chapter.title}, by {aside.representation}")
