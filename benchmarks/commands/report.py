"""`bench report`: tables and plots from the finished runs."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.commands.guard import Work
from benchmarks.commands.interrupt import starting
from benchmarks.commands.option_types import Words
from benchmarks.commands.options import need_results, results_option
from benchmarks.common.errors import UsageProblem


@click.command(cls=Work)
@results_option
@click.option(
    "--format",
    "formats",
    type=Words(),
    default="html,md,tex,csv",
    show_default=True,
    help="Names joined by commas.",
)
def report(results: Path, formats: Sequence[str]) -> None:
    """Write tables and plots from the finished runs; trains nothing."""
    with starting():
        from benchmarks.report.write import FORMATS, write_report

    for word in formats:
        if word not in FORMATS:
            raise UsageProblem(f"--format: expected some of {', '.join(FORMATS)}, found {word!r}")
    need_results(results)
    for path in write_report(results, formats, warn=lambda text: click.echo(text, err=True)):
        click.echo(path)
