"""Runs with histograms of made-up similarities."""

import numpy as np
import pandas as pd

from benchmarks.runs import store

EDGES = np.linspace(-1, 1, 81)


def frame_of(sides):
    """Return a table of histograms; `sides` has (positive, negative) similarities by attribute."""
    return pd.concat(
        pd.DataFrame(
            {
                "attribute": name,
                "kind": kind,
                "low": EDGES[:-1],
                "count": np.histogram(side, EDGES)[0],
            }
        )
        for name, pair in sides.items()
        for kind, side in zip(("positive", "negative"), pair, strict=True)
    )


def made_up(shift=0.3, seed=0):
    """Return 500 positive and 700 negative similarities, the positive ones higher by `shift`."""
    random = np.random.default_rng(seed)
    sides = random.normal(0.3 + shift, 0.1, 500), random.normal(0.3, 0.1, 700)
    return tuple(np.clip(side, -1, 1) for side in sides)


def add(results, method, *, sides=None, auc=0.8, attribute_auc=None, knn=(20.0, 40.0), **run):
    """Put a run with the similarities `sides`, as `frame_of` takes them."""
    figures = {"similarity_overlap": 0.4, "similarity_auc": auc}
    if attribute_auc is not None:
        figures |= {"attribute_overlap": 0.5, "attribute_auc": attribute_auc}
    folder = results.add(method, list(knn), figures=figures, **run)
    frame = frame_of({"class": made_up()} if sides is None else sides)
    store.write_frame(folder, store.SIMILARITIES, frame)
    return folder
