"""The options that several commands of `bench` share, and what they ask of a folder."""

from pathlib import Path

import click

from benchmarks.commands.option_types import FilePath, Word
from benchmarks.common.errors import UsageProblem

data_option = click.option(
    "--data",
    type=FilePath(),
    help="[default: $BENCH_DATA, else ~/.cache/instbench]",
)
results_option = click.option(
    "--results",
    type=FilePath(written=True),
    default=Path("results"),
    show_default=True,
    help="Folder for runs and report.",
)
device_option = click.option(
    "--device",
    type=Word(),
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N.",
)
precision_option = click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True
)
plugin_option = click.option(
    "--plugin",
    multiple=True,
    type=FilePath(),
    help="Python file with methods, data sets or backbones, or CSV file with tables. Repeatable.",
)


def need_results(results: Path) -> None:
    """Refuse a folder that does not exist where a command only reads it.

    Raises:
        UsageProblem: if it is no folder.
    """
    if not results.is_dir():
        found = "a file" if results.is_file() else "no such folder"
        raise UsageProblem(
            f"--results {results}: expected the folder that `bench run` wrote, found {found}; "
            "check the path"
        )
