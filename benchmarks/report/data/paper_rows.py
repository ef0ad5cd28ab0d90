"""Which runs of a comparison stand in which row of the paper's tables."""

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.labels import beyond_recipe
from benchmarks.runs import paper_tables


def fills(group: Group, row: paper_tables.Row, comparison: Comparison) -> bool:
    """Return whether a group is what a row asks for, and nothing beyond."""
    asked = row.hyper_parameters
    return (
        group.method == row.method
        and all(group.hyper_parameters.get(k) == v for k, v in asked.items())
        and set(beyond_recipe(group, comparison.recipe)) <= set(asked)
        and row.split in (None, group.split)
        and group.ablation == _ablation(row, comparison)
    )


def _ablation(row: paper_tables.Row, comparison: Comparison) -> dict[str, object]:
    """Return what a row changes of the comparison's recipe."""
    usual, unknown = recipe_facts.flat(comparison.recipe), object()
    changes = recipe_facts.plain(row.recipe)
    return {k: v for k, v in changes.items() if usual.get(k, unknown) != v}


def filled(
    table: paper_tables.Table, comparison: Comparison
) -> list[tuple[paper_tables.Row, list[Group]]]:
    """Return each row of a table with the groups that fill it.

    There are none if the comparison's networks do not start as the table's: see
    `paper_tables.fitting`.
    """
    groups = comparison.groups if table in comparison.paper_tables else ()
    return [(row, [g for g in groups if fills(g, row, comparison)]) for row in table.rows]


def further(table: paper_tables.Table, comparison: Comparison) -> list[Group]:
    """Return the groups that fill no row of any table and are most like this table's."""
    others = comparison.paper_tables
    rows = [row for other in others for row in other.rows]
    return [
        group
        for group in comparison.groups
        if not any(fills(group, row, comparison) for row in rows) and _home(group, others) == table
    ]


def _home(group: Group, among: list[paper_tables.Table]) -> paper_tables.Table:
    """Return the table with the row most like a group; an ablation's is one of ablations."""
    ablating = [table for table in among if any(row.recipe for row in table.rows)]
    candidates = (ablating if group.ablation else among) or among
    settings = {**group.hyper_parameters, **group.ablation}

    def likeness(table: paper_tables.Table) -> int:
        asked = [recipe_facts.plain(r.settings) for r in table.rows if r.method == group.method]
        return max((len(a) for a in asked if a.items() <= settings.items()), default=0)

    return max(candidates, key=likeness)


def begun(table: paper_tables.Table, comparison: Comparison) -> bool:
    """Return whether anything of a table was run beyond the row that it shares with others."""
    own = [groups for row, groups in filled(table, comparison) if row.published != table.reference]
    return any(own) or bool(further(table, comparison))
