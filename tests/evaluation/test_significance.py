import math

import numpy as np
import pytest
from scipy import stats

from evaluation.significance import (
    EXACT_BELOW,
    average_ranks,
    bootstrap_difference,
    confidence_interval,
    friedman,
    holm,
    mcnemar,
    nemenyi_critical_difference,
    paired_difference,
)

# Ranks of Table 6 of Demšar, JMLR 2006: C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets.
DEMSAR_RANKS = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)


def flags(*counts):
    """Return two boolean arrays: both right, only the first, only the second, both wrong."""
    first, second = [True, True, False, False], [True, False, True, False]
    return np.repeat(first, counts), np.repeat(second, counts)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("values", [[1.0, 2.0], [53.0, 54.5, 52.1], list(range(30))])
def test_the_interval_equals_scipys(values, level):
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert confidence_interval(values, level) == pytest.approx((expected.low, expected.high))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [confidence_interval(rng.normal(3.0, 2.0, 4), 0.8) for _ in range(2000)]
    assert np.mean([low < 3.0 < high for low, high in found]) == pytest.approx(0.8, abs=0.03)


def test_one_value_has_no_interval_and_equal_ones_a_point():
    assert all(map(math.isnan, confidence_interval([53.0])))
    assert confidence_interval([53.0, 53.0, 53.0]) == (53.0, 53.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf], [[1.0, 2.0]]])
def test_values_that_are_no_sample_are_refused(values):
    with pytest.raises(ValueError, match="values: expected a non-empty list of finite values"):
        confidence_interval(values)
    with pytest.raises(ValueError, match="first: expected"):
        paired_difference(values, values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_is_between_zero_and_one(level):
    calls = (
        lambda: confidence_interval([1.0, 2.0], level),
        lambda: bootstrap_difference(*flags(1, 1, 1, 1), level=level),
        lambda: nemenyi_critical_difference(4, 14, level),
    )
    for call in calls:
        with pytest.raises(ValueError, match="level: expected a number between 0 and 1"):
            call()


@pytest.mark.parametrize("pairs", [2, 3, 10])
def test_the_paired_difference_equals_scipys(pairs):
    rng = np.random.default_rng(pairs)
    first, second = rng.normal(54, 1, pairs), rng.normal(53, 1, pairs)
    expected = stats.ttest_rel(first, second)
    found = paired_difference(first, second)
    assert found.mean == pytest.approx(np.mean([a - b for a, b in zip(first, second, strict=True)]))
    assert found.sd == pytest.approx(np.std(first - second, ddof=1))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.pairs == pairs


def test_the_interval_excludes_zero_exactly_where_p_is_small():
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = paired_difference(rng.normal(1, 1, 4), rng.normal(0, 1, 4))
        assert (found.p < 0.05) == (found.interval.low > 0 or found.interval.high < 0)


def test_identical_values_do_not_differ():
    found = paired_difference([50.0, 51.0, 52.0], [50.0, 51.0, 52.0])
    assert (found.mean, found.sd, found.p, found.interval) == (0.0, 0.0, 1.0, (0.0, 0.0))


def test_rounding_is_no_difference():
    found = paired_difference([0.1 + 0.2] * 3, [0.3] * 3)
    assert (found.mean, found.p) == (0.0, 1.0)


def test_a_difference_without_variance_is_certain():
    found = paired_difference([52.0, 53.0, 54.0], [50.0, 51.0, 52.0])
    assert (found.mean, found.sd, found.p, found.interval) == (2.0, 0.0, 0.0, (2.0, 2.0))


def test_one_pair_has_a_mean_and_no_test():
    found = paired_difference([52.0], [50.0])
    assert (found.mean, found.pairs) == (2.0, 1)
    assert all(map(math.isnan, (found.sd, found.p, *found.interval)))


def test_pairs_have_two():
    with pytest.raises(ValueError, match=r"second: expected shape \(2,\) like the first"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match=r"second: expected shape \(4,\) like the first"):
        mcnemar(np.ones(4, bool), np.ones(3, bool))


@pytest.mark.parametrize(("first_only", "second_only"), [(0, 1), (1, 5), (5, 5), (20, 4), (24, 0)])
def test_few_discordant_pairs_are_judged_exactly(first_only, second_only):
    n, few = first_only + second_only, min(first_only, second_only)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(few + 1)) / 2**n)
    found = mcnemar(*flags(30, first_only, second_only, 10))
    assert (found.first_only, found.second_only) == (first_only, second_only)
    assert found.p == pytest.approx(expected)
    assert found.test == "exact binomial"


@pytest.mark.parametrize(("first_only", "second_only"), [(20, 5), (13, 12), (13, 13), (300, 420)])
def test_many_discordant_pairs_are_judged_by_chi_square(first_only, second_only):
    excess = max(abs(first_only - second_only) - 1, 0)
    # with one degree of freedom chi-square is a squared normal variable
    expected = math.erfc(excess / math.sqrt(2 * (first_only + second_only)))
    found = mcnemar(*flags(0, first_only, second_only, 3))
    assert found.p == pytest.approx(expected)
    assert found.test == "continuity-corrected chi-square"


@pytest.mark.parametrize("half", [1, 12, 13, 50, 400])
def test_equal_counts_are_no_difference_at_all(half):
    found = mcnemar(*flags(5, half, half, 5))
    # the correction approximates the exact test, whose p is 1 by symmetry
    naive = sum(
        math.comb(2 * half, i)
        for i in range(2 * half + 1)
        if math.comb(2 * half, i) <= math.comb(2 * half, half)
    )
    assert found.p == naive / 4**half == 1.0


@pytest.mark.parametrize(("first_only", "second_only"), [(26, 24), (30, 20), (230, 190)])
def test_the_corrected_chi_square_is_near_the_exact_test(first_only, second_only):
    n, few = first_only + second_only, min(first_only, second_only)
    exact = 2 * sum(math.comb(n, i) for i in range(few + 1)) / 2**n
    assert mcnemar(*flags(0, first_only, second_only, 3)).p == pytest.approx(exact, abs=0.005)


def test_the_two_forms_of_mcnemar_agree_where_they_meet():
    below, above = mcnemar(*flags(5, 17, 7, 5)), mcnemar(*flags(5, 18, 7, 5))
    assert below.test != above.test
    assert below.first_only + below.second_only == EXACT_BELOW - 1
    assert above.p == pytest.approx(stats.binomtest(18, 25).pvalue, abs=0.01)


@pytest.mark.parametrize("counts", [(10, 0, 0, 0), (0, 0, 0, 10), (5, 0, 0, 5)])
def test_classifiers_that_never_disagree_do_not_differ(counts):
    assert mcnemar(*flags(*counts)).p == 1.0
    found = bootstrap_difference(*flags(*counts))
    assert (found.mean, found.p, found.interval) == (0.0, 1.0, (0.0, 0.0))


@pytest.mark.parametrize("test", [mcnemar, bootstrap_difference])
def test_the_tests_over_images_know_no_order(test):
    first, second = flags(50, 12, 4, 30)
    assert test(first, second).p == pytest.approx(test(second, first).p, abs=0.005)


@pytest.mark.parametrize("test", [mcnemar, bootstrap_difference])
@pytest.mark.parametrize(
    "wrong", [np.array([], bool), np.array([0, 1]), np.array([0.5, 1.0]), np.ones((1, 1, 1), bool)]
)
def test_only_right_and_wrong_are_accepted(test, wrong):
    with pytest.raises(ValueError, match="first_correct: expected a non-empty boolean array"):
        test(wrong, wrong)
    with pytest.raises(ValueError, match="second_correct: expected a non-empty boolean array"):
        test(np.ones(2, bool), wrong)


def test_mcnemar_takes_one_run_of_each():
    with pytest.raises(ValueError, match="bootstrap_difference takes several"):
        mcnemar(np.ones((2, 5), bool), np.ones((2, 5), bool))


def naive_bootstrap(first, second, draws, seed):
    """Draw images one test set at a time, seeds kept."""
    rng = np.random.default_rng(seed)
    images = first.shape[-1]
    found = 100 * (first.mean() - second.mean())
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(0, images, images)
        drawn.append(100 * (first[..., chosen].mean() - second[..., chosen].mean()))
    drawn = np.array(drawn)
    astray = (np.abs(drawn - found) >= abs(found) - 1e-9).sum()
    return found, np.quantile(drawn, [0.025, 0.975]), (1 + astray) / (1 + draws)


@pytest.mark.parametrize("seeds", [None, 1, 3])
def test_the_bootstrap_equals_drawing_images_one_by_one(seeds):
    rng = np.random.default_rng(1)
    shape = (200,) if seeds is None else (seeds, 200)
    first, second = rng.random(shape) < 0.62, rng.random(shape) < 0.55
    mean, interval, p = naive_bootstrap(first, second, 4000, 5)
    found = bootstrap_difference(first, second, draws=20_000)
    assert found.mean == pytest.approx(mean)
    assert found.interval == pytest.approx(tuple(interval), abs=0.6)
    assert found.p == pytest.approx(p, abs=0.03)


def test_seeds_are_averaged_and_not_taken_for_images():
    first, second = flags(50, 14, 6, 30)
    once = bootstrap_difference(first, second)
    assert bootstrap_difference(np.stack([first] * 5), np.stack([second] * 5)) == once


def test_the_bootstrap_is_repeatable_and_its_seed_matters():
    pair = flags(50, 14, 6, 30)
    assert bootstrap_difference(*pair, seed=3) == bootstrap_difference(*pair, seed=3)
    assert bootstrap_difference(*pair, seed=3) != bootstrap_difference(*pair, seed=4)


def test_all_right_against_all_wrong_is_as_certain_as_the_draws_allow():
    found = bootstrap_difference(*flags(0, 40, 0, 0), draws=999)
    assert (found.mean, found.p, found.interval) == (100.0, 0.001, (100.0, 100.0))


def test_the_bootstrap_agrees_with_mcnemar_on_one_run():
    pair = flags(500, 70, 40, 390)
    assert bootstrap_difference(*pair).p == pytest.approx(mcnemar(*pair).p, abs=0.005)


@pytest.mark.parametrize("draws", [0, -1, 2.5])
def test_draws_are_counted(draws):
    with pytest.raises(ValueError, match="draws: expected an integer of at least 1"):
        bootstrap_difference(*flags(1, 1, 1, 1), draws=draws)


def test_holm_on_demsars_example():
    """Section 3.2.2 of Demšar 2006 rejects the first two hypotheses at 0.05 and not the third."""
    adjusted = holm([0.607, 0.016, 0.019])
    assert adjusted == pytest.approx([0.607, 0.048, 0.048])


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_holm_rejects_what_its_step_down_procedure_rejects(level):
    rng = np.random.default_rng(0)
    for _ in range(30):
        p_values = rng.random(8) ** 3
        rejected = np.zeros(8, bool)
        for step, place in enumerate(np.argsort(p_values)):
            if p_values[place] > level / (8 - step):
                break
            rejected[place] = True
        assert ((holm(p_values) <= level) == rejected).all()


def test_holm_counts_only_tests_that_were_made():
    adjusted = holm([math.nan, 0.01, math.nan, 0.04])
    assert np.isnan(adjusted[[0, 2]]).all()
    assert adjusted[[1, 3]] == pytest.approx([0.02, 0.04])
    assert np.isnan(holm([math.nan])).all()


def test_holm_in_its_limits():
    assert holm([]).shape == (0,)
    assert holm([0.03]).tolist() == [0.03]
    assert holm([0.0, 1.0, 1.0]).tolist() == [0.0, 1.0, 1.0]
    assert holm([0.9, 0.9]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [[1.2], [-0.1, 0.5], [[0.1, 0.2]], 0.5])
def test_holm_refuses_what_is_no_list_of_probabilities(wrong):
    with pytest.raises(ValueError, match="p_values: expected"):
        holm(wrong)


def test_demsars_average_ranks():
    assert average_ranks(-DEMSAR_RANKS) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_ranks_equal_counting():
    scores = np.random.default_rng(0).integers(0, 4, (6, 5)).astype(float)
    expected = [
        np.mean([1 + (row > row[i]).sum() + ((row == row[i]).sum() - 1) / 2 for row in scores])
        for i in range(5)
    ]
    assert average_ranks(scores) == pytest.approx(expected)


def test_demsars_friedman_test():
    found = friedman(-DEMSAR_RANKS)
    assert found.chi_square == pytest.approx(9.28, abs=5e-3)
    assert found.f == pytest.approx(3.69, abs=5e-3)
    assert found.degrees == (3, 39)
    assert 0.01 < found.p < 0.05


def test_friedman_equals_scipys_without_ties():
    scores = np.random.default_rng(0).random((7, 4))
    assert friedman(scores).chi_square == pytest.approx(
        stats.friedmanchisquare(*scores.T).statistic
    )


def test_friedman_where_nothing_or_everything_differs():
    alike = friedman(np.ones((6, 3)))
    assert (alike.chi_square, alike.f, alike.p) == (0.0, 0.0, 1.0)
    clear = friedman(np.tile([3.0, 2.0, 1.0], (6, 1)))
    assert (clear.chi_square, clear.f, clear.p) == (pytest.approx(12.0), math.inf, 0.0)


@pytest.mark.parametrize(
    "wrong", [[1.0, 2.0], [[1.0, math.nan]], [[]], [[1.0, 2.0]], [[1.0], [2.0]]]
)
def test_friedman_needs_a_whole_table(wrong):
    with pytest.raises(ValueError, match="scores: expected"):
        friedman(wrong)


@pytest.mark.parametrize(
    ("level", "quantiles"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_the_critical_difference_has_the_quantiles_of_demsars_table(level, quantiles):
    for methods, quantile in enumerate(quantiles, 2):
        expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 14))
        found = nemenyi_critical_difference(methods, 14, level)
        assert found == pytest.approx(expected, rel=5e-4)


def test_the_critical_difference_of_demsars_example():
    assert nemenyi_critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.parametrize(("methods", "datasets"), [(1, 5), (0, 5), (3, 0), (2.5, 5)])
def test_the_critical_difference_needs_methods_and_data_sets(methods, datasets):
    with pytest.raises(ValueError, match="expected"):
        nemenyi_critical_difference(methods, datasets)
