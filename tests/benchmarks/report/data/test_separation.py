import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.report.data import separation
from benchmarks.runs import store
from evaluation.metrics.separation import BINS
from helpers.similarities import EDGES, add, frame_of, made_up


def test_bins_are_those_of_the_evaluation():
    assert len(separation.EDGES) - 1 == BINS == 80
    np.testing.assert_allclose(np.diff(separation.EDGES), 0.025)


def test_densities_integrate_to_one_and_follow_the_counts(results):
    add(results, "nce")
    (run,) = results.comparison().runs
    found = separation.densities(run)["class"]
    np.testing.assert_allclose(found.sum(axis=1) * 0.025, 1.0)
    for density, side in zip(found, made_up(), strict=True):
        expected, _ = np.histogram(side, EDGES, density=True)
        np.testing.assert_allclose(density, expected)


def test_bins_without_counts_may_be_left_out_in_any_order(results):
    folder = add(results, "nce")
    (run,) = results.comparison().runs
    whole = separation.densities(run)["class"]
    frame = run.frame(store.SIMILARITIES)
    store.write_frame(folder, store.SIMILARITIES, frame[frame["count"] > 0].iloc[::-1])
    np.testing.assert_array_equal(separation.densities(run)["class"], whole)


def test_the_area_of_two_seeds_is_their_mean(results):
    add(results, "nce", sides={"class": made_up(seed=1)})
    add(results, "nce", sides={"class": made_up(seed=2)}, seed=1)
    (found,) = separation.measured(results.comparison())
    first, second = (separation.densities(run)["class"] for run in results.comparison().runs)
    np.testing.assert_allclose(found.densities("class"), (first + second) / 2)


@pytest.mark.parametrize("shift", [-0.2, 0.0, 0.1, 0.5])
def test_the_binned_auc_is_the_area_under_the_roc_curve_of_binned_values(results, shift):
    sides = made_up(shift)
    add(results, "nce", sides={"class": sides})
    (run,) = results.comparison().runs
    places = np.digitize(np.concatenate(sides), EDGES[:-1])  # 1 is in the last bin
    truth = np.repeat([1, 0], [len(side) for side in sides])
    found = separation.binned_auc(separation.densities(run)["class"])
    assert found == pytest.approx(roc_auc_score(truth, places))


def test_the_mean_is_of_the_seeds_that_have_an_attribute(results):
    add(results, "nce", sides={"class": made_up(seed=1), "animal": made_up(seed=2)})
    add(results, "nce", sides={"class": made_up(seed=3)}, seed=1)
    (found,) = separation.measured(results.comparison())
    own = separation.densities(results.comparison().runs[0])["animal"]
    np.testing.assert_array_equal(found.densities("animal"), own)
    assert found.densities("can_fly") is None
    assert found.panel("can_fly", "can fly") is None
    assert found.auc("animal").n == 1


def test_the_recorded_auc_goes_before_that_of_the_bins(results):
    add(results, "nce", auc=0.123)
    (found,) = separation.measured(results.comparison())
    assert found.panel("class", "nce").auc.mean == 0.123


@pytest.mark.parametrize(
    "damage",
    [
        lambda frame: frame.drop(columns="count"),
        lambda frame: frame.assign(count=np.nan),
        lambda frame: frame.assign(count=0),
        lambda frame: frame[frame["kind"] == "positive"],
        lambda frame: frame[:0],
    ],
    ids=["no counts", "unknown counts", "zeros", "one kind", "no rows"],
)
def test_a_table_without_both_kinds_has_no_densities(results, damage):
    folder = add(results, "nce")
    frame_there = frame_of({"class": made_up()})
    store.write_frame(folder, store.SIMILARITIES, damage(frame_there))
    assert separation.measured(results.comparison()) == []


def test_the_ends_of_the_range_are_in_the_outer_bins(results):
    add(results, "nce", sides={"class": (np.array([1.0, 1.0]), np.array([-1.0]))})
    (found,) = separation.measured(results.comparison())
    positive, negative = found.densities("class")
    assert positive.nonzero()[0].tolist() == [BINS - 1]
    assert negative.nonzero()[0].tolist() == [0]
    assert separation.binned_auc(found.densities("class")) == 1.0
