"""`bench data`: a data set, downloaded and verified."""

from pathlib import Path

import click

from benchmarks.commands.interrupt import starting
from benchmarks.commands.options import data_option


@click.command()
@click.argument("name")
@data_option
def data(name: str, data: Path | None) -> None:
    """Download a data set (mirrors, resumed, digest checked) and verify it."""
    with starting():
        from benchmarks.data import datasets

    datasets.fetch(name, datasets.root_of(name, data), click.echo)
