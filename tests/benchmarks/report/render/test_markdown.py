import re

import pytest

from benchmarks.report.render.markdown import markdown


@pytest.fixture
def text(results):
    for seed in range(2):
        results.add("invaspread", [40.0, 53.0 + seed], seed=seed)
    results.add("other", [20.0, 30.0], changed={"mode": "a|b <i> *c*"})
    results.fail("nce", "loss | is <nan>")
    return markdown(results.content(["left out: a_b.json: `x`"]))


def tables(text):
    return re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)


def test_rows_have_as_many_cells_as_the_head(text):
    assert len(tables(text)) == 8
    for table in tables(text):
        widths = [len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(set(widths)) == 1


def test_figures_missing_rows_and_failures_are_there(text):
    assert "| **Ours** `invaspread`<sup>" in text
    assert "| 83.6 | **53.5 ± 0.7** | " in text.replace("**83.6**", "83.6")
    assert (
        "missing: `bench run --methods triplet --dataset cifar10 --recipe quick --seeds 2`" in text
    )
    assert r"failed: loss \| is \<nan\>" in text


def test_plots_are_files_beside_the_page(text):
    assert "](efficiency-cifar10-quick-epochs.svg)" in text


def test_words_are_escaped_and_code_is_kept(text):
    assert r"- left out: a\_b.json: `x`" in text
    assert r"`other (mode = a\|b <i> *c*)`" in text
    assert "### How it was made" in text
