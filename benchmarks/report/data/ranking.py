"""Methods over data sets: average ranks, and which of them are not told apart."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.evaluator.metric_names import EMBEDDING
from benchmarks.report.data import aggregate
from benchmarks.report.data.comparison import Comparison
from evaluation.significance import average_ranks, nemenyi_critical_difference
from evaluation.validation import Doubles

ENOUGH_DATASETS = 5
ENOUGH_METHODS = 3
LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Methods over data sets, each by its accuracy in one comparison."""

    comparisons: tuple[Comparison, ...]
    """One per data set."""
    methods: tuple[str, ...]
    scores: Doubles
    """(data sets, methods) kNN accuracy (R@1 of unseen classes) in percent, mean over seeds."""
    left_out: tuple[str, ...]
    """Methods that some of the data sets lack."""
    representation: str = EMBEDDING
    """What all of them are compared by."""
    others: tuple[str, ...] = ()
    """Methods without that representation, and that of each."""

    @property
    def score(self) -> str:
        """What the methods are ranked by, in words."""
        found = dict.fromkeys(c.headline.words for c in self.comparisons)
        return " or ".join(sorted(found, reverse=True))

    @property
    def ranks(self) -> Doubles:
        """The methods' average ranks; 1 is the best."""
        return average_ranks(self.scores)

    @property
    def critical_difference(self) -> float:
        """By how much two average ranks must differ."""
        return nemenyi_critical_difference(len(self.methods), len(self.comparisons), LEVEL)


def ranking(comparisons: Sequence[Comparison]) -> Ranking | None:
    """Return what can be ranked, or None if there is too little.

    Of a data set's comparisons the one with most methods counts, of equal ones that with most
    finished runs, then the report's first. A method stands for its least changed variant.
    """
    chosen: dict[str, tuple[Comparison, dict[str, float]]] = {}
    representation = _representation(comparisons)
    for comparison in comparisons:
        accuracies = _accuracies(comparison, representation)
        if len(accuracies) < ENOUGH_METHODS:
            continue
        held = chosen.get(comparison.dataset_name)
        if held is None or _size(comparison, accuracies) > _size(*held):
            chosen[comparison.dataset_name] = comparison, accuracies
    if len(chosen) < ENOUGH_DATASETS:
        return None
    rows = [accuracies for _, accuracies in chosen.values()]
    every = list(dict.fromkeys(method for row in rows for method in row))
    methods = [method for method in every if all(method in row for row in rows)]
    if len(methods) < ENOUGH_METHODS:
        return None
    return Ranking(
        comparisons=tuple(comparison for comparison, _ in chosen.values()),
        methods=tuple(methods),
        scores=np.array([[row[method] for method in methods] for row in rows]),
        left_out=tuple(method for method in every if method not in methods),
        representation=representation,
        others=tuple(
            dict.fromkeys(
                f"{group.method} ({group.representation})"
                for comparison, held in chosen.values()
                for group in comparison.unablated
                if group.runs and group.representation != representation
                if group.method not in held
            )
        ),
    )


def _representation(comparisons: Sequence[Comparison]) -> str:
    """Return the representation of most comparisons, of equally many the first one's."""
    counts = Counter(comparison.representation for comparison in comparisons)
    return max(counts, key=lambda name: counts[name], default=EMBEDDING)


def _accuracies(comparison: Comparison, representation: str) -> dict[str, float]:
    """Return each method's headline metric by its least changed variant.

    No ablation counts, no method that learns from labels and none without the representation.
    """
    found: dict[str, float] = {}
    for group in comparison.unablated:
        value = aggregate.final(group, comparison.headline.of(representation))
        if value is not None and group.ranked:
            found.setdefault(group.method, value.mean)
    return found


def _size(comparison: Comparison, accuracies: Mapping[str, float]) -> tuple[int, int]:
    return len(accuracies), len(comparison.runs)


def cliques(ranks: Sequence[float], critical_difference: float) -> list[tuple[float, float]]:
    """Return the lowest and highest rank of each largest group that is not told apart.

    Args:
        ranks: in any order.
        critical_difference: ranks of a group differ by less.
    """
    ordered = sorted(ranks)
    found: list[tuple[float, float]] = []
    reached = 0
    for place, low in enumerate(ordered):
        end = bisect_left(ordered, low + critical_difference) - 1
        if end > max(place, reached):
            found.append((low, ordered[end]))
            reached = end
    return found
