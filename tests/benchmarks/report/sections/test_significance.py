import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.report.data.compare import planned
from benchmarks.report.render.latex import latex
from benchmarks.report.render.markdown import markdown_table
from benchmarks.report.sections import significance
from benchmarks.report.text.commands import Commands
from benchmarks.runs.store import PREDICTIONS, write_frame

LABELS = np.arange(400) % 10


def add(results, method, right, seed=0, start=0, **options):
    """Put a run that has `right` of 400 images right: those from `start` on."""
    correct = np.roll(np.arange(len(LABELS)) < right, start)
    folder = results.add(method, [10.0, 100 * correct.mean()], seed=seed, **options)
    predicted = np.where(correct, LABELS, (LABELS + 1) % 10)
    write_frame(folder, PREDICTIONS, pd.DataFrame({"label": LABELS, "knn": predicted}))
    return folder


def add_seeds(results, method, *rights, **options):
    return [add(results, method, right, seed, **options) for seed, right in enumerate(rights)]


def chapters_of(results):
    commands = Commands(results.path)
    return [significance.section(comparison, commands) for comparison in results.comparisons()]


def table_of(results):
    (section,) = chapters_of(results)
    assert section.title == "Are the differences real?"
    (table,) = section.tables
    return table


def row(table, label):
    (found,) = [r for r in table.rows if r.cells["method"].code == label]
    return found


def verdict(results, label="nce"):
    return row(table_of(results), label).cells["verdict"].text


def test_a_clear_difference_over_seeds_and_images(results):
    add_seeds(results, "invaspread", 240, 244, 238)
    add_seeds(results, "nce", 190, 190, 187)
    table = table_of(results)
    found = row(table, "nce")
    expected = stats.ttest_rel([60.0, 61.0, 59.5], [47.5, 47.5, 46.75])
    assert found.data["p_seeds"] == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    shown = {key: cell.full for key, cell in found.cells.items() if key != "p_seeds"}
    assert shown == {
        "method": "",
        "measured": "47.2 ± 0.4 (95 %: 46.2 to 48.3)",
        "gap": "+12.9",
        "paired": f"+12.9 ({low:.1f} to {high:.1f}; 3 seeds)",
        "p_images": "< 0.001 (Holm < 0.001; bootstrap, 3 seeds)",
        "verdict": "better by 12.9",
    }
    assert found.cells["p_seeds"].value == found.data["p_seeds"] == found.data["p_seeds_holm"]


def test_the_best_is_marked_and_not_tested_against_itself(results):
    add_seeds(results, "invaspread", 240, 244, 238)
    add_seeds(results, "nce", 190, 190, 187)
    table = table_of(results)
    assert [r.best for r in table.rows] == [False, True]
    assert set(row(table, "invaspread").cells) == {"method", "measured"}
    assert "against the best, invaspread" in table.caption


def test_one_seed_is_too_few_for_the_test_over_seeds(results):
    add(results, "invaspread", 240)
    add(results, "nce", 188)
    table = table_of(results)
    found = row(table, "nce")
    assert found.cells["verdict"].text == (
        "better by 13.0 over images; too few seeds (1) for the test over seeds: at least 3"
    )
    assert found.cells["paired"].full == "+13.0 (1 seed)"
    assert found.cells["p_images"].aside.endswith("McNemar, seed 0")
    assert found.data["p_images"] == pytest.approx(stats.chi2.sf(51**2 / 52, 1))
    assert "p_seeds" not in found.cells
    assert any("`--seeds 3`" in text for text in table.general_notes)


def test_two_seeds_have_an_interval_and_no_test(results):
    add_seeds(results, "invaspread", 240, 244)
    add_seeds(results, "nce", 188, 180)
    found = row(table_of(results), "nce")
    low, high = stats.ttest_rel([60.0, 61.0], [47.0, 45.0]).confidence_interval()
    assert found.cells["paired"].full == (
        f"+14.5 ({low:.1f} to {high:.1f}; 2 seeds)".replace("(-", "(−")
    )
    assert found.cells["verdict"].text.endswith(
        "too few seeds (2) for the test over seeds: at least 3"
    )
    assert found.cells["p_images"].aside.endswith("bootstrap, 2 seeds")


def test_only_seeds_that_both_have_are_paired(results):
    add_seeds(results, "invaspread", 240, 244, 238, 242)
    for seed, right in ((1, 190), (3, 184), (7, 20)):
        add(results, "nce", right, seed)
    found = row(table_of(results), "nce")
    assert found.data["common_seeds"] == 2
    assert found.data["paired_gap"] == pytest.approx((13.5 + 14.5) / 2)
    assert found.data["images_gap"] == pytest.approx(found.data["paired_gap"])
    assert found.data["gap"] == pytest.approx(60.25 - np.mean([47.5, 46.0, 5.0]))


def test_without_a_common_seed_nothing_is_tested(results):
    add(results, "invaspread", 240, seed=0)
    add(results, "nce", 188, seed=1)
    assert verdict(results) == "not tested: no seed in common"


@pytest.mark.parametrize(
    ("best", "other", "start", "words"),
    [
        ((200, 210, 205), (200, 210, 205), 0, "not distinguishable"),
        ((201, 210, 205), (200, 211, 204), 0, "not distinguishable"),
        ((202, 212, 208), (200, 210, 205), 0, "better by 0.6"),
        (
            (240, 196, 236),
            (200, 200, 200),
            0,
            "not distinguishable over seeds; better by 6.0 over images",
        ),
        (
            (202, 212, 208),
            (200, 210, 205),
            200,
            "better by 0.6 over seeds; not distinguishable over images",
        ),
    ],
)
def test_the_verdict_tells_the_questions_apart_where_the_answers_differ(
    results, best, other, start, words
):
    add_seeds(results, "invaspread", *best)
    add_seeds(results, "exemplar", *other, start=start)
    (tested,) = [r for r in table_of(results).rows if not r.best]
    assert tested.cells["verdict"].text == words


def test_of_identical_methods_the_p_is_one(results):
    add_seeds(results, "invaspread", 200, 210, 205)
    add_seeds(results, "nce", 200, 210, 205)
    (tested,) = [r for r in table_of(results).rows if not r.best]
    assert (tested.data["p_seeds"], tested.data["p_images"]) == (1.0, 1.0)


@pytest.mark.parametrize(("right", "gap"), [(400, 100.0), (0, 0.0)])
def test_all_right_or_all_wrong_is_defined(results, right, gap):
    add_seeds(results, "invaspread", right, right, right)
    add_seeds(results, "nce", 0, 0, 0)
    (tested,) = [r for r in table_of(results).rows if not r.best]
    expected = f"better by {gap:.1f}" if gap else "not distinguishable"
    assert tested.cells["verdict"].text == expected


def test_older_records_without_predictions_are_tested_over_seeds(results):
    for seed, (best, other) in enumerate([(60.0, 47.5), (61.0, 47.5), (59.5, 46.75)]):
        results.add("invaspread", [10.0, best], seed=seed)
        results.add("nce", [10.0, other], seed=seed)
    assert verdict(results) == "better by 12.9 over seeds; no predictions for the test over images"


def test_one_seed_without_predictions_still_has_its_difference(results):
    results.add("invaspread", [10.0, 60.0])
    results.add("nce", [10.0, 47.0])
    found = row(table_of(results), "nce")
    assert found.cells["gap"].text == "+13.0"
    assert found.cells["verdict"].text == (
        "too few seeds (1) for the test over seeds: at least 3; no predictions"
    )


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"label": LABELS}),
        pd.DataFrame({"label": LABELS[:0], "knn": LABELS[:0]}),
        pd.DataFrame({"label": LABELS[::-1], "knn": LABELS}),
        pd.DataFrame({"label": LABELS[:90], "knn": LABELS[:90]}),
        None,
    ],
    ids=["no-column", "no-row", "other-order", "other-images", "damaged"],
)
def test_predictions_that_do_not_pair_up_are_left_out(results, frame):
    add_seeds(results, "invaspread", 240, 244, 238)
    folders = add_seeds(results, "nce", 190, 190, 187)
    for folder in folders:
        if frame is None:
            (folder / PREDICTIONS).write_bytes(b"PAR1 cut off")
        else:
            write_frame(folder, PREDICTIONS, frame)
    found = row(table_of(results), "nce")
    assert "p_images" not in found.cells
    assert found.cells["verdict"].text.endswith("no predictions for the test over images")


def test_each_question_is_corrected_for_the_number_of_rows(results):
    add_seeds(results, "invaspread", 240, 244, 238)
    add_seeds(results, "nce", 228, 231, 223)
    add_seeds(results, "exemplar", 236, 232, 233)
    add(results, "triplet", 100)
    table = table_of(results)
    tested = [r.data for r in table.rows if not r.best]
    for name, count in (("p_seeds", 2), ("p_images", 3)):
        made = sorted((d[name], d[f"{name}_holm"]) for d in tested if d[name] == d[name])
        assert len(made) == count
        # Holm, Scandinavian Journal of Statistics 1979: the i-th smallest times n - i + 1
        steps = [min(1.0, (count - i) * p) for i, (p, _) in enumerate(made)]
        assert [adjusted for _, adjusted in made] == pytest.approx(
            [max(steps[: i + 1]) for i in range(count)]
        )
    assert any("2 over seeds and 3 over images" in text for text in table.general_notes)


def test_the_correction_can_turn_the_verdict(results):
    add_seeds(results, "invaspread", 240, 244, 238)
    add_seeds(results, "nce", 228, 229, 230)
    alone = row(table_of(results), "nce").data
    assert alone["p_seeds"] < 0.05 <= 4 * alone["p_seeds"]
    assert alone["verdict"].startswith("better by")
    for method in ("exemplar", "triplet", "npsoftmax"):
        add_seeds(results, method, 226, 236, 222)
    crowded = row(table_of(results), "nce").data
    assert crowded["p_seeds"] == alone["p_seeds"]
    assert crowded["verdict"].startswith("not distinguishable over seeds")


def test_methods_without_a_figure_are_left_out(results):
    add(results, "invaspread", 240)
    add(results, "nce", 188)
    results.add("exemplar", [20.0, None])
    results.fail("triplet", "the loss is infinite")
    labels = [r.cells["method"].code for r in table_of(results).rows]
    assert labels == ["nce", "invaspread"]


def test_fewer_than_two_methods_or_no_labels_are_nothing_to_compare(results):
    assert not significance.section(planned("cifar10", "quick"), Commands(results.path))
    add(results, "invaspread", 240)
    assert not any(chapters_of(results))
    for method in ("invaspread", "nce"):
        results.add(method, [None, None], dataset="folder")
    assert not any(chapters_of(results))


def test_each_comparison_has_its_own_file_name(results):
    for options in ({}, {"dataset": "digits"}, {"recipe": "paper"}, {"digest": "f" * 16}):
        add(results, "invaspread", 240, **options)
        add(results, "nce", 188, **options)
    slugs = [section.tables[0].slug for section in chapters_of(results)]
    assert len(set(slugs)) == len(slugs) == 4


def test_remarks_say_what_each_test_answers(results):
    add_seeds(results, "invaspread", 240, 244, 238)
    add_seeds(results, "nce", 190, 190, 187)
    said = " ".join(table_of(results).general_notes)
    for words in ("training anew", "another test set", "Holm", "1 over seeds and 1 over images"):
        assert words in said
    assert "Too few seeds" not in said
    assert said.count("`") % 2 == 0


def test_the_table_can_be_written_in_every_form(results):
    add(results, "invaspread", 240)
    add(results, "nce", 188)
    table = table_of(results)
    assert "better by 13.0 over images" in markdown_table(table)
    assert "better by 13.0 over images" in latex(table)
    keys = {key for r in table.rows for key in r.data}
    assert {"verdict", "p_images_holm", "paired_low"} <= keys


BIRDS = {"dataset": "cub200", "recipe": "unseen-quick"}


def add_recalls(results, method, *recalls, **options):
    for seed, recall in enumerate(recalls):
        results.add(method, [1.0, recall], seed=seed, **BIRDS, **options)


def test_recall_of_unseen_classes_is_tested_over_seeds_alone(results):
    add_recalls(results, "invaspread", 40.0, 42.0, 41.0)
    add_recalls(results, "nce", 30.5, 32.0, 31.0)
    table = table_of(results)
    found = row(table, "nce")
    assert "R@1 (%) on cub200" in table.caption
    assert found.cells["verdict"].text == "better by 9.8 over seeds"
    expected = stats.ttest_rel([40.0, 42.0, 41.0], [30.5, 32.0, 31.0])
    assert found.data["p_seeds"] == pytest.approx(expected.pvalue)
    assert "p_images" not in found.cells
    assert not any("McNemar" in text or "both tests" in text for text in table.general_notes)
    assert any("queries of R@1 share" in text for text in table.general_notes)


def test_of_recall_too_few_seeds_are_told_without_a_word_on_predictions(results):
    add_recalls(results, "invaspread", 40.0)
    add_recalls(results, "nce", 30.0)
    words = "too few seeds (1) for the test over seeds: at least 3"
    assert verdict(results) == words


def test_what_learns_from_labels_is_left_out_and_named(results):
    add_recalls(results, "invaspread", 40.0, 42.0, 41.0)
    add_recalls(results, "nce", 30.5, 32.0, 31.0)
    add_recalls(results, "lifted", 60.0, 61.0, 60.5, uses_labels=True)
    table = table_of(results)
    assert [r.cells["method"].code for r in table.rows if r.best] == ["invaspread"]
    assert "lifted" not in {r.data["method"] for r in table.rows}
    assert "Left out as an upper bound: `lifted, learns from labels`." in table.general_notes
