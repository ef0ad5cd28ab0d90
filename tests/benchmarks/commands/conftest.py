import shutil
from pathlib import Path

import pytest

from benchmarks.runs.store import run_folders


@pytest.fixture
def one_run(tmp_path) -> Path:
    """A folder of results with one of the finished runs that the repository holds."""
    measured = run_folders(Path(__file__).parents[3] / "results" / "measured")[0]
    shutil.copytree(measured, tmp_path / "one" / "runs" / measured.name)
    return tmp_path / "one"
