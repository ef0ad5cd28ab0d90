import warnings

import pytest
from rich.console import Console

from benchmarks.common import progress_bar as module
from benchmarks.common.progress_bar import progress_bar


def test_without_a_terminal_every_tenth_is_a_line_on_standard_error(capsys):
    with progress_bar("birds") as (report, progress):
        report("waiting")
        for done in range(1, 41):
            progress(done, 40)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[:2] == ["waiting", "birds: 4 of 40"]
    assert lines[-1] == "birds: 40 of 40"
    assert len(lines) == 11


@pytest.mark.parametrize("terminal", [False, True])
def test_short_work_shows_no_progress(monkeypatch, capsys, terminal):
    console = Console(force_terminal=terminal, stderr=True)
    monkeypatch.setattr(module, "Console", lambda **_: console)
    with progress_bar("birds", after=60) as (_, progress):
        progress(20, 40)
        progress(40, 40)
    assert "birds" not in capsys.readouterr().err


def test_brackets_in_a_folder_s_name_are_no_markup(monkeypatch, capsys):
    monkeypatch.setattr(module, "Console", lambda **_: Console(force_terminal=True, stderr=True))
    with progress_bar("a[/red] [bold]b") as (_, progress):
        progress(3, 40)
        progress(40, 40)
    assert "[/red]" in capsys.readouterr().err


def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(module, "Console", lambda **_: Console(force_terminal=True, stderr=True))
    with warnings.catch_warnings(), progress_bar("birds") as (report, progress):
        progress(3, 40)
        progress(40, 40)
        report("waiting")
    err = capsys.readouterr().err
    assert "waiting" in err
    assert "40/40" in err
