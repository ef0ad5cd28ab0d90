"""How the command ends: one line and an exit status, in this process and in its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks.commands.guard import Guarded, Work
from benchmarks.common.errors import DataProblem, UsageProblem


def ending(error: BaseException, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    @click.group(cls=Guarded)
    def group():
        pass

    @group.command()
    def fail():
        raise error

    return CliRunner().invoke(group, ["fail"])


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UsageProblem("a\nb"), 2, "Error: a b"),
        (DataProblem("gone"), 1, "Error: gone"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (click.UsageError("no"), 2, "Error: no. See bench"),
        (PermissionError(13, "Permission denied", "x/y"), 1, "x/y: Permission denied"),
        (EOFError("x"), 1, "a file ends too early: x"),
        (MemoryError(), 1, "out of memory"),
        (KeyError("k\x1b[1m"), 1, "unforeseen: KeyError: 'k\\x1b[1m'"),
        (RecursionError("deep"), 1, "unforeseen: RecursionError: deep"),
    ],
)
def test_every_error_is_one_line_and_a_status(error, status, words, monkeypatch, tmp_path):
    result = ending(error, monkeypatch, tmp_path)
    assert result.exit_code == status
    assert len(result.output.splitlines()) == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_an_unforeseen_error_leaves_its_traceback_in_a_file(monkeypatch, tmp_path):
    output = ending(ZeroDivisionError("x"), monkeypatch, tmp_path).output
    (file,) = tmp_path.glob("bench-error-*.txt")
    assert str(file) in output
    assert "Traceback" in file.read_text()
    assert "test_guard.py" in output  # the place
    monkeypatch.setenv("BENCH_DEBUG", "1")
    assert isinstance(ending(ZeroDivisionError("x"), monkeypatch, tmp_path).exception, Exception)


def test_ctrl_c_that_a_library_made_an_error_of_its_own_is_told_as_such(monkeypatch, tmp_path):
    error = ImportError("half imported")
    error.__context__ = KeyboardInterrupt()
    assert ending(error, monkeypatch, tmp_path).exit_code == 130


def test_a_reader_that_has_gone_is_no_error(monkeypatch, tmp_path):
    assert ending(BrokenPipeError(32, "Broken pipe"), monkeypatch, tmp_path).output == ""


BENCH = [sys.executable, "-m", "benchmarks"]


@pytest.mark.parametrize("words", ["list recipes", "--help", "run --help", "--version"])
def test_output_that_cannot_be_written_is_one_line(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*BENCH, *words.split()], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_output_is_one_line():
    command = shlex.join([*BENCH, "list", "recipes"]) + " >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", [Work, click.Command])
def test_lost_output_fails_a_command_that_leaves_nothing_else(kind, monkeypatch):
    @click.group(cls=Guarded)
    def group():
        pass

    @group.command(cls=kind)
    def say():
        click.echo("words")

    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as exit_:
            group.main(["say"])
    assert exit_.value.code == (0 if kind is Work else 1)


def test_lost_output_decides_no_fate_of_a_run(one_run, tmp_path):
    with Path("/dev/full").open("w") as full:
        command = [*BENCH, "collect", str(tmp_path / "copy"), "--results", str(one_run)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert list((tmp_path / "copy" / "runs").iterdir())


@pytest.mark.slow
def test_ctrl_c_during_imports_is_one_line():
    process = subprocess.Popen(
        [*BENCH, "list", "methods"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Where the tests run in a shell's background, Ctrl-C is ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    loaded = Path(f"/proc/{process.pid}/maps")
    while b"libtorch" not in loaded.read_bytes() and process.poll() is None:
        time.sleep(0.01)  # torch takes longer than that
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b"Interrupted.\n"
    assert process.returncode == 130


@pytest.mark.slow
def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path):
    (tmp_path / "猫.yaml").write_text("lr: [")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [*BENCH, "run", "--recipe", "猫.yaml"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
