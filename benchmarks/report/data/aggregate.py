"""Numbers over seeds: means, spreads, learning curves and when a curve crosses a target."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from benchmarks.report.data.comparison import Group
from benchmarks.runs import paper_tables
from benchmarks.runs.store import RunRecord, StoredRun
from evaluation.significance import Interval, confidence_interval

TOTALS = ("images_seen", "train_seconds")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds."""

    mean: float
    sd: float | None
    """None with one seed."""
    n: int
    interval: Interval | None = None
    """The mean's 95 % interval by Student's t; None with one seed."""

    def __str__(self) -> str:
        """Return the mean, and the deviation if there is one, with one decimal."""
        return f"{self.mean:.1f}" + ("" if self.sd is None else f" ± {self.sd:.1f}")


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean, deviation and interval of the values that are there, or None if none is."""
    there = [v for v in values if v is not None and math.isfinite(v)]
    if not there:
        return None
    if len(there) == 1:
        return Spread(there[0], None, 1)
    return Spread(fmean(there), stdev(there), len(there), confidence_interval(there))


def headline(record: RunRecord) -> paper_tables.Metric:
    """Return what the run is compared with others by."""
    return paper_tables.headline(record.dataset.unseen)


def value(record: RunRecord, metric: paper_tables.Metric | None = None) -> float | None:
    """Return a run's figure of the last epoch in percent, or None if it was not measured.

    Without a metric it is the headline's.
    """
    return record.final.value((metric or headline(record)).figure)


def best_value(record: RunRecord) -> float | None:
    """Return the headline's best value over the epochs, or None if never evaluated."""
    found: float | None = getattr(record.best, headline(record).figure, None)
    return found


def final(group: Group, metric: paper_tables.Metric | None = None) -> Spread | None:
    """Return a figure after the last epoch; without a metric, the headline's."""
    return spread(value(run.record, metric) for run in group.runs)


def final_knn(group: Group) -> Spread | None:
    """Return the kNN accuracy after the last epoch."""
    return final(group, paper_tables.KNN)


def best(group: Group) -> Spread | None:
    """Return the best headline value over the epochs, which is chosen on the test set."""
    return spread(best_value(run.record) for run in group.runs)


def side_figure(group: Group, name: str) -> Spread | None:
    """Return a side figure of the last epoch, such as memory_knn."""
    return spread(run.record.final.figures.get(name) for run in group.runs)


def evaluated(run: StoredRun) -> pd.DataFrame:
    """Return epoch, the headline's figure and the totals of the epochs that were evaluated."""
    figure = headline(run.record).figure
    columns = ["epoch", figure, *TOTALS]
    if not set(columns) <= set(run.epochs.columns):
        return pd.DataFrame(columns=columns, dtype=float)
    return run.epochs.loc[run.epochs[figure].notna(), columns].astype(float)


def curve(group: Group) -> pd.DataFrame:
    """Return the learning curve over the epochs that all seeds evaluated.

    Columns: epoch, the headline's figure such as knn (mean), the same with _sd (NaN with one seed),
    seeds, images_seen, train_seconds (means).
    """
    figure = headline(group.runs[0].record).figure if group.runs else paper_tables.KNN.figure
    points = pd.concat([evaluated(run) for run in group.runs]) if group.runs else pd.DataFrame()
    if points.empty:
        return pd.DataFrame(columns=["epoch", figure, f"{figure}_sd", "seeds", *TOTALS])
    epochs = points.groupby("epoch")
    table = epochs[[figure, *TOTALS]].mean()
    table.insert(1, f"{figure}_sd", epochs[figure].std())
    table.insert(2, "seeds", epochs[figure].count())
    return table[table["seeds"] == len(group.runs)].reset_index()


@dataclass(frozen=True)
class Crossing:
    """Where a run's headline first reaches a target."""

    epoch: float
    """Interpolated linearly between evaluated epochs."""
    first_evaluated: int
    """The first evaluated epoch at or above the target."""
    images_seen: float
    train_seconds: float


def crossing(run: StoredRun, target: float) -> Crossing | None:
    """Return where the run first reaches the target (percent), or None if it never does.

    A run that is above it at its first evaluation crosses there: earlier epochs are not known.
    """
    points, figure = evaluated(run), headline(run.record).figure
    above = (points[figure] >= target).to_numpy().nonzero()[0]
    if not len(above):
        return None
    at = int(above[0])
    after = points.iloc[at]
    before = points.iloc[at - 1] if at else after
    rise = after[figure] - before[figure]
    share = (target - before[figure]) / rise if rise > 0 else 1.0
    between = before + share * (after - before)
    return Crossing(
        epoch=float(between["epoch"]),
        first_evaluated=int(after["epoch"]),
        images_seen=float(between["images_seen"]),
        train_seconds=float(between["train_seconds"]),
    )


def highest(group: Group) -> tuple[float, int] | None:
    """Return the highest headline value of any seed and its epoch, or None if never evaluated."""
    found = [
        (highest, run.record.best.epoch)
        for run in group.runs
        if run.record.best is not None and (highest := best_value(run.record)) is not None
    ]
    return max(found, key=lambda one: one[0], default=None)
