"""A run's rows of epochs.parquet: one an epoch, with totals since the start."""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.evaluator import metric_names

if TYPE_CHECKING:
    import pandas as pd

TOTALS = ("images_seen", "train_seconds", "evaluate_seconds")
"""Columns that add up over the epochs."""
CHECKPOINT = "checkpoint.pt"
"""Name of the file that a run goes on from; it holds the history too."""
PERCENTAGES = frozenset(
    {metric.name for metric in (metric_names.KNN, metric_names.LINEAR, metric_names.NMI)}
    | {metric.name for metric in metric_names.recall_at(2, 4, 8, 10, 100, 1000)}
    | {"memory_knn", "pooled_knn"}  # columns of epochs.parquet beside knn
)
"""Names of metrics from 0 to 100; others, such as a loss, may be any finite number."""
_COLUMNS = PERCENTAGES | {
    *("epoch", "loss", "lr", "images_seen", "images_per_second"),
    *("train_seconds", "evaluate_seconds"),
}
"""Columns of epochs.parquet that the suite itself fills; a method may add some of any kind."""
ROUNDING = 1e-6
"""By how much a percentage may leave its range."""


def appended(
    history: "pd.DataFrame", row: dict[str, Any], train: float, evaluate: float, views: int
) -> "pd.DataFrame":
    """Return the history with the row of a finished epoch.

    Args:
        history: a row per earlier epoch; empty at the start.
        row: `epoch`, and metrics by name.
        train: seconds of training of this epoch.
        evaluate: seconds of evaluation of this epoch.
        views: images that passed through the network in training, each view counted.
    """
    import pandas as pd  # at need: to list runs, no table is made

    earlier = history.iloc[-1] if len(history) else dict.fromkeys(TOTALS, 0)
    sums = {
        name: earlier[name] + value
        for name, value in zip(TOTALS, (views, train, evaluate), strict=True)
    }
    sums["images_seen"] = int(sums["images_seen"])
    leading = {"epoch": row["epoch"], "knn": np.nan, "images_per_second": np.nan}
    return pd.concat([history, pd.DataFrame([{**leading, **row, **sums}])], ignore_index=True)


def percentage(name: str) -> bool:
    """Return whether a metric, of whichever representation, is from 0 to 100."""
    return metric_names.split(name)[0] in PERCENTAGES


def flaw_of_epochs(frame: "pd.DataFrame") -> str | None:
    """Return in what a table is not one of epochs; None if it is one.

    Its epochs are 1, 2, 3 and so on, or a single 0; its values are numbers, NaN if not measured.
    """
    if "epoch" not in frame or frame.empty:
        return "expected a column epoch and a row per epoch, found none"
    names = sorted(map(str, frame))
    for name in names:
        if name not in _COLUMNS and not percentage(name):
            continue
        column = frame[name]
        if column.dtype.kind not in "iuf":
            return f"{name}: expected numbers, found {column.dtype}"
        if np.isinf(column.to_numpy(float)).any():
            return f"{name}: expected finite numbers, found an infinite one"
    epochs = frame["epoch"].to_numpy(float)
    first = 0 if len(epochs) == 1 and epochs[0] == 0 else 1
    if not np.array_equal(epochs, np.arange(len(epochs)) + first):
        return "epoch: expected 1, 2, 3 and so on, or a single 0"
    for name in filter(percentage, names):
        values = frame[name].dropna()
        if not values.between(-ROUNDING, 100 + ROUNDING).all():
            return f"{name}: expected percentages from 0 to 100"
    return None
