"""`bench collect`: the small files of runs, to share or commit what was measured."""

from pathlib import Path

import click

from benchmarks.commands.guard import Work
from benchmarks.commands.interrupt import starting
from benchmarks.commands.option_types import FilePath
from benchmarks.commands.options import need_results, results_option
from benchmarks.common.errors import UsageProblem


@click.command("collect", cls=Work)
@click.argument("target", type=FilePath(written=True))
@results_option
def collect_command(target: Path, results: Path) -> None:
    """Copy the runs' small files (records, curves, predictions; no checkpoints) to TARGET."""
    need_results(results)
    for folder in collect(results, target):
        click.echo(folder)


def collect(results: Path, target: Path) -> list[Path]:
    """Copy the small files of every run below `results` to `target`.

    A run that has not finished brings its learning curve so far, and the tables of plug-ins that
    runs were made for come along. Existing files are replaced.

    Returns:
        The runs' folders below `target`, sorted.

    Raises:
        UsageProblem: if there is no run, or the target is the source.
        BenchError: if a file cannot be read or written.
    """
    with starting():
        from benchmarks.common.files import atomic_path, read_whole
        from benchmarks.runs import store
        from benchmarks.runs.plugin_tables import KEPT

    source = store.runs_folder(results)
    if source.resolve() == store.runs_folder(target).resolve():
        raise UsageProblem(f"collect: expected a folder other than {results} itself")
    copied = []
    for folder in store.run_folders(results):
        copy = store.runs_folder(target) / folder.name
        contents = {name: read_whole(folder / name) for name in store.SHARED}
        found = {name: content for name, content in contents.items() if content is not None}
        for name, content in found.items():
            with atomic_path(copy / name) as part:
                part.write_bytes(content)
        if found:
            copied.append(copy)
    for table in sorted((results / KEPT).glob("*.csv")):
        stated = read_whole(table)
        if stated is not None and copied:
            with atomic_path(target / KEPT / table.name) as part:
                part.write_bytes(stated)
    if not copied:
        raise UsageProblem(f"collect: no run below {results}; give the folder with --results")
    return copied
