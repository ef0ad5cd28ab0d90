"""From the records of finished runs to tables, plots and one page; trains nothing."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.errors import unknown_name
from benchmarks.common.files import atomic_path
from benchmarks.report.build import Content, build
from benchmarks.report.data import learning
from benchmarks.report.document import Table
from benchmarks.report.render import html
from benchmarks.report.render.latex import latex
from benchmarks.report.render.markdown import markdown
from benchmarks.runs import plugin_tables
from benchmarks.runs.code_changes import with_newest_code
from benchmarks.runs.failures import read_failures
from benchmarks.runs.store import read_all

__all__ = ["FORMATS", "write_report"]

FORMATS = ("html", "md", "tex", "csv")
"""What a report can be written as."""
WRITTEN = ".written"
"""Names the files of the last report, so that the next one takes away what it no longer has."""


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr)


def write_report(
    results: Path,
    formats: Sequence[str] = FORMATS,
    warn: Callable[[str], None] = _to_stderr,
) -> list[Path]:
    """Write the report on the runs below `results` into `results`/report.

    Args:
        results: the folder that `bench run` wrote to; without runs the report says what is missing.
        formats: some of FORMATS. "html" and "md" come with the plots as SVG, "csv" with the
            curves.
        warn: told about records that are left out because they are damaged; the page says so too.

    Returns:
        The files written, the page first.

    Raises:
        UsageProblem: if a format is unknown.
        BenchError: if a file cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    problems: list[str] = []

    def note(problem: str) -> None:
        problems.append(problem)
        warn(problem)

    with plugin_tables.with_kept(results) as unread:
        for problem in unread:
            note(problem)
        runs = with_newest_code(read_all(results, note, note), note)
        content = build(runs, read_failures(results, note), problems, results)
        folder, files = results / "report", _files(content, formats)
    earlier = _earlier(folder)
    stale = _stale(earlier - files.keys(), formats)
    listed = "".join(f"{name}\n" for name in sorted((earlier | files.keys()) - stale))
    for name, text in {**files, WRITTEN: listed}.items():
        with atomic_path(folder / name) as part:
            # The path of the results may hold bytes that are no text.
            part.write_text(text, encoding="utf-8", errors="replace")
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    return [folder / name for name in files]


def _earlier(folder: Path) -> set[str]:
    """Return the names of the files that earlier reports wrote; none if that is not known."""
    try:
        names = (folder / WRITTEN).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    # A name is a report's own only without a folder in it, whatever the list says.
    return {name for name in names if Path(name).name == name}


def _stale(gone: set[str], formats: Sequence[str]) -> set[str]:
    """Return which of the files that a report no longer has are in the formats it is written in."""
    suffixes = {f".{name}" for name in formats}
    if {"html", "md"} & set(formats):
        suffixes.add(".svg")
    return {name for name in gone if Path(name).suffix in suffixes}


def _files(content: Content, formats: Sequence[str]) -> dict[str, str]:
    """Return the files' texts by name."""
    files = {}
    if "html" in formats:
        files["report.html"] = html.html(content)
    if "md" in formats:
        files["report.md"] = markdown(content)
    if {"html", "md"} & set(formats):
        files |= {f"{plot.slug}.svg": plot.svg for plot in content.plots}
    if "tex" in formats:
        files |= {f"{table.slug}.tex": latex(table) for table in content.tables}
    if "csv" in formats:
        files |= {f"{table.slug}.csv": _csv(table) for table in content.tables}
        for part in content.parts:
            if part.comparison is None:
                continue
            curves = learning.curves(part.comparison)
            if len(curves):
                files[f"curves-{part.anchor}.csv"] = curves.to_csv(index=False)
    return files


def _csv(table: Table) -> str:
    """Return the rows in plain numbers and full precision."""
    text: str = pd.DataFrame([dict(row.data) for row in table.rows]).to_csv(index=False)
    return text
