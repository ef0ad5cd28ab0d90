"""The command line: words in, library calls out; no logic of its own."""

from benchmarks.commands.interrupt import starting

with starting():  # nothing that takes long is imported before a command asks for it
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import Any

    import click
    from click.core import ParameterSource

    from benchmarks import __version__
    from benchmarks.commands.guard import Guarded, Interrupted
    from benchmarks.commands.option_types import FilePath, Finite, Word, Words
    from benchmarks.common.errors import BenchError, UsageProblem

MOST_SEEDS = 10_000
KINDS = ("methods", "datasets", "backbones", "recipes", "tables", "runs")

_data_option = click.option(
    "--data",
    type=FilePath(),
    help="[default: $BENCH_DATA, else ~/.cache/instbench]",
)
_results_option = click.option(
    "--results",
    type=FilePath(written=True),
    default=Path("results"),
    show_default=True,
    help="Folder for runs and report.",
)


_device_option = click.option(
    "--device",
    type=Word(),
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N.",
)
_precision_option = click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True
)
_plugin_option = click.option(
    "--plugin",
    multiple=True,
    type=FilePath(),
    help="Python file with methods, data sets or backbones, or CSV file with tables. Repeatable.",
)


@click.group(
    cls=Guarded,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="bench")
def main() -> None:
    """Compare instance-discrimination methods: train, evaluate and report them side by side."""


@main.command()
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
@_data_option
@_results_option
@_device_option
@_precision_option
@click.option("--partial", is_flag=True, help="Make do with a part of the data set, and say so.")
@click.option("--weights", type=FilePath(), metavar="FILE",
              help="Pre-trained weights that the recipe's backbone starts from.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True,
              help="Train with torch.compile: half a minute a network first, then up to a quarter "
              "faster with narrow ones.")  # fmt: skip
@click.option("--force", is_flag=True, help="Make finished runs anew; each result stays until "
              "the new one is there.")  # fmt: skip
@_plugin_option
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Train and evaluate methods. Finished runs are reused, an interrupted one goes on."""
    with starting():
        from benchmarks.commands import file_options
        from benchmarks.commands.run import Request, run_request
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


def _need_results(results: Path) -> None:
    """Refuse a folder that does not exist where a command only reads it."""
    if not results.is_dir():
        found = "a file" if results.is_file() else "no such folder"
        raise UsageProblem(
            f"--results {results}: expected the folder that `bench run` wrote, found {found}; "
            "check the path"
        )


@main.command()
@_results_option
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
    _need_results(results)
    for path in write_report(results, formats, warn=lambda text: click.echo(text, err=True)):
        click.echo(path)


@main.command()
@click.argument("name")
@_data_option
def data(name: str, data: Path | None) -> None:
    """Download a data set (mirrors, resumed, digest checked) and verify it."""
    with starting():
        from benchmarks.data import datasets

    datasets.fetch(name, datasets.root_of(name, data), click.echo)


@main.command()
@click.option("--methods", type=Words(), show_default="those of Table 1",
              help="Names joined by commas, or all.")  # fmt: skip
@click.option("--backbones", type=Words(), default="resnet10-16,resnet18", show_default=True,
              help="Names joined by commas.")  # fmt: skip
@click.option("--seconds", type=Finite(min=0, min_open=True), default=2.0,
              show_default=True, help="For each rate; a rate takes a step at least.")  # fmt: skip
@_results_option
@_device_option
@_precision_option
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


@main.command()
@click.argument("target", type=FilePath(written=True))
@_results_option
def collect(target: Path, results: Path) -> None:
    """Copy the runs' small files (records, curves, predictions; no checkpoints) to TARGET."""
    with starting():
        from benchmarks.commands.collect import collect as copy

    _need_results(results)
    for folder in copy(results, target):
        click.echo(folder)


@main.command("list")
@click.argument("what", type=click.Choice(KINDS))
@_results_option
@_plugin_option
@click.pass_context
def list_command(context: click.Context, what: str, results: Path, plugin: Sequence[Path]) -> None:
    """List methods by family, datasets, backbones, recipes, tables or runs."""
    with starting():
        from benchmarks.commands import list as listing

    makers: dict[str, Callable[[], Iterable[str]]] = {
        "methods": lambda: listing.methods(plugin),
        "datasets": lambda: listing.datasets(plugin),
        "backbones": lambda: listing.backbones(plugin),
        "recipes": listing.recipes,
        "tables": lambda: listing.tables(plugin),
        "runs": lambda: listing.runs(results),
    }
    # Where the default folder does not exist, nothing was run yet: that is no mistake.
    if what == "runs" and context.get_parameter_source("results") != ParameterSource.DEFAULT:
        _need_results(results)
    for line in makers[what]():
        click.echo(line)
