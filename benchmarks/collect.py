"""Copying the small files of runs, to share or commit what was measured."""

import shutil
from pathlib import Path

from benchmarks import records
from benchmarks.errors import UsageProblem

SHARED = (
    records.RECORD,
    records.EPOCHS,
    records.PREDICTIONS,
    records.SIMILARITIES,
    records.FAILED,
)
"""What a report is made of, some kilobytes a run; no checkpoint, no embedding, no pixel."""


def collect(results: Path, target: Path) -> list[Path]:
    """Copy the small files of every run below `results` to `target`.

    A run that has not finished brings its learning curve so far. Existing files are replaced.

    Returns:
        The runs' folders below `target`, sorted.

    Raises:
        UsageProblem: if there is no run, or the target is the source.
        BenchError: if a file cannot be written.
    """
    source = records.runs_folder(results)
    if source.resolve() == records.runs_folder(target).resolve():
        raise UsageProblem(f"collect: expected a folder other than {results} itself")
    copied = []
    for folder in sorted(p for p in source.glob("*") if p.is_dir()):
        files = [folder / name for name in SHARED if (folder / name).exists()]
        for file in files:
            copy = records.runs_folder(target) / folder.name / file.name
            with records.atomic_path(copy) as part:
                shutil.copyfile(file, part)
        if files:
            copied.append(records.runs_folder(target) / folder.name)
    if not copied:
        raise UsageProblem(f"collect: no run below {results}; give the folder with --results")
    return copied
