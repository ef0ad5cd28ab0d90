"""Commands that only list things load nothing heavy, so that they answer at once."""

import subprocess
import sys

import pytest

from benchmarks.runs.store import EPOCHS, FAILED, run_folders

HEAVY = {"torch", "matplotlib", "pandas", "sklearn", "faiss", "scipy"}
SCRIPT = """
import sys
from benchmarks.commands.cli import main
try:
    main(sys.argv[1:])
except SystemExit as exit_:
    assert not exit_.code, exit_
print("loaded:", *sys.modules)
"""


def loaded(*words) -> tuple[list[str], set[str]]:
    """Return the lines of a command, and the heavy packages that it imported."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    return lines, HEAVY & set(last.split())


@pytest.mark.parametrize(
    "words",
    ["--help", "run --help", "list datasets", "list recipes", "list tables"],
)
def test_what_is_known_without_a_run(words):
    lines, heavy = loaded(*words.split())
    assert lines
    assert not heavy


def test_runs_of_a_folder_without_any(tmp_path):
    assert loaded("list", "runs", "--results", tmp_path) == ([], set())


def test_runs_of_every_state(one_run):
    runs = one_run / "runs"
    history = (run_folders(one_run)[0] / EPOCHS).read_bytes()
    for name in ("failed", "stopped", "empty"):
        (runs / name).mkdir()
    (runs / "failed" / FAILED).write_text('{"message": "no memory"}')
    (runs / "stopped" / EPOCHS).write_bytes(history)
    lines, heavy = loaded("list", "runs", "--results", one_run)
    states = dict(line.split("  ", 1) for line in lines)
    assert states["failed"].strip() == "failed: no memory"
    assert states["stopped"].strip().endswith("epochs done")
    assert states["empty"].strip() == "interrupted, no epoch done"
    assert any("finished, " in state for state in states.values())
    assert not heavy


def test_methods_need_torch_and_nothing_of_the_evaluation():
    lines, heavy = loaded("list", "methods")
    assert lines
    assert heavy <= {"torch", "scipy"}
