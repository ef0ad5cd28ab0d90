"""Reads the pages below docs/: their links, their tables, and the code that they name."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
NAME = re.compile(r"`([A-Za-z_][\w.]*)`")


@dataclass(frozen=True)
class Row:
    """A line of a page's table that names code: its cells, the names and the file of the code."""

    cells: tuple[str, ...]
    names: tuple[str, ...]
    file: Path

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}: {', '.join(self.names)}"


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def links(page: Path) -> list[Path]:
    """Return what a page links to inside the repository."""
    return [(page.parent / target).resolve() for _, target in LINK.findall(text(page))]


def code_rows(page: Path, heading: str) -> list[Row]:
    """Return the rows below a heading that have a cell of names beside a link to a Python file."""
    part = re.split(r"^## ", text(page), flags=re.M)
    section = next(found for found in part if found.startswith(heading))
    rows = []
    for line in section.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        at = next((i for i, cell in enumerate(cells) if LINK.fullmatch(cell)), 0)
        if line.startswith("|") and at:
            target = (page.parent / LINK.fullmatch(cells[at])[2]).resolve()
            rows.append(Row(cells, tuple(NAME.findall(cells[at - 1])), target))
    return rows


@cache
def definitions(file: Path) -> dict[str, ast.AST]:
    """Return functions, classes, methods as Class.method, and names assigned in a file."""
    found: dict[str, ast.AST] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[prefix + node.name] = node
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.AnnAssign):
                found[prefix + ast.unparse(node.target)] = node
            elif isinstance(node, ast.Assign):
                for name in (n for t in node.targets for n in ast.walk(t)):
                    if isinstance(name, ast.Name):
                        found[prefix + name.id] = node

    visit(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found


def mentioned(node: ast.AST) -> set[str]:
    """Return the names and attributes that a piece of code mentions."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
    return found
