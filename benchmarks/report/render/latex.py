"""A table as a LaTeX float."""

from benchmarks.report.document import Cell, Column, Table, TableRow, around_code, inert, letter

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\u00a0": "~",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "≤": r"$\leq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "…": r"\ldots{}",
    "[": "{[}",  # after a row's end it would be that row's space
    "]": "{]}",
}


def latex_text(text: str) -> str:
    """Escape what LaTeX gives a meaning to; words in backticks are set in typewriter."""

    def escape(words: str) -> str:
        return "".join(_LATEX.get(c, c) for c in words)

    return around_code(text, escape, lambda code: rf"\texttt{{{escape(code)}}}")


def latex(table: Table) -> str:
    """Return the table as a LaTeX float; it needs the package booktabs."""
    columns = table.shown
    alignment = "".join("r" if column.numeric else "l" for column in columns)
    head = " & ".join(_head(column) for column in columns)
    body = [_row(table, row) for row in table.rows]
    notes = [
        rf"\textsuperscript{{{letter(place)}}} {latex_text(note)}"
        for place, note in enumerate(table.notes)
    ]
    notes += [latex_text(text) for text in (table.caveat, *table.general_notes) if text]
    paragraphs = [
        rf"\par\smallskip\parbox{{\linewidth}}{{\raggedright\footnotesize {n}}}" for n in notes
    ]
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{table.slug}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *paragraphs,
            r"\end{table}",
            "",
        ]
    )


def _head(column: Column) -> str:
    lines = [latex_text(line) for line in (column.short or column.title).split("\n")]
    stack = r" \\ ".join(lines)
    return lines[0] if len(lines) == 1 else rf"\shortstack[r]{{{stack}}}"


def _row(table: Table, row: TableRow) -> str:
    texts = [_cell(row.cells.get(column.key, Cell()), row.best) for column in table.shown]
    comment = ""
    if row.status != "measured":
        texts[table.given] = rf"\emph{{{row.status}}}"
        comment = f" % {inert(row.remedy)}"
    cells = " & ".join(texts)
    guard = "{}" if cells.startswith("*") else ""  # after a row's end a star forbids a page break
    return guard + cells + r" \\" + comment


def _cell(cell: Cell, bold: bool) -> str:
    text = latex_text(cell.text or cell.code)
    marks = ",".join(letter(place) for place in cell.notes)
    return (rf"\textbf{{{text}}}" if bold else text) + (
        rf"\textsuperscript{{{marks}}}" if marks else ""
    )
