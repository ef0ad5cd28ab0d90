"""The field's words: those that were replaced by them do not come back.

words.json holds how often each word still stands in the packages; the numbers may only fall.
"""

import pytest

from helpers.words import WORDS, counts, in_python, in_text, limits, places

FOUND = places()


@pytest.mark.parametrize("word", WORDS)
def test_a_replaced_word_does_not_come_back(word):
    here = [place for place in FOUND if place.word == word]
    most = limits()[word]
    assert len(here) <= most, (
        f"{word!r} stands {len(here)} times, {most} were left; say: {WORDS[word].say}. "
        "All places: python tests/helpers/words.py\n" + "\n".join(map(str, here[:20]))
    )


def test_every_word_has_a_limit_and_no_other():
    assert set(limits()) == set(WORDS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Judge the figures."""\n', {"judge": 1, "figure": 1}),
        ("# what was judged\nfigures = retrieval_figures(x)\n", {"judge": 1, "figure": 2}),
        ("class Judgement:\n    remarks: int\n", {"judge": 1, "remark": 1}),
        ('raise E(f"{n} were told of it")\n', {"told": 1}),
        ('"""As Figure 3, Figures 5 and 6, and Fig. 4 show; not told apart."""\n', {}),
        ("from matplotlib.figure import axes\n", {"figure": 1}),
        ('"""Runs are carried\nout."""\ncarry_out_all()\n', {"carry out": 2}),
        ("shadow = unwanted = 1  # adjudged, endear\n", {}),
        ("x = 1  # takes an image's\n# number for a place\n", {"image's number": 1}),
    ],
)
def test_what_counts_in_python(source, found):
    assert {word: n for word, n in counts(in_python(source, "x.py")).items() if n} == found


def test_what_counts_in_other_texts():
    found = in_text("note: the measured figure\nof Figure 3; remarks\n", "notes.yaml")
    assert [(place.word, place.line) for place in found] == [("figure", 1), ("remark", 2)]


def test_a_figure_is_a_figure_where_figures_are_drawn():
    assert in_python("figure, axes = subplots()\n", "benchmarks/report/render/svg.py") == []
