from pathlib import Path

import pytest

from benchmarks.report.build import build
from benchmarks.runs import paper_tables


def test_without_runs_every_table_is_missing_with_its_command():
    content = build([], [], [], Path("elsewhere"))
    of_tables = {table.slug.split("-")[1] for table in content.tables if table.slug[:5] == "table"}
    assert of_tables == {str(number) for number in paper_tables.TABLES}
    rows = [row for table in content.tables for row in table.rows]
    assert {row.status for row in rows if row.data.get("status") != "quoted"} == {"missing"}
    assert content.plots == []
    first, second, third, birds, *others = content.summary
    assert "no finished run in `elsewhere`" in first
    assert "`bench run --results elsewhere`" in first
    assert "Tables 1, 7 and 8 have not been run with the paper's recipe" in second
    assert "`bench run --table 1,7,8 --recipe paper --results elsewhere`" in second
    assert "`bench run --table 1,7,8 --recipe quick --results elsewhere`" in second
    assert "Table 2 has not been run with the paper's recipe" in third
    assert "`bench run --table 2 --recipe stl10 --results elsewhere`" in third
    assert "quick" not in third
    assert "`bench run --table 3 --recipe cub200 --weights googlenet.h5 --results else" in birds
    assert "`bench run --table 3 --recipe unseen-quick --results elsewhere`" in birds
    assert [text.split(" has not")[0] for text in others] == ["Table 4", "Table 5", "Table 6"]


def test_table_1_is_there_even_if_only_other_images_were_run(results):
    results.add("nce", [80.0, 90.0], recipe="digits", dataset="digits")
    content = results.content()
    assert [s.title for s in content.parts] == [
        "digits, recipe digits",
        "cifar10, recipe paper: not run yet",
        "stl10, recipe stl10: not run yet",
        "cub200, recipe cub200: not run yet",
        "products, recipe unseen: not run yet",
        "cars196, recipe unseen: not run yet",
        "products, recipe unseen-scratch: not run yet",
    ]
    assert "1 finished run in" in content.summary[0]
    assert len(content.plots) == 3


@pytest.mark.parametrize(
    ("recipe", "changed", "asked"),
    [
        ("quick", {}, "1,7,8"),
        ("paper", {"epochs": 2}, "1,7,8"),
        ("paper", {}, "7,8"),
        ("paper", {"augmentation.flip": 0.0}, "1,8"),
    ],
)
def test_a_missing_reproduction_is_asked_for(results, recipe, changed, asked):
    results.add("invaspread", [20.0], recipe=recipe, recipe_changed=changed)
    _, cifar, *_ = results.content().summary
    assert f"`bench run --table {asked} --recipe paper`" in cifar


def test_a_paper_recipe_of_another_data_set_is_its_own(results):
    results.add("invaspread", [20.0], recipe="stl10", dataset="stl10")
    assert not any("--table 2" in text for text in results.content().summary)


def test_failed_runs_alone_make_a_section_without_plots(results):
    results.fail("nce", "loss is nan")
    content = results.content()
    assert "1 failed run" in content.summary[0]
    assert content.parts[0].title == "cifar10, recipe quick"
    assert content.plots == []


def test_the_summary_tells_runs_comparisons_code_and_day(results):
    results.add("nce", [20.0])
    results.add("nce", [20.0], recipe="paper")
    results.fail("nce", "loss is nan", seed=1)
    assert results.content().summary[0] == (
        "Made from 2 finished runs (1 more failed) in `results`, 2 comparisons; "
        "commit 0123456789; last run 2026-11-21."
    )


def test_anchors_and_file_names_are_unique(results):
    results.add("nce", [20.0, 30.0])
    results.add("nce", [20.0, 30.0], digest="fedcba9876543210")
    results.add("nce", [20.0, 30.0], recipe_changed={"lr": 0.06})
    results.add("nce", [20.0, 30.0], dataset="digits", recipe="digits")
    content = results.content()
    names = [s.anchor for s in content.parts] + [t.slug for t in content.tables]
    names += [plot.slug for plot in content.plots]
    assert len(names) == len(set(names))
