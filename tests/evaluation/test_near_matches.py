import pytest

from evaluation.near_matches import did_you_mean, near_matches

KNOWN = ["invaspread", "simclr", "simsiam", "swav"]


def test_the_likest_name_comes_first():
    assert near_matches("simclear", KNOWN)[0] == "simclr"
    assert near_matches("invspred", KNOWN) == ["invaspread"]


@pytest.mark.parametrize("name", ["", "qqq", None, 7])
def test_nothing_near_gives_no_hint(name):
    assert did_you_mean(name, KNOWN) == ""


def test_the_hint_names_them():
    assert did_you_mean("simsiem", ["simsiam"]) == " Did you mean simsiam?"
    assert near_matches("abc", ["abcd", "abce", "abcf", "abcg"], most=2) == ["abcg", "abcf"]


def test_a_name_of_a_megabyte_is_cut_before_it_is_compared():
    assert near_matches("x" * 10**6, ["x" * 100]) == ["x" * 100]
