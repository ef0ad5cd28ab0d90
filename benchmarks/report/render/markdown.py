"""The report as GitHub Markdown."""

import re
from collections.abc import Iterable

from benchmarks.report.build import Content, Part
from benchmarks.report.document import (
    NOTHING,
    Cell,
    Plot,
    Section,
    Table,
    TableRow,
    around_code,
    inert,
    letter,
)

_LIST = re.compile(r"^(\s*\d*)([-+.=)])(?=\s|$|[-=])")
"""What begins a list, a rule or the line below a heading, at the start of a text."""


def markdown(content: Content) -> str:
    """Return the report as GitHub Markdown; the plots are files beside it."""
    blocks = [f"# {content.title}", *map(_prose, content.summary)]
    blocks += [_bullets(map(_prose, content.problems))]
    blocks += ["## How to read the values", _bullets(content.reading)]
    for part in content.parts:
        blocks += _part(part)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _part(part: Part) -> list[str]:
    blocks = [f"## {_escape(part.title)}", part.warning and f"**{_escape(part.warning)}**"]
    for section in part.sections:
        blocks += _section(section)
    if part.facts:
        blocks += [
            "### How it was made",
            _bullets(f"{_escape(k)}: {_escape(v)}" for k, v in part.facts),
        ]
    return blocks


def _section(section: Section) -> list[str]:
    blocks = [f"### {_escape(section.title)}"] if section.title else []
    blocks += map(_prose, section.texts)
    blocks += map(_image, section.plots)
    return blocks + [markdown_table(table) for table in section.tables]


def _image(plot: Plot) -> str:
    return f"![{_escape(plot.caption)}]({plot.slug}.svg)"


def markdown_table(table: Table) -> str:
    """Return a table with its caption, footnotes and general_notes."""
    lines = [
        f"**{_escape(table.caption)}**",
        *(["", f"*{_prose(table.caveat)}*"] if table.caveat else []),
        "",
        _line(_escape(column.title) for column in table.shown),
        _line("---:" if column.numeric else "---" for column in table.shown),
    ]
    lines += [_line(_cells(table, row)) for row in table.rows]
    notes = [f"({letter(place)}) {_prose(note)}" for place, note in enumerate(table.notes)]
    return "\n".join(lines) + "\n\n" + _bullets([*notes, *map(_prose, table.general_notes)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(table: Table, row: TableRow) -> list[str]:
    texts = [_cell(row.cells.get(column.key, Cell()), row.best) for column in table.shown]
    if row.status != "measured":
        words = _code(row.remedy) if row.status == "missing" else _escape(row.remedy)
        texts[table.given] = f"{row.status}: {words}"
    return texts


def _cell(cell: Cell, bold: bool) -> str:
    text = _escape(cell.full)
    if bold and cell.text not in ("", NOTHING):
        text = f"**{text}**"
    code = _code(cell.code) if cell.code else ""
    marks = ",".join(letter(place) for place in cell.notes)
    words = " ".join(part for part in (text, code) if part)
    return f"{words}<sup>{marks}</sup>" if marks else words


def _code(text: str) -> str:
    """Return code that may stand in a table's cell, where a bar would end the cell.

    In a code span nothing can be escaped but a bar: text that would end the span, or the cell after
    all, is written as entities.
    """
    text = inert(text)
    if "`" in text or "\\|" in text or text.endswith("\\") or text != text.strip():
        return f"<code>{_entities(text)}</code>"
    return "`" + text.replace("|", "\\|") + "`"


def _entities(text: str) -> str:
    """Return the text with all but letters, digits and spaces as entities, never markup."""
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found[0])};", text)


def _escape(text: str) -> str:
    text = inert(text).replace("&", "&amp;")
    text = re.sub(r"([\\`*_\[\]<>|#$~])", r"\\\1", text)
    return _LIST.sub(r"\1\\\2", text)


def _prose(text: str) -> str:
    """Escape all but the words in backticks."""
    return around_code(text, _escape, _code)
