from pathlib import Path

import pytest

from benchmarks.records import read_all
from benchmarks.report.content import build
from benchmarks.report.select import read_failures


def content_of(results):
    return build(
        read_all(results.path, warn=pytest.fail),
        read_failures(results.path, warn=pytest.fail),
        [],
        results.path,
    )


def test_without_runs_table_1_and_the_efficiency_table_are_missing_with_commands():
    content = build([], [], [], Path("elsewhere"))
    (section,) = content.sections
    assert [table.slug for table in section.tables] == ["table-1-paper", "efficiency-cifar10-paper"]
    assert section.plots == ()
    first, second = content.summary
    assert "no finished run in `elsewhere`" in first
    assert "`bench run --results elsewhere`" in first
    assert "`bench run --table 1 --recipe paper --results elsewhere`" in second
    assert "`bench run --table 1 --recipe quick --results elsewhere`" in second


def test_table_1_is_there_even_if_only_other_images_were_run(results):
    results.add("nce", [80.0, 90.0], recipe="digits", dataset="digits")
    content = content_of(results)
    assert [s.title for s in content.sections] == [
        "digits, recipe digits",
        "cifar10, recipe paper: not run yet",
    ]
    assert "1 finished run in" in content.summary[0]
    assert len(content.plots) == 3


@pytest.mark.parametrize(("recipe", "asked"), [("quick", True), ("paper", False)])
def test_a_missing_reproduction_is_asked_for(results, recipe, asked):
    results.add("nce", [20.0], recipe=recipe)
    assert any("not been run" in text for text in content_of(results).summary) is asked


def test_failed_runs_alone_make_a_section_without_plots(results):
    results.fail("nce", "loss is nan")
    content = content_of(results)
    assert "1 failed run" in content.summary[0]
    assert [s.title for s in content.sections] == ["cifar10, recipe quick"]
    assert content.plots == []


def test_the_summary_tells_runs_comparisons_code_and_day(results):
    results.add("nce", [20.0])
    results.add("nce", [20.0], recipe="paper")
    results.fail("nce", "loss is nan", seed=1)
    assert content_of(results).summary[0] == (
        "Made from 2 finished runs (1 more failed) in `results`, 2 comparisons; "
        "commit 0123456789; last run 2026-11-21."
    )


def test_anchors_and_file_names_are_unique(results):
    results.add("nce", [20.0, 30.0])
    results.add("nce", [20.0, 30.0], digest="fedcba9876543210")
    results.add("nce", [20.0, 30.0], recipe_changed={"lr": 0.06})
    results.add("nce", [20.0, 30.0], dataset="digits", recipe="digits")
    content = content_of(results)
    names = [s.anchor for s in content.sections] + [t.slug for t in content.tables]
    names += [plot.slug for plot in content.plots]
    assert len(names) == len(set(names))
