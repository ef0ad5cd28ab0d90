"""Imports run one way: benchmarks -> methods -> evaluation, and floor by floor inside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("evaluation.validation", "evaluation.undefined", "evaluation.near_matches"),
    ("evaluation.backends",),
    ("evaluation.metrics", "evaluation.significance"),
    ("methods.base",),
    ("methods.blocks",),
    ("methods",),
    ("methods.testing",),
    ("benchmarks.common",),
    ("benchmarks.data.basics",),
    ("benchmarks.data.sources", "benchmarks.data.transforms"),
    ("benchmarks.data", "benchmarks.backbones"),
    ("benchmarks.evaluator",),
    ("benchmarks.training",),
    ("benchmarks.runs",),
    ("benchmarks.report",),
    ("benchmarks.commands",),
)
"""From the ground up: a module imports from its own floor and from those below it."""
FREE = {"evaluation", "benchmarks", "benchmarks.__main__", "methods.check"}
"""Entrances, which show what stands on several floors."""
REPORT_MAY = ("benchmarks.common", "benchmarks.runs", "benchmarks.training.recipe",
              "benchmarks.evaluator.metric_names",
              "benchmarks.report", "benchmarks.data.transforms", "evaluation")  # fmt: skip
"""What the report is made with: records and recipes; it needs no data set and no network."""


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("evaluation", "methods", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Yield the suite's modules that a file imports, but for those that only types need."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for guard in [n for n in ast.walk(tree) if isinstance(n, ast.If)]:
        if isinstance(guard.test, ast.Name) and guard.test.id == "TYPE_CHECKING":
            guard.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (n for n in names if n.split(".")[0] in ("evaluation", "methods", "benchmarks"))


def floor(module: str) -> int:
    """Return the floor of a module: that of the longest name which it begins with."""
    fitting = [
        (len(name), number)
        for number, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    return max(fitting)[1] if fitting else -1


MODULES = dict(modules())


def test_every_module_has_a_floor():
    assert [name for name in MODULES if floor(name) < 0 and name not in FREE] == []


@pytest.mark.parametrize("module", sorted(set(MODULES) - FREE))
def test_nothing_is_imported_from_a_floor_above(module):
    above = [name for name in imports(MODULES[module]) if floor(name) > floor(module)]
    assert above == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("benchmarks.report")])
def test_the_report_reads_records_only(module):
    others = [
        name
        for name in imports(MODULES[module])
        if name.startswith("benchmarks.") and not name.startswith(REPORT_MAY)
    ]
    assert others == []


@pytest.mark.parametrize(
    "package", [m for m, path in MODULES.items() if path.name == "__init__.py" and ".report" in m]
)
def test_a_report_package_does_not_import_its_sections(package):
    assert list(imports(MODULES[package])) == []
