"""What a reader must know before the first value: why values are no reproduction."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import Table

RECIPE = "Not the paper's recipe: the difference to the published value is not a reproduction gap"
PARTIAL = "Part of the data set only: the values do not compare with published ones"


def caveat(comparison: Comparison) -> str:
    """Return why the values do not compare with the paper's, or "" if they do."""
    return " ".join(f"{text}." for text in _reasons(comparison))


def _reasons(comparison: Comparison) -> Iterator[str]:
    paper = recipe_facts.paper_recipe(comparison.paper_tables)
    unlike = recipe_facts.differences(comparison.recipe, paper)
    if unlike:
        fields = "; ".join(
            f"{k} = {recipe_facts.shown(here, k)} (paper: {recipe_facts.shown(there, k)})"
            for k, (here, there) in unlike.items()
        )
        yield f"{RECIPE}. What differs: {fields}"
    images = comparison.dataset
    if images is not None and images.partial:
        count = f"{images.train_images:,} images to train on and {images.test_images:,} to test on"
        yield f"{PARTIAL}. There were {count}"
    yield from dict.fromkeys(note for run in comparison.runs for note in run.record.notes)
    weights = (run.record.weights for run in comparison.runs)
    own = sorted({file.file for file in weights if file is not None and not file.published})
    if own:
        yield f"Started from weights that are not the published file: {', '.join(own)}"


def refer_to_previous_caveat(table: Table) -> Table:
    """Return a table that follows another with the same caveat, which it refers to."""
    if not table.caveat:
        return table
    first = table.caveat.split(". ")[0].removesuffix(".")
    return replace(table, caveat="", general_notes=(f"{first}, as above.", *table.general_notes))
