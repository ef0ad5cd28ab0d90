"""Numbers over seeds: means, spreads, learning curves and when a curve crosses a target.

Metrics go by the names that records have, such as `knn@embedding`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from benchmarks.evaluator import metric_names
from benchmarks.report.data.comparison import Group
from benchmarks.runs.record import RunRecord
from benchmarks.runs.store import StoredRun
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


def final(group: Group, name: str) -> Spread | None:
    """Return a value after the last epoch over the seeds, such as that of `knn@embedding`."""
    return spread(run.record.value(name) for run in group.runs)


def best_value(record: RunRecord, name: str) -> float | None:
    """Return the headline's best value over the epochs; None if that is of something else."""
    best = record.best
    return best.value if best is not None and best.metric == name else None


def best(group: Group, name: str) -> Spread | None:
    """Return the best headline value over the epochs, which is chosen on the test set."""
    return spread(best_value(run.record, name) for run in group.runs)


def _column(run: StoredRun, name: str) -> str:
    """Return the column of a run's epochs that has a metric; "" if none has.

    A bare name stands for the metric of the run's headline representation.
    """
    metric, representation = metric_names.split(name)
    if name in run.epochs:
        return name
    own = representation == run.record.representation
    return metric if own and metric in run.epochs else ""


def evaluated(run: StoredRun, name: str) -> pd.DataFrame:
    """Return epoch, a metric and the totals of the epochs at which it was evaluated.

    Args:
        run: any.
        name: of the metric, such as `knn@embedding`; the column is called by the metric alone.
    """
    known = run.derived.get(name)
    if known is None:
        known = run.derived[name] = _evaluated(run, name)
    return known


def _evaluated(run: StoredRun, name: str) -> pd.DataFrame:
    column, metric = _column(run, name), metric_names.split(name)[0]
    if not {"epoch", column, *TOTALS} <= set(run.epochs.columns):
        return pd.DataFrame(columns=["epoch", metric, *TOTALS], dtype=float)
    rows = run.epochs.loc[run.epochs[column].notna(), ["epoch", column, *TOTALS]]
    return rows.rename(columns={column: metric}).astype(float)


def curve(group: Group, name: str) -> pd.DataFrame:
    """Return the learning curve over the epochs that all seeds evaluated.

    Columns: epoch, the metric such as knn (mean), the same with _sd (NaN with one seed), seeds,
    images_seen, train_seconds (means).
    """
    if not group.runs:
        return _curve(group, name)
    derived, key = group.runs[0].derived, (name, tuple(run.folder for run in group.runs))
    known = derived.get(key)
    if known is None:
        known = derived[key] = _curve(group, name)
    return known


def _curve(group: Group, name: str) -> pd.DataFrame:
    metric = metric_names.split(name)[0]
    found = [evaluated(run, name) for run in group.runs]
    points = pd.concat(found) if found else pd.DataFrame()
    if points.empty:
        return pd.DataFrame(columns=["epoch", metric, f"{metric}_sd", "seeds", *TOTALS])
    epochs = points.groupby("epoch")
    table = epochs[[metric, *TOTALS]].mean()
    table.insert(1, f"{metric}_sd", epochs[metric].std())
    table.insert(2, "seeds", epochs[metric].count())
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


def crossing(run: StoredRun, name: str, target: float) -> Crossing | None:
    """Return where the run first reaches the target (percent), or None if it never does.

    A run that is above it at its first evaluation crosses there: earlier epochs are not known.
    """
    points, metric = evaluated(run, name), metric_names.split(name)[0]
    above = (points[metric] >= target).to_numpy().nonzero()[0]
    if not len(above):
        return None
    at = int(above[0])
    after = points.iloc[at]
    before = points.iloc[at - 1] if at else after
    rise = after[metric] - before[metric]
    share = (target - before[metric]) / rise if rise > 0 else 1.0
    between = before + share * (after - before)
    return Crossing(
        epoch=float(between["epoch"]),
        first_evaluated=int(after["epoch"]),
        images_seen=float(between["images_seen"]),
        train_seconds=float(between["train_seconds"]),
    )


def highest(group: Group, name: str) -> tuple[float, int] | None:
    """Return the highest headline value of any seed and its epoch, or None if never evaluated."""
    found = [
        (highest, run.record.best.epoch)
        for run in group.runs
        if run.record.best is not None and (highest := best_value(run.record, name)) is not None
    ]
    return max(found, key=lambda one: one[0], default=None)
