"""`bench speed`: the options of what the package beside measures."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.commands.guard import Work
from benchmarks.commands.interrupt import starting
from benchmarks.commands.option_types import Finite, Words
from benchmarks.commands.options import device_option, precision_option, results_option


@click.command(cls=Work)
@click.option("--methods", type=Words(), show_default="those of Table 1",
              help="Names joined by commas, or all.")  # fmt: skip
@click.option("--backbones", type=Words(), default="resnet10-16,resnet18", show_default=True,
              help="Names joined by commas.")  # fmt: skip
@click.option("--seconds", type=Finite(min=0, min_open=True), default=2.0,
              show_default=True, help="For each rate; a rate takes a step at least.")  # fmt: skip
@results_option
@device_option
@precision_option
def speed(
    methods: Sequence[str] | None,
    backbones: Sequence[str],
    seconds: float,
    results: Path,
    device: str,
    precision: str,
) -> None:
    """Measure the suite beside a plain pipeline and beside what the machine can do at most."""
    with starting():
        from benchmarks.commands import speed as speeds
        from benchmarks.common.device import choose_device, choose_precision
        from benchmarks.runs import paper_tables

    where = choose_device(device, lambda text: click.echo(text, err=True))
    settings = speeds.Settings(
        methods=paper_tables.methods(1) if methods is None else methods,
        backbones=backbones,
        device=where,
        precision=choose_precision(precision, where),
        budget=seconds,
    )
    speeds.check(settings, results)  # measuring takes minutes
    record = speeds.measure(settings, lambda text: click.echo(text, err=True))
    for path in speeds.write(record, results):
        click.echo(path)
    click.echo(speeds.markdown(record))
