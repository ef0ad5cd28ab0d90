"""Similarities within and between classes or attributes: histograms of runs, over the seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.data import aggregate
from benchmarks.report.data.aggregate import Spread
from benchmarks.report.data.comparison import Comparison, Group
from benchmarks.report.data.quantity import Quantity
from benchmarks.runs.store import SIMILARITIES, StoredRun
from evaluation.metrics.separation import BINS
from evaluation.validation import Doubles

EDGES = np.linspace(-1.0, 1.0, BINS + 1)
BIN_WIDTH = 2.0 / BINS
CLASS = "class"
"""What the `attribute` of a class's histogram is called."""
KINDS = ("positive", "negative")
Densities = Doubles
"""(2, BINS): of positive and negative similarities; either integrates to 1."""

_COLUMN = "attribute"
_NEEDED = {_COLUMN, "kind", "low", "count"}
CLASS_METRICS = (
    Quantity("similarity_overlap", "Overlap"),
    Quantity("similarity_auc", "AUC"),
)
ATTRIBUTE_METRICS = (
    Quantity("attribute_overlap", "Overlap, mean over attributes", "Overlap"),
    Quantity("attribute_auc", "AUC, mean over attributes", "AUC"),
)


@dataclass(frozen=True)
class Panel:
    """One plot of the grid."""

    title: str
    densities: Densities
    auc: Spread | None


@dataclass(frozen=True)
class Measured:
    """A group whose runs recorded similarities."""

    group: Group
    runs: tuple[Mapping[str, Densities], ...]
    """By attribute, of each seed that recorded any."""
    representation: str
    """Of which the similarities are: the group's headline one."""

    def densities(self, attribute: str) -> Densities | None:
        """Return the mean over the seeds, or None if no seed has the attribute."""
        there = [run[attribute] for run in self.runs if attribute in run]
        return np.mean(there, axis=0) if there else None

    def auc(self, attribute: str) -> Spread | None:
        """Return the AUC over the seeds: as it was recorded, or else as far as the bins tell."""
        recorded = auc_of(attribute).of(self.group, self.representation)
        if recorded is not None:
            return recorded
        return aggregate.spread(binned_auc(run[attribute]) for run in self.runs if attribute in run)

    def panel(self, attribute: str, title: str) -> Panel | None:
        """Return the plot of an attribute, or None if no seed has it."""
        densities = self.densities(attribute)
        return None if densities is None else Panel(title, densities, self.auc(attribute))


def auc_of(attribute: str) -> Quantity:
    """Return the AUC of the classes or of one attribute as a metric of a run's record."""
    if attribute == CLASS:
        return CLASS_METRICS[1]
    return Quantity(f"attribute_auc_{attribute}", f"AUC, {in_words(attribute)}", decimals=2)


def densities(run: StoredRun) -> dict[str, Densities]:
    """Return by attribute the densities of a run's similarities; empty if it has none.

    An attribute that lacks one of the two kinds is left out.
    """
    frame = run.frame(SIMILARITIES)
    if frame is None or not set(frame.columns) >= _NEEDED:
        return {}
    found = {}
    for attribute, rows in frame.dropna(subset=[*_NEEDED]).groupby(_COLUMN, sort=False):
        counts = np.stack([_counts(rows[rows["kind"] == kind]) for kind in KINDS])
        totals = counts.sum(axis=1, keepdims=True)
        if (totals > 0).all():
            found[str(attribute)] = counts / totals / BIN_WIDTH
    return found


def _counts(rows: pd.DataFrame) -> Doubles:
    places = np.rint((rows["low"].to_numpy(float) + 1.0) / BIN_WIDTH).astype(int)
    counts = rows["count"].to_numpy(float)
    placed = np.bincount(np.clip(places, 0, BINS - 1), counts, minlength=BINS)
    return placed.astype(np.float64)


def binned_auc(densities: Densities) -> float:
    """Return the probability that a positive similarity is above a negative one.

    Two similarities in one bin count half.
    """
    positive, negative = densities * BIN_WIDTH
    return float(positive @ (np.cumsum(negative) - negative / 2))


def measured(comparison: Comparison) -> list[Measured]:
    """Return the groups whose runs recorded similarities of the comparison's representation."""
    found = []
    for group in comparison.groups:
        if group.representation != comparison.representation:
            continue
        runs = tuple(there for run in group.runs if (there := densities(run)))
        if runs:
            found.append(Measured(group, runs, group.representation))
    return found


def in_words(attribute: str) -> str:
    """Return an attribute's name as words."""
    return attribute.replace("_", " ")
