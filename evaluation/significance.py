"""Is a difference real? Tests over seeds, over test images and over data sets."""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from evaluation.validation import Doubles, check_count

EXACT_BELOW = 25
"""Discordant pairs from which McNemar's test takes chi-square for the exact binomial."""
_ROUNDING = 1e-12
"""Values that differ relatively by less are the same, summed in another order."""


class Interval(NamedTuple):
    """Both ends of a confidence interval; NaN where it does not exist."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """First minus second over pairs, in the unit of the values."""

    mean: float
    sd: float
    """Sample standard deviation of the differences; NaN with one pair, like all that follows."""
    interval: Interval
    """Student's t interval of the mean."""
    p: float
    """Two-sided, of the paired t test."""
    pairs: int


@dataclass(frozen=True)
class McNemar:
    """Where two classifiers disagree on the same images."""

    first_only: int
    """Images that only the first has right."""
    second_only: int
    p: float
    """Two-sided."""
    test: Literal["exact binomial", "continuity-corrected chi-square"]


@dataclass(frozen=True)
class BootstrapDifference:
    """First minus second accuracy over test images, in percentage points."""

    mean: float
    interval: Interval
    """Percentiles of the resampled differences."""
    p: float
    """Two-sided; never below 1 / (draws + 1)."""


@dataclass(frozen=True)
class Friedman:
    """Do several methods have the same ranks over data sets?"""

    chi_square: float
    f: float
    """Iman and Davenport's statistic; infinite if all data sets rank alike."""
    degrees: tuple[int, int]
    """Of `f`: (methods - 1, (methods - 1) * (data sets - 1))."""
    p: float
    """Of `f`; 1 if there is no difference at all."""


def confidence_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Return Student's t interval of the mean of a few values.

    Args:
        values: (n,) finite, n at least 1. With one value there is no interval: both ends are NaN.
        level: probability with which such intervals cover the mean, between 0 and 1.

    Raises:
        ValueError: if the values or the level do not fit.
    """
    sample = _finite(values, "values")
    _check_share(level, "level")
    if len(sample) < 2:
        return Interval(math.nan, math.nan)
    mean, error = float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(len(sample))
    reach = float(stats.t.ppf((1 + level) / 2, len(sample) - 1)) * error
    return Interval(mean - reach, mean + reach)


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, level: float = 0.95
) -> PairedDifference:
    """Return the mean of first minus second with its paired t test.

    Pairs that agree up to rounding differ by 0. If all differences are equal, the interval is a
    point and p is the limit: 1 if they are 0, else 0.

    Args:
        first: (n,) finite values, such as one accuracy per seed.
        second: (n,) values of the same seeds in the same order.
        level: of the interval, between 0 and 1.

    Raises:
        ValueError: if the values do not pair up or the level does not fit.
    """
    one, other = _finite(first, "first"), _finite(second, "second")
    _check_same_shape(one, other)
    differences = np.where(np.isclose(one, other, rtol=_ROUNDING, atol=0.0), 0.0, one - other)
    interval = confidence_interval(differences, level)
    mean, pairs = float(differences.mean()), len(differences)
    if pairs < 2:
        return PairedDifference(mean, math.nan, interval, math.nan, pairs)
    sd = float(differences.std(ddof=1))
    if sd == 0.0:
        p = float(mean == 0.0)
    else:
        p = 2 * float(stats.t.sf(abs(mean) / sd * math.sqrt(pairs), pairs - 1))
    return PairedDifference(mean, sd, interval, p, pairs)


def mcnemar(first_correct: npt.ArrayLike, second_correct: npt.ArrayLike) -> McNemar:
    """Test whether two classifiers have the same error rate on the images of one test set.

    Only images that exactly one of the two has right count. Fewer than EXACT_BELOW of them are
    judged by the exact binomial test, more by chi-square with the continuity correction; without
    any, p is 1. The correction stops at a difference of 0, as it approximates the exact test, which
    gives 1 for equal counts; so does R's mcnemar.test. (statsmodels corrects a difference of 0 to
    1, and has p = .84 for 13 against 13.) Source: McNemar, Psychometrika 1947; Edwards,
    Psychometrika 1948; Dietterich, Neural Computation 1998, section 3.1.

    Args:
        first_correct: (images,) bool, whether the first classifier has the image right.
        second_correct: (images,) bool, of the same images in the same order.

    Raises:
        ValueError: if the arrays are not boolean, are empty or do not pair up.
    """
    first, second = _both_correct(first_correct, second_correct)
    if first.ndim != 1:
        raise ValueError(
            f"first_correct: expected shape (images,), found {first.shape}; McNemar's test takes "
            "one run of each, bootstrap_difference takes several"
        )
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = first_only + second_only
    if discordant < EXACT_BELOW:
        p = float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0
        return McNemar(first_only, second_only, p, "exact binomial")
    excess = max(abs(first_only - second_only) - 1, 0)
    p = float(stats.chi2.sf(excess**2 / discordant, 1))
    return McNemar(first_only, second_only, p, "continuity-corrected chi-square")


def bootstrap_difference(
    first_correct: npt.ArrayLike,
    second_correct: npt.ArrayLike,
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapDifference:
    """Return the difference of two accuracies with its paired bootstrap over the test images.

    Images are drawn with replacement, the same ones for both; the seeds stay as they are, so the
    answer is about these networks on another test set. p is the share of draws that stray from the
    difference found by at least its size, the found one counted among them. Source: Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, sections 13.3 and 16.4; Davison and
    Hinkley, Bootstrap Methods and their Application, 1997, equation 4.11.

    Args:
        first_correct: (images,) or (seeds, images) bool, whether the image is right.
        second_correct: the same shape, of the same images in the same order.
        draws: how many test sets are drawn, at least 1.
        level: of the interval, between 0 and 1.
        seed: at least 0; the same seed gives the same figures.

    Raises:
        ValueError: if the arrays are not boolean, are empty or do not pair up, or an option does
            not fit.
    """
    first, second = _both_correct(first_correct, second_correct)
    draws = check_count(draws, "draws")
    _check_share(level, "level")
    images = first.shape[-1]
    gains = (first.astype(np.int64) - second).reshape(-1, images).sum(axis=0)
    # an image's gain takes few values, and drawing images is drawing how often each value comes
    values, counts = np.unique(gains, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, size=draws) @ values
    found = gains.sum()
    astray = int(np.count_nonzero(np.abs(drawn - found) >= abs(found)))
    points = 100.0 / first.size
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) * points
    return BootstrapDifference(
        mean=float(found * points),
        interval=Interval(float(ends[0]), float(ends[1])),
        p=(1 + astray) / (1 + draws),
    )


def holm(p_values: npt.ArrayLike) -> Doubles:
    """Return p values adjusted so that one false alarm in the whole family is as rare as stated.

    A hypothesis is rejected at level a if its adjusted p is at most a. Source: Holm, Scandinavian
    Journal of Statistics 1979.

    Args:
        p_values: (n,) from 0 to 1; NaN is a test that could not be made: it stays and is not
            counted.

    Returns:
        (n,) from 0 to 1, in the order given.

    Raises:
        ValueError: if a value is neither a probability nor NaN.
    """
    given = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(given)
    made_p = given[made]
    if given.ndim != 1 or ((made_p < 0) | (made_p > 1)).any():
        raise ValueError(
            f"p_values: expected a list of values from 0 to 1 or NaN, found {given}; pass one p "
            "per test"
        )
    order = np.argsort(made_p, kind="stable")
    steps = made_p[order] * np.arange(len(order), 0, -1)
    in_order = np.empty_like(steps)
    in_order[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    adjusted = given.copy()
    adjusted[made] = in_order
    return adjusted


def average_ranks(scores: npt.ArrayLike) -> Doubles:
    """Return each method's mean rank over data sets: 1 is the best, ties share their mean rank.

    Source: Demšar, JMLR 2006, section 3.2.2.

    Args:
        scores: (data sets, methods) finite; higher is better.

    Returns:
        (methods,) from 1 to the number of methods.

    Raises:
        ValueError: if the scores are no such table.
    """
    ranks: Doubles = stats.rankdata(-_table(scores), axis=1).mean(axis=0)
    return ranks


def friedman(scores: npt.ArrayLike) -> Friedman:
    """Test whether several methods rank alike over data sets.

    The chi-square statistic is not corrected for ties, which makes the test cautious where there
    are many. Source: Demšar, JMLR 2006, section 3.2.2, and Iman and Davenport, Communications in
    Statistics 1980.

    Args:
        scores: (data sets, methods) finite, at least 2 of each; higher is better.

    Raises:
        ValueError: if the scores are no such table or too small.
    """
    table = _table(scores)
    sets, methods = table.shape
    if min(sets, methods) < 2:
        raise ValueError(
            f"scores: expected at least 2 data sets and 2 methods, found {sets} and {methods}; "
            "ranks need something to compare"
        )
    ranks = average_ranks(table)
    excess = float(np.square(ranks - (methods + 1) / 2).sum())
    chi_square = 12 * sets / (methods * (methods + 1)) * excess
    rest = sets * (methods - 1) - chi_square
    degrees = methods - 1, (methods - 1) * (sets - 1)
    if math.isclose(rest, 0.0, abs_tol=_ROUNDING * sets * methods):
        return Friedman(chi_square, math.inf, degrees, 0.0)
    f = (sets - 1) * chi_square / rest
    return Friedman(chi_square, f, degrees, float(stats.f.sf(f, *degrees)))


def nemenyi_critical_difference(methods: int, datasets: int, level: float = 0.05) -> float:
    """Return by how much average ranks must differ for two of several methods to differ.

    Source: Demšar, JMLR 2006, section 3.2.2 and Table 5: q sqrt(k (k + 1) / (6 N)), q the quantile
    of the studentised range with infinite degrees of freedom, divided by sqrt(2).

    Args:
        methods: k, at least 2; every pair of them is compared.
        datasets: N, at least 1.
        level: probability of any false alarm, between 0 and 1.

    Raises:
        ValueError: if an argument does not fit.
    """
    methods, datasets = check_count(methods, "methods"), check_count(datasets, "datasets")
    _check_share(level, "level")
    if methods < 2:
        raise ValueError("methods: expected at least 2, got 1; ranks need something to compare")
    quantile = float(stats.studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _finite(values: npt.ArrayLike, name: str) -> Doubles:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise ValueError(
            f"{name}: expected a non-empty list of finite values, found {_described(sample)}; "
            "leave out runs without a figure"
        )
    return sample


def _table(scores: npt.ArrayLike) -> Doubles:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(
            f"scores: expected finite values of shape (data sets, methods), found "
            f"{_described(table)}; leave out methods that were not run on every data set"
        )
    return table


def _described(values: Doubles) -> str:
    missing = int((~np.isfinite(values)).sum())
    return f"shape {values.shape}" + (f" with {missing} not finite" if missing else "")


def _both_correct(
    first_correct: npt.ArrayLike, second_correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    first = _correct(first_correct, "first_correct")
    second = _correct(second_correct, "second_correct")
    _check_same_shape(first, second)
    return first, second


def _correct(correct: npt.ArrayLike, name: str) -> npt.NDArray[np.bool_]:
    array = np.asarray(correct)
    if array.dtype != np.bool_ or array.ndim not in (1, 2) or not array.size:
        raise ValueError(
            f"{name}: expected a non-empty boolean array of shape (images,) or (seeds, images), "
            f"found {array.dtype} of shape {array.shape}; pass predictions == labels"
        )
    return array


def _check_same_shape(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"second: expected shape {first.shape} like the first, found {second.shape}; pair the "
            "values, one of each for every seed or image"
        )


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, got {value!r}")
