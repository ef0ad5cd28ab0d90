"""Are the differences between methods real? Paired tests over seeds and over test images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.evaluator import metric_names
from benchmarks.report.data import aggregate, csv_row, recipe_facts
from benchmarks.report.data.ablation import signed
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.document import METHOD, Cell, Column, Section, Table, TableRow
from benchmarks.report.text.commands import Commands
from benchmarks.runs.paper_tables import KNN, Metric
from benchmarks.runs.store import PREDICTIONS, StoredRun
from evaluation.significance import (
    Interval,
    PairedDifference,
    bootstrap_difference,
    holm,
    mcnemar,
    paired_difference,
)

TITLE = "Are the differences real?"
LEVEL = 0.05
"""A difference counts if its adjusted p is below."""
ENOUGH_SEEDS = 3
"""With two, one degree of freedom: a t test finds next to nothing."""
COLUMNS = (
    METHOD,
    Column("measured", "Mean over seeds", "Mean", required=True),
    Column("gap", "Gap to the best", "Gap"),
    Column("paired", "Gap seed by seed", "Seed\nby seed"),
    Column("p_seeds", "p over seeds", "p over\nseeds"),
    Column("p_images", "p over test images", "p over\nimages"),
    Column("verdict", "The best one is", numeric=False),
)


@dataclass(frozen=True)
class OverImages:
    """The best method against another, over the test images of the seeds that both have."""

    gain: float
    """Percentage points."""
    p: float
    test: str
    """Which test, on which seeds."""


@dataclass(frozen=True)
class Rival:
    """A method and how the best one stands against it."""

    group: Group
    value: Spread
    """What they are compared by, kNN accuracy or R@1."""
    gap: float
    """Difference of the means over all seeds of each, in percentage points."""
    paired: PairedDifference | None
    """Over the seeds that both have; None if there are none."""
    images: OverImages | None
    """None without predictions of a common seed."""
    p_seeds: float = math.nan
    """Of the paired t test; NaN with fewer than ENOUGH_SEEDS seeds."""
    adjusted_seeds: float = math.nan
    adjusted_images: float = math.nan


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return each method against the best one, with tests, or nothing to show.

    There is nothing without labels or with fewer than two methods that finished. Methods that learn
    from labels take no part, nor do those without the comparison's representation.
    """
    name = comparison.key
    every = [(g, value) for g in comparison.groups if (value := aggregate.final(g, name))]
    found = [one for one in every if one[0].ranked]
    if len(found) < 2:
        return Section()
    held = {id(group) for group, _ in found}
    left_out = [group for group in comparison.groups if id(group) not in held]
    best, top = max(found, key=lambda one: one[1].mean)
    rivals = _rivals(best, top, [one for one in found if one[0] is not best], name)
    by_group, headline = {id(rival.group): rival for rival in rivals}, comparison.headline
    rows = [_best_row(g, k) if g is best else _row(by_group[id(g)], headline) for g, k in found]
    return Section(
        title=TITLE,
        tables=(
            Table(
                slug=recipe_facts.slug(f"significance {comparison.dataset_name} {comparison.slug}"),
                caption=f"Each method against the best, {best.label}: {headline.words} (%) on "
                f"{comparison.dataset_name}, recipe {comparison.label}",
                columns=COLUMNS,
                rows=tuple(rows),
                general_notes=(*_general_notes(rivals, headline), *_without(left_out, comparison)),
            ),
        ),
    )


def _rivals(
    best: Group, top: Spread, others: Sequence[tuple[Group, Spread]], name: str
) -> list[Rival]:
    """Test the best method against each other one, and correct for their number."""
    predictions = _predictions(best, name)
    tested = [
        (
            group,
            value,
            _over_seeds(best, group, name),
            _over_images(predictions, _predictions(group, name)),
        )
        for group, value in others
    ]
    p_seeds = [
        paired.p if paired is not None and paired.pairs >= ENOUGH_SEEDS else math.nan
        for _, _, paired, _ in tested
    ]
    adjusted_seeds = holm(p_seeds)
    adjusted_images = holm([math.nan if images is None else images.p for *_, images in tested])
    return [
        Rival(
            group=group,
            value=value,
            gap=top.mean - value.mean,
            paired=paired,
            images=images,
            p_seeds=p_seeds[place],
            adjusted_seeds=float(adjusted_seeds[place]),
            adjusted_images=float(adjusted_images[place]),
        )
        for place, (group, value, paired, images) in enumerate(tested)
    ]


def _over_seeds(best: Group, other: Group, name: str) -> PairedDifference | None:
    first, second = _by_seed(best, name), _by_seed(other, name)
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    return paired_difference([first[s] for s in seeds], [second[s] for s in seeds])


def _by_seed(group: Group, name: str) -> dict[int, float]:
    found = ((run.record.seed, run.record.value(name)) for run in group.runs)
    return {seed: value for seed, value in found if value is not None and math.isfinite(value)}


def _predictions(group: Group, name: str) -> dict[int, pd.DataFrame]:
    """Return label and predicted class of every test image, by seed; older records have none.

    Predictions are made of a method's headline representation only.
    """
    if metric_names.split(name)[1] != group.representation:
        return {}
    found = {run.record.seed: _prediction(run) for run in group.runs}
    return {seed: frame for seed, frame in found.items() if frame is not None}


def _prediction(run: StoredRun) -> pd.DataFrame | None:
    frame = run.frame(PREDICTIONS)
    usable = frame is not None and len(frame) and {"label", "knn"} <= set(frame.columns)
    return frame if usable else None


def _over_images(
    best: dict[int, pd.DataFrame], other: dict[int, pd.DataFrame]
) -> OverImages | None:
    """Return the test over images: McNemar's with one common seed, a bootstrap with several."""
    common = sorted(best.keys() & other.keys())
    if not common:
        return None
    labels = best[common[0]]["label"].to_numpy()
    seeds = [
        s
        for s in common
        if all(np.array_equal(labels, one[s]["label"].to_numpy()) for one in (best, other))
    ]
    if not seeds:
        return None
    first, second = (
        np.stack([one[s]["knn"].to_numpy() == labels for s in seeds]) for one in (best, other)
    )
    if len(seeds) == 1:
        one_seed = mcnemar(first[0], second[0])
        gain = 100 * (one_seed.first_only - one_seed.second_only) / len(labels)
        return OverImages(gain, one_seed.p, f"McNemar, seed {seeds[0]}")
    several = bootstrap_difference(first, second)
    return OverImages(several.mean, several.p, f"bootstrap, {len(seeds)} seeds")


def _best_row(group: Group, value: Spread) -> TableRow:
    data = {**_data(group, value), "verdict": "the best"}
    return TableRow({"method": _name(group), "measured": _measured(value)}, data, best=True)


def _row(rival: Rival, headline: Metric) -> TableRow:
    verdict = _verdict(rival, headline)
    cells = {
        "method": _name(rival.group),
        "measured": _measured(rival.value),
        "gap": Cell(signed(rival.gap), rival.gap),
        "verdict": Cell(verdict),
    }
    paired, images = rival.paired, rival.images
    if paired is not None:
        details = [] if paired.pairs < 2 else [_interval(paired.interval)]
        details.append(f"{paired.pairs} seed{'s' * (paired.pairs > 1)}")
        cells["paired"] = Cell(signed(paired.mean), paired.mean, aside="; ".join(details))
    if not math.isnan(rival.p_seeds):
        adjusted = f"Holm {_probability(rival.adjusted_seeds)}"
        cells["p_seeds"] = Cell(_probability(rival.p_seeds), rival.p_seeds, aside=adjusted)
    if images is not None:
        aside = f"Holm {_probability(rival.adjusted_images)}; {images.test}"
        cells["p_images"] = Cell(_probability(images.p), images.p, aside=aside)
    return TableRow(cells, {**_data(rival.group, rival.value), **_test_data(rival, verdict)})


def _verdict(rival: Rival, headline: Metric) -> str:
    """Say in words what the two tests found; they are told apart where they disagree.

    Of a metric other than kNN accuracy there is no test over images, and no word on it.
    """
    seeds, images = _word_over_seeds(rival), _word_over_images(rival)
    if rival.paired is None:
        return "not tested: no seed in common"
    pairs = rival.paired.pairs
    untested = "; no predictions" if headline == KNN else ""
    if pairs < ENOUGH_SEEDS:
        few = f"too few seeds ({pairs}) for the test over seeds: at least {ENOUGH_SEEDS}"
        return f"{images} over images; {few}" if images else f"{few}{untested}"
    if not images:
        return f"{seeds} over seeds{untested and f'{untested} for the test over images'}"
    if images.split(" by ")[0] == seeds.split(" by ")[0]:
        return seeds
    return f"{seeds} over seeds; {images} over images"


def _word_over_seeds(rival: Rival) -> str:
    if rival.paired is None or math.isnan(rival.adjusted_seeds):
        return ""
    return _word(rival.paired.mean, rival.adjusted_seeds)


def _word_over_images(rival: Rival) -> str:
    return "" if rival.images is None else _word(rival.images.gain, rival.adjusted_images)


def _word(gain: float, adjusted: float) -> str:
    if adjusted >= LEVEL:
        return "not distinguishable"
    return f"{'better' if gain > 0 else 'worse'} by {abs(gain):.1f}"


def _name(group: Group) -> Cell:
    return Cell("", code=group.label)


def _measured(value: Spread) -> Cell:
    aside = "" if value.interval is None else f"95 %: {_interval(value.interval)}"
    return Cell(str(value), value.mean, aside=aside)


def _interval(ends: Interval) -> str:
    return f"{ends.low:.1f} to {ends.high:.1f}".replace("-", "−")


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _data(group: Group, value: Spread) -> dict[str, Any]:
    return {
        **csv_row.of_group(group),
        "seeds": " ".join(map(str, group.seeds)),
        "mean": value.mean,
        "sd": value.sd,
        "low": value.interval.low if value.interval else None,
        "high": value.interval.high if value.interval else None,
    }


def _test_data(rival: Rival, verdict: str) -> dict[str, Any]:
    paired, images = rival.paired, rival.images
    return {
        "gap": rival.gap,
        "common_seeds": paired.pairs if paired else 0,
        "paired_gap": paired.mean if paired else None,
        "paired_sd": paired.sd if paired else None,
        "paired_low": paired.interval.low if paired else None,
        "paired_high": paired.interval.high if paired else None,
        "p_seeds": rival.p_seeds,
        "p_seeds_holm": rival.adjusted_seeds,
        "images_gap": images.gain if images else None,
        "images_test": images.test if images else "",
        "p_images": images.p if images else None,
        "p_images_holm": rival.adjusted_images,
        "verdict": verdict,
    }


def _general_notes(rivals: Sequence[Rival], headline: Metric) -> list[str]:
    over_seeds = sum(not math.isnan(rival.p_seeds) for rival in rivals)
    texts = [
        *(_two_tests(rivals, over_seeds) if headline == KNN else _one_test(headline, over_seeds)),
        "The best one is chosen by the same values, which favours it a little: take a close "
        "decision with care.",
    ]
    if over_seeds < len(rivals):
        texts.append(
            f"Too few seeds: `--seeds {ENOUGH_SEEDS}` in the `bench run` command of the rows "
            "concerned adds those that are missing."
        )
    return texts


def _two_tests(rivals: Sequence[Rival], over_seeds: int) -> list[str]:
    over_images = sum(rival.images is not None for rival in rivals)
    return [
        "p over seeds answers whether training anew would change the order (paired t test over the "
        f"seeds that both have, at least {ENOUGH_SEEDS}); p over test images, whether another test "
        "set would, with these networks (McNemar's test with one seed in common, a paired "
        "bootstrap of the mean over seeds with several).",
        f"Each question has a family of tests of its own, {over_seeds} over seeds and "
        f"{over_images} over images, and p is shown with Holm's correction for its family. A "
        f"difference counts if the corrected p is below {LEVEL:g}; where nothing else is said, "
        "both tests agree.",
    ]


def _one_test(headline: Metric, over_seeds: int) -> list[str]:
    return [
        "p over seeds answers whether training anew would change the order (paired t test over the "
        f"seeds that both have, at least {ENOUGH_SEEDS}). Whether other test images would is not "
        f"tested: queries of {headline.words} share the images that they retrieve.",
        f"p is shown with Holm's correction for {over_seeds} tests; a difference counts if the "
        f"corrected p is below {LEVEL:g}.",
    ]


def _without(left_out: Sequence[Group], comparison: Comparison) -> list[str]:
    """Say which methods take no part, and why."""
    bounds = [g.label for g in left_out if g.uses_labels and g.offers(comparison.key)]
    others = [
        f"{group.label} ({group.representation})"
        for group in left_out
        if group.runs and group.representation != comparison.representation
    ]
    reasons = {
        "as an upper bound": bounds,
        f"since their {comparison.representation} is not evaluated": others,
    }
    return [
        f"Left out {reason}: {', '.join(f'`{label}`' for label in labels)}."
        for reason, labels in reasons.items()
        if labels
    ]
