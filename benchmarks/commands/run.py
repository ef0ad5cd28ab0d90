"""`bench run`: the words of the command, and how it ends."""

from typing import Any

import click

from benchmarks.commands.guard import Interrupted, Work
from benchmarks.commands.interrupt import starting
from benchmarks.commands.option_types import FilePath, Finite, Word, Words
from benchmarks.commands.options import (
    data_option,
    device_option,
    plugin_option,
    precision_option,
    results_option,
)
from benchmarks.common.errors import BenchError

MOST_SEEDS = 10_000


@click.command(cls=Work)
@click.option("--methods", type=Words(), default="all", show_default=True,
              help="Names or families joined by commas, or all.")  # fmt: skip
@click.option(
    "--dataset",
    type=Word(),
    help="See `bench list datasets`. [default: the table's, else folder with --data, else digits]",
)
@click.option("--recipe", type=Word(),
              help="Name or YAML file. [default: digits for the digits, else paper]")  # fmt: skip
@click.option("--table", "tables", type=Words(), multiple=True, metavar="N[,N]",
              help="Run what these tables need, and no more: numbers of the paper's, names of "
              "those of plug-ins. Repeatable.")  # fmt: skip
@click.option("--split", type=Word(),
              help="Training split, such as train+unlabeled. [default: the first]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="M.P=V",
              help="Set a hyper-parameter (invaspread.temperature=0.05) or a field of the recipe "
              "(recipe.lr=0.06). Repeatable.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's number.")
@click.option("--for", "minutes", type=Finite(min=0, min_open=True), metavar="MINUTES",
              help="Stop after this time; the same command then goes on.")  # fmt: skip
@data_option
@results_option
@device_option
@precision_option
@click.option("--partial", is_flag=True, help="Make do with a part of the data set, and say so.")
@click.option("--weights", type=FilePath(), metavar="FILE",
              help="Pre-trained weights that the recipe's backbone starts from.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True,
              help="Train with torch.compile: half a minute a network first, then up to a quarter "
              "faster with narrow ones.")  # fmt: skip
@click.option("--force", is_flag=True, help="Make finished runs anew; each result stays until "
              "the new one is there.")  # fmt: skip
@plugin_option
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Train and evaluate methods. Finished runs are reused, an interrupted one goes on."""
    with starting():
        from benchmarks.commands import file_options
        from benchmarks.commands.request import Request, run_request
        from benchmarks.runs.plugins import load_plugins
        from benchmarks.training import recipe

    recipe_file = None
    name = options.pop("recipe")
    if name is not None:
        load_plugins(options["plugin"])  # the recipe may name a backbone that they bring
        recipe_file = recipe.read(name)
        options |= file_options.read(recipe_file.options, context)
    options["tables"] = list(dict.fromkeys(n for several in options["tables"] for n in several))
    try:
        outcome = run_request(Request(recipe=recipe_file, **options))
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the same command goes on from the last epoch") from None
    if outcome.left:
        click.echo(
            f"Time is up: {len(outcome.left)} of {outcome.total} runs are left; "
            "the same command goes on from the last epoch."
        )
    if outcome.failed:
        names = "; ".join(outcome.failed)
        raise BenchError(f"{len(outcome.failed)} of the runs failed: {names}")
