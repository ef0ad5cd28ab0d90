"""A run's rows of epochs.parquet: one an epoch, with totals since the start."""

from typing import Any

import numpy as np
import pandas as pd

TOTALS = ("images_seen", "train_seconds", "evaluate_seconds")
"""Columns that add up over the epochs."""


def appended(
    history: pd.DataFrame, row: dict[str, Any], train: float, evaluate: float, views: int
) -> pd.DataFrame:
    """Return the history with the row of a finished epoch.

    Args:
        history: a row per earlier epoch; empty at the start.
        row: `epoch`, and metrics by name.
        train: seconds of training of this epoch.
        evaluate: seconds of evaluation of this epoch.
        views: images that passed through the network in training, each view counted.
    """
    earlier = history.iloc[-1] if len(history) else dict.fromkeys(TOTALS, 0)
    sums = {
        name: earlier[name] + value
        for name, value in zip(TOTALS, (views, train, evaluate), strict=True)
    }
    sums["images_seen"] = int(sums["images_seen"])
    leading = {"epoch": row["epoch"], "knn": np.nan, "images_per_second": np.nan}
    return pd.concat([history, pd.DataFrame([{**leading, **row, **sums}])], ignore_index=True)
