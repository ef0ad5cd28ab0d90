"""Reads the pages below docs/: their links, their tables, and the code that they name.

`python tests/helpers/pages.py` says of every name that a page has wrong where it stands now.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
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
    """Return the rows below a heading ("" for the whole page) that name code beside its file."""
    part = re.split(r"^## ", text(page), flags=re.M) if heading else [text(page)]
    section = next(found for found in part if found.startswith(heading))
    rows = []
    for line in section.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        at = next((i for i, cell in enumerate(cells) if LINK.fullmatch(cell)), 0)
        if line.startswith("|") and at:
            target = (page.parent / LINK.fullmatch(cells[at])[2]).resolve()
            if target.suffix == ".py":
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


def wrong() -> Iterator[str]:
    """Yield a line for each name of a page that is not where the page says."""
    every = {
        file: definitions(file)
        for package in ("methods", "evaluation", "benchmarks")
        for file in (ROOT / package).rglob("*.py")
    }
    for page in (ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for row in code_rows(page, ""):
            here = every.get(row.file, {})
            for name in (name for name in row.names if name not in here):
                last = name.rpartition(".")[2]
                now = [f"{file.relative_to(ROOT)}: {found}" for file, names in every.items()
                       for found in names if found.rpartition(".")[2] == last]  # fmt: skip
                near = get_close_matches(name, here, cutoff=0.5)
                yield (
                    f"{page.name}: {row}: no {name}; of this name: {'; '.join(now) or 'none'}; "
                    f"near ones in the file: {', '.join(near) or 'none'}"
                )


if __name__ == "__main__":
    print(*wrong(), sep="\n")
