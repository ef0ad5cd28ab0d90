import pytest

from benchmarks.common.errors import (
    BenchError,
    DataProblem,
    DiskProblem,
    UsageProblem,
    few,
    one_line,
    shown,
    unknown_name,
)


@pytest.mark.parametrize(
    ("words", "text"), [("", ""), ("ab", "a, b"), ("abcdefg", "a, b, c, d, e and 2 more")]
)
def test_a_list_is_cut_and_the_rest_counted(words, text):
    assert few(words) == text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (ValueError("a\r\n b\x1e\x1b[3mc\u2028d"), "a b \\x1b[3mc d"),
        ("a\n\tb\x1b[2K\u2028c", "a b\\x1b[2K c"),
        (MemoryError(), "MemoryError"),
        ("", ""),
        (ValueError("x" * 500), "x" * 159 + "…"),  # it may quote a whole file
        ("x" * 500, "x" * 500),
        (BenchError("x" * 500), "x" * 500),
    ],
)
def test_any_words_are_one_printable_line(words, line):
    assert one_line(words) == line


def test_the_length_may_be_given():
    assert one_line("abcdef", most=4) == "abc…"
    assert one_line(BenchError("abcdef"), most=4) == "abc…"


def test_what_messages_show_is_bounded():
    endless: list = []
    endless.append(endless)
    for value in ("x" * 9999, endless, {"a": [[[[[[1]]]]]]}, 16**9999, list(range(9999))):
        assert len(shown(value)) < 400


def test_an_unknown_name_gets_near_matches_and_all_names():
    problem = unknown_name("recipe", "papr", ["quick", "paper"])
    assert str(problem) == "Unknown recipe 'papr'. Did you mean paper? Known: paper, quick."
    assert "Known: none" in str(unknown_name("recipe", "papr", []))
    assert "Did you mean" not in str(unknown_name("x", "z" * 10**5, ["abc"]))


def test_every_error_has_the_exit_status_of_its_kind():
    assert [kind.exit_status for kind in (BenchError, UsageProblem, DataProblem, DiskProblem)] == [
        1, 2, 1, 1,
    ]  # fmt: skip
