"""Which methods are better over many data sets: average ranks and what may be told apart."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.report.data.comparison import Comparison
from benchmarks.report.data.ranking import LEVEL, Ranking, ranking
from benchmarks.report.document import METHOD, Cell, Column, Plot, Section, Table, TableRow
from benchmarks.report.render.rank_diagram import draw
from evaluation.significance import friedman

TITLE = "Ranks over data sets"
SLUG = "average-ranks"


def section(comparisons: Sequence[Comparison]) -> Section:
    """Return the average ranks over data sets with a critical-difference diagram.

    There is nothing to show with fewer than ENOUGH_DATASETS data sets or ENOUGH_METHODS methods
    that all of them have.
    """
    found = ranking(comparisons)
    if found is None:
        return Section()
    slug = f"{SLUG}-diagram"
    return Section(
        title=TITLE,
        texts=tuple(_texts(found)),
        plots=(
            Plot(
                slug,
                "Average ranks, 1 is the best; a bar joins methods that are not told apart",
                lambda: draw(found, slug),
            ),
        ),
        tables=(_table(found),),
    )


def _texts(found: Ranking) -> list[str]:
    sets = "; ".join(f"{c.dataset_name} (recipe {c.label})" for c in found.comparisons)
    test = friedman(found.scores)
    p = "< 0.001" if test.p < 0.001 else f"= {test.p:.3f}"
    between, within = test.degrees
    differ = test.p < LEVEL
    outcome = "the methods differ" if differ else "no difference is shown, so read no order into it"
    texts = [
        f"Methods ranked by {found.score} (mean over seeds) on each of {len(found.comparisons)} "
        f"data sets, ranks averaged: {sets}. Of a data set's comparisons the one with most methods "
        "counts, of equal ones that with most runs; of a method's variants the least changed one.",
        f"Friedman's test in Iman and Davenport's form: F({between}, {within}) = "
        f"{'infinite' if math.isinf(test.f) else f'{test.f:.2f}'}, p {p}: {outcome}. Two methods "
        f"are told apart if their average ranks differ by {found.critical_difference:.2f} or more "
        f"(Nemenyi's test at {LEVEL:g}, corrected for all pairs; Demšar, JMLR 2006).",
    ]
    if found.left_out:
        names = ", ".join(f"`{method}`" for method in found.left_out)
        texts.append(f"Left out, since some of the data sets lack them: {names}.")
    if found.others:
        names = ", ".join(f"`{method}`" for method in found.others)
        texts.append(f"Not ranked, since their {found.representation} is not evaluated: {names}.")
    return texts


def _table(found: Ranking) -> Table:
    names = [comparison.dataset_name for comparison in found.comparisons]
    columns = [
        METHOD,
        Column("rank", "Average rank", "Rank", required=True),
        *(Column(f"on {name}", name) for name in names),
    ]
    ranks = found.ranks
    rows = []
    for place in np.argsort(ranks, kind="stable"):
        method, rank = found.methods[place], float(ranks[place])
        scores = dict(zip(names, map(float, found.scores[:, place]), strict=True))
        cells = {
            "method": Cell("", code=method),
            "rank": Cell(f"{rank:.2f}", rank),
            **{f"on {name}": Cell(f"{score:.1f}", score) for name, score in scores.items()},
        }
        data = {"method": method, "average_rank": rank, **scores}
        rows.append(TableRow(cells, data, best=rank == ranks.min()))
    return Table(
        slug=SLUG,
        caption=f"Average ranks and {found.score} (%) on {len(names)} data sets",
        columns=tuple(columns),
        rows=tuple(rows),
    )
