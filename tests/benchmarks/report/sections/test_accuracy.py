from pathlib import Path

import pytest

from benchmarks.report.data.compare import compare, planned
from benchmarks.report.sections.accuracy import paper_table, plain_table, section
from benchmarks.report.text.commands import Commands
from benchmarks.runs import paper_tables
from benchmarks.runs.failures import read_failures
from benchmarks.runs.store import read_all

COMMANDS = Commands(Path("results"))


def comparison_of(results):
    runs = read_all(results.path, warn=pytest.fail)
    (comparison,) = compare(runs, read_failures(results.path, warn=pytest.fail))
    return comparison


def table_1(comparison):
    return paper_table(paper_tables.get(1), comparison, COMMANDS)


def row(table, name):
    (found,) = [r for r in table.rows if name in (r.cells["method"].text, r.cells["method"].code)]
    return found


def notes_of(table, row):
    return [table.notes[place] for place in row.cells["method"].notes]


def test_published_and_measured_stand_side_by_side_with_the_difference(results):
    for seed, knn in enumerate((53.0, 54.0, 55.5)):
        results.add("invaspread", [knn + 1, knn], seed=seed, figures={"pooled_knn": knn + 2})
    table = table_1(comparison_of(results))
    found = row(table, "Ours")
    shown = {key: cell.text for key, cell in found.cells.items()}
    assert shown == {
        "method": "Ours",
        "published": "83.6",
        "measured": "54.2 ± 1.3",
        "difference": "−29.4",
        "best": "55.2 ± 1.3",
        "knn@features": "56.2 ± 1.3",
        "epochs": "2",
        "seeds": "3",
        "seconds": "20.0",
    }
    assert found.cells["best"].aside == "epoch 1"
    assert found.best
    assert found.data["difference"] == pytest.approx(162.5 / 3 - 83.6, abs=1e-12)
    assert "recipe quick; protocol knn-200-0.1@embedding; seeds 0, 1, 2" in table.caption


def test_a_gain_carries_its_sign(results):
    results.add("random-cnn", [33.0])
    assert row(table_1(comparison_of(results)), "RandomCNN").cells["difference"].text == "+0.9"


def test_rows_follow_the_paper_then_come_variants_and_other_methods(results):
    results.add("other", [20.0])
    results.add("invaspread", [40.0], hyper_parameters={"temperature": 0.1})
    results.add("invaspread", [50.0], changed={"temperature": 0.05})
    table = table_1(comparison_of(results))
    names = [r.cells["method"].text for r in table.rows]
    assert names == [*(r.published for r in paper_tables.get(1).rows), "", ""]
    variant, other = table.rows[-2:]
    assert variant.cells["method"].code == "invaspread (temperature = 0.05)"
    assert other.cells["method"].code == "other"
    assert "published" not in variant.cells
    assert [r.best for r in table.rows].index(True) == len(names) - 2


@pytest.mark.parametrize(
    ("hyper_parameters", "changed", "published"),
    [
        ({"clusters": 1000}, {}, "DeepCluster (1000)"),
        ({}, {"clusters": 10}, "DeepCluster (10)"),
        ({}, {"clusters": 50}, ""),
        ({}, {"clusters": 10, "whiten": False}, ""),
    ],
)
def test_a_row_takes_only_its_own_configuration(results, hyper_parameters, changed, published):
    results.add("deepcluster", [40.0], hyper_parameters=hyper_parameters, changed=changed)
    table = table_1(comparison_of(results))
    (measured,) = [r for r in table.rows if r.status == "measured"]
    assert measured.cells["method"].text == published


def test_what_the_recipe_sets_for_a_method_fits_the_row(results):
    methods = {"invaspread": {"temperature": 0.07}}
    results.add("invaspread", [40.0], recipe_changed={"methods": methods},
                changed={"temperature": 0.07})  # fmt: skip
    assert row(table_1(comparison_of(results)), "Ours").status == "measured"


def test_a_missing_row_has_the_command_that_fills_it(results):
    results.add("invaspread", [40.0])
    table = table_1(comparison_of(results))
    found = row(table, "DeepCluster (10)")
    assert found.status == "missing"
    assert (
        found.remedy
        == found.data["command"]
        == (
            "bench run --methods deepcluster --set deepcluster.clusters=10 --dataset cifar10 "
            "--recipe quick"
        )
    )
    assert found.cells["published"].text == "44.4"
    assert table.general_notes == (
        "8 rows are missing; to fill: `bench run --table 1 --recipe quick`",
    )


def test_without_runs_every_row_is_missing():
    table = table_1(planned("cifar10", "paper"))
    assert {r.status for r in table.rows} == {"missing"}
    assert [c.key for c in table.shown] == ["method", "published", "measured"]
    assert not any(r.best for r in table.rows)
    assert table.caveat == ""


def test_a_failed_run_says_why(results):
    results.fail("nce", "loss is nan at epoch 3")
    results.add("triplet", [40.0])
    results.fail("triplet", "out of memory", seed=1)
    table = table_1(comparison_of(results))
    failed, part = row(table, "NCE"), row(table, "Triplet")
    assert (failed.status, failed.remedy) == ("failed", "loss is nan at epoch 3")
    assert failed.cells["published"].text == "80.4"
    assert part.status == "measured"
    assert "Seed 1 failed: out of memory" in notes_of(table, part)


def test_fewer_seeds_than_others_have_is_told_with_the_command(results):
    for seed in range(3):
        results.add("invaspread", [40.0], seed=seed)
    results.add("nce", [20.0])
    table = table_1(comparison_of(results))
    expected = (
        "1 of 3 seeds; the others: `bench run --methods nce --dataset cifar10 --recipe quick "
        "--seeds 3`"
    )
    assert expected in notes_of(table, row(table, "NCE"))
    assert not any("seeds" in note for note in notes_of(table, row(table, "Ours")))


def test_known_causes_are_footnotes(results):
    results.add("nce", [20.0])
    table = table_1(comparison_of(results))
    assert any("77.9" in note for note in notes_of(table, row(table, "NCE")))


@pytest.mark.parametrize(
    ("recipe", "changed", "words"),
    [("quick", {}, "backbone = resnet10-16 (paper: resnet18)"), ("paper", {"epochs": 2}, "200")],
)
def test_another_recipe_than_the_papers_is_marked(results, recipe, changed, words):
    results.add("nce", [20.0], recipe=recipe, recipe_changed=changed)
    caveat = table_1(comparison_of(results)).caveat
    assert "not a reproduction gap" in caveat
    assert words in caveat


def test_the_papers_recipe_carries_no_caveat(results):
    results.add("nce", [20.0], recipe="paper")
    assert table_1(comparison_of(results)).caveat == ""


def test_another_data_set_has_no_published_figures(results):
    results.add("invaspread", [90.0], recipe="digits", dataset="digits")
    table = plain_table(comparison_of(results), COMMANDS)
    keys = [column.key for column in table.shown]
    assert keys == ["method", "measured", "best", "epochs", "seeds", "seconds"]
    assert table.slug == "table-digits-digits"
    (note,) = table.general_notes
    assert "--methods random-cnn,deepcluster,exemplar,npsoftmax,nce,triplet,triplet-hard" in note


def test_without_labels_the_loss_is_shown_and_said_so(results):
    results.add("invaspread", [None, None], dataset="folder", figures={"loss": 2.5})
    table = plain_table(comparison_of(results), COMMANDS)
    assert [column.key for column in table.shown][:2] == ["method", "loss"]
    assert table.rows[0].cells["loss"].text == "2.500"
    assert "no labelled test images" in table.general_notes[0]
    assert not table.rows[0].best


def test_without_labels_a_failed_run_still_says_why(results):
    results.fail("invaspread", "loss is nan", dataset="folder")
    table = plain_table(comparison_of(results), COMMANDS)
    assert table.rows[0].remedy == "loss is nan"
    assert len(table.shown) > table.given


NO_CROP = {"augmentation.crop_scale": None}


@pytest.fixture
def ablated(results):
    for seed, (full, without) in enumerate([(50.0, 40.0), (54.0, 42.0)]):
        results.add("invaspread", [full], seed=seed)
        results.add("invaspread", [without], seed=seed, recipe_changed=NO_CROP)
    return comparison_of(results)


def test_ablations_are_not_in_table_1(ablated):
    table = table_1(ablated)
    assert [r.cells["method"].text for r in table.rows] == [
        r.published for r in paper_tables.get(1).rows
    ]
    assert row(table, "Ours").cells["measured"].text == "52.0 ± 2.8"


def test_table_7_shows_published_and_measured_changes(ablated):
    table = paper_table(paper_tables.get(7), ablated, COMMANDS)
    assert [c.key for c in table.shown][:6] == [
        "method", "published", "published_change", "measured", "difference", "measured_change",
    ]  # fmt: skip
    assert table.given == 3
    found = row(table, "w/o R")
    shown = {k: found.cells[k].text for k in ("published_change", "measured", "measured_change")}
    assert shown == {
        "published_change": "−27.4",
        "measured": "41.0 ± 1.4",
        "measured_change": "−11.0 ± 1.4",
    }
    assert found.cells["method"].code == "invaspread, without crop"
    assert found.data["measured_change"] == -11.0
    assert found.data["recipe_changed"] == '{"augmentation.crop_scale": null}'
    assert not {"published_change", "measured_change"} & set(row(table, "Full").cells)
    assert "w/o R" not in [r.cells["method"].text for r in table.rows if r.best]


def test_a_missing_ablation_has_the_command_and_the_papers_change(ablated):
    table = paper_table(paper_tables.get(7), ablated, COMMANDS)
    found = row(table, "w/o C")
    assert found.status == "missing"
    assert found.remedy == (
        "bench run --methods invaspread --dataset cifar10 --recipe quick "
        "--set recipe.augmentation.jitter_probability=0.0 --seeds 2"
    )
    assert found.cells["method"].code == "invaspread, without colour jitter"
    assert found.cells["published_change"].text == "−7.9"
    assert table.general_notes[-1] == (
        "3 rows are missing; to fill: `bench run --table 7 --recipe quick --seeds 2`"
    )


def test_fewer_seeds_of_an_ablation_are_told_with_its_command(results):
    for seed in range(2):
        results.add("invaspread", [50.0], seed=seed)
    results.add("invaspread", [40.0], recipe_changed=NO_CROP)
    table = paper_table(paper_tables.get(7), comparison_of(results), COMMANDS)
    (told,) = [text for text in notes_of(table, row(table, "w/o R")) if "of 2 seeds" in text]
    assert "--set recipe.augmentation.crop_scale=null --seeds 2`" in told


def test_the_authors_scaling_is_a_further_row_of_table_8_only(results):
    results.add("invaspread", [50.0])
    results.add("invaspread", [49.0], changed={"negatives": "hard"})
    results.add("invaspread", [48.0], changed={"negatives": "hard", "scaling": "authors"})
    first, second = section(comparison_of(results), COMMANDS).tables
    names = [r.cells["method"].text for r in second.rows]
    assert names == ["Full", "No DA", "Hard", "Easy", ""]
    variant = second.rows[-1].cells
    assert variant["method"].code == "invaspread (negatives = hard, scaling = authors)"
    assert variant["measured_change"].text == "−2.0"
    assert "" not in [r.cells["method"].text for r in first.rows]
    assert first.slug == "table-1-quick"


def test_a_table_of_which_nothing_was_run_is_named_with_its_command(results, ablated):
    made = section(ablated, COMMANDS).tables
    assert [table.slug for table in made] == ["table-1-quick", "table-7-quick"]
    assert "What differs" in made[0].caveat
    assert made[1].caveat == ""
    assert "not a reproduction gap, as above." in made[1].general_notes[0]
    assert made[-1].general_notes[-1] == (
        "Table 8 has not been run with this recipe; to run: "
        "`bench run --table 8 --recipe quick --seeds 2`"
    )
    assert len(section(planned("cifar10", "quick"), COMMANDS).tables) == 3
    assert len(section(planned("digits", "digits"), COMMANDS).tables) == 1


def test_ablations_alone_have_their_table_only(results):
    results.add("invaspread", [40.0], recipe_changed=NO_CROP)
    (table,) = section(comparison_of(results), COMMANDS).tables
    assert table.slug == "table-7-quick"
    assert [r.status for r in table.rows].count("measured") == 1
    assert "Tables 1 and 8 have not been run" in table.general_notes[-1]


@pytest.fixture
def table_2(results):
    figures = {"linear": 60.0}
    results.add("invaspread", [70.0], recipe="stl10", dataset="stl10", figures=figures)
    results.add("invaspread", [75.0], recipe="stl10", dataset="stl10", split="train+unlabeled")
    return paper_table(paper_tables.get(2), comparison_of(results), COMMANDS)


def test_table_2_has_both_figures_of_each_split(table_2):
    assert [c.key for c in table_2.shown] == [
        "method", "published_linear", "published", "measured_linear", "measured",
        "difference_linear", "difference", "best", "epochs", "seeds", "seconds",
    ]  # fmt: skip
    assert table_2.caveat == ""
    small, large = row(table_2, "Ours (5K)"), row(table_2, "Ours (105K)")
    shown = {k: cell.text for k, cell in small.cells.items() if k in {c.key for c in table_2.shown}}
    assert shown["measured_linear"] == "60.0"
    assert shown["difference_linear"] == "−9.5"
    assert shown["difference"] == "−4.1"
    assert large.cells["difference"].text == "−6.6"
    assert "measured_linear" not in large.cells
    assert small.data["measured_linear"] == 60.0
    assert (small.data["split"], large.data["split"]) == ("train", "train+unlabeled")


def test_quoted_rows_are_marked_and_not_missing(table_2):
    quoted = [r for r in table_2.rows if r.data["status"] == "quoted"]
    assert [r.cells["method"].text for r in quoted] == [
        f"{name} (quoted, other backbone)" for name in ("k-MeansNet", "HMP", "Satck", "Exemplar")
    ]
    assert [r.cells["published_linear"].text for r in quoted] == ["60.1", "64.5", "74.3", "75.4"]
    assert {r.status for r in quoted} == {"measured"}
    assert any("stacked what-where AE" in text for text in notes_of(table_2, quoted[2]))
    assert table_2.general_notes[-1].startswith(
        "4 rows are missing; to fill: `bench run --table 2 "
    )
