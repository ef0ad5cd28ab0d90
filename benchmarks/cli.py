"""The command line: words in, library calls out; no logic of its own."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from benchmarks import __version__, datasets, recipes, tables
from benchmarks.errors import BenchError, UsageProblem

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130

_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="[default: $BENCH_DATA, else ~/.cache/instbench]",
)
_results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for runs and report.",
)
_plugin_option = click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Python file with methods. Repeatable.",
)


def _reports_problems(command: Callable[P, R]) -> Callable[P, R]:
    """Turn a user's mistake into one line and an exit status, never a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BenchError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("\nInterrupted; the same command goes on from the last epoch.", err=True)
            sys.exit(INTERRUPTED)

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bench")
def main() -> None:
    """Compare instance-discrimination methods: train, judge and report them side by side."""


@main.command()
@click.option("--methods", default="all", show_default=True, help="Names joined by commas, or all.")
@click.option(
    "--dataset",
    help="See `bench list datasets`. [default: the table's, else folder with --data, else digits]",
)
@click.option("--recipe", help="Name or YAML file. [default: digits for the digits, else paper]")
@click.option("--table", "tables", multiple=True, metavar="N[,N]",
              help="Run what these tables of the paper need, and no more. Repeatable.")  # fmt: skip
@click.option("--split", help="Training split, such as train+unlabeled. [default: the first]")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many.")
@click.option("--set", "settings", multiple=True, metavar="M.P=V",
              help="Set a hyper-parameter (invaspread.temperature=0.05) or a field of the recipe "
              "(recipe.lr=0.06). Repeatable.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's number.")
@click.option("--for", "minutes", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES",
              help="Stop after this time; the same command then goes on.")  # fmt: skip
@_data_option
@_results_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True
)
@click.option("--partial", is_flag=True, help="Make do with a part of the data set, and say so.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Pre-trained weights that the recipe's backbone starts from.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True,
              help="Train with torch.compile: half a minute a network first, then up to a quarter "
              "faster with narrow ones.")  # fmt: skip
@_plugin_option
@click.pass_context
@_reports_problems
def run(context: click.Context, /, **options: Any) -> None:
    """Train and judge methods. Finished runs are reused, an interrupted one goes on."""
    from benchmarks.session import Request, run_request

    recipe_file = None
    if options["recipe"]:
        recipe_file = recipes.read(options["recipe"])
        options |= _from_file(recipe_file.options, context)
    outcome = run_request(Request(recipe=recipe_file, **_tidy(options)))
    if outcome.left:
        click.echo(
            f"Time is up: {len(outcome.left)} of {outcome.total} runs are left; "
            "the same command goes on from the last epoch."
        )
    if outcome.failed:
        names = "; ".join(outcome.failed)
        click.echo(f"Error: {len(outcome.failed)} of the runs failed: {names}", err=True)
        sys.exit(1)


def _from_file(stated: Mapping[str, Any], context: click.Context) -> dict[str, Any]:
    """Return the file's options that the command line leaves open, read as click reads words."""
    parameters = {word: p for p in context.command.params for word in p.opts}
    found = {}
    for name, value in stated.items():
        parameter = parameters[f"--{name}"]
        destination = str(parameter.name)
        if context.get_parameter_source(destination) != ParameterSource.DEFAULT:
            continue
        found[destination] = _read_value(parameter, name, value, context)
    return found


def _read_value(parameter: click.Parameter, name: str, value: Any, context: click.Context) -> Any:
    if name == "methods" and isinstance(value, list):
        value = ",".join(map(str, value))
    if name == "set" and isinstance(value, dict):
        value = [f"{key}={setting}" for key, setting in value.items()]
    if parameter.multiple:
        value = [str(v) for v in (value if isinstance(value, list) else [value])]
    try:
        return parameter.type_cast_value(context, value)
    except click.BadParameter as error:
        raise UsageProblem(f"recipe file: {name}: {error.message}") from error


def _tidy(options: Mapping[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in options.items() if k != "recipe"}
    rest["methods"] = _words(options["methods"])
    rest["tables"] = list(map(_number, _words(",".join(options["tables"]))))
    return rest


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageProblem(f"--table: expected numbers joined by commas, found {word!r}") from None


@main.command()
@_results_option
@click.option(
    "--format",
    "formats",
    default="html,md,tex,csv",
    show_default=True,
    help="Names joined by commas.",
)
@_reports_problems
def report(results: Path, formats: str) -> None:
    """Write tables and plots from the finished runs; trains nothing."""
    from benchmarks.report import FORMATS, write_report

    wanted = [word.strip() for word in formats.split(",") if word.strip()]
    for word in wanted:
        if word not in FORMATS:
            raise UsageProblem(f"--format: expected some of {', '.join(FORMATS)}, found {word!r}")
    for path in write_report(results, wanted, warn=lambda text: click.echo(text, err=True)):
        click.echo(path)


@main.command()
@click.argument("name")
@_data_option
@_reports_problems
def data(name: str, data: Path | None) -> None:
    """Download a data set (mirrors, resumed, digest checked) and verify it."""
    datasets.fetch(name, datasets.root_of(name, data), click.echo)


@main.command()
@click.option("--methods", default=",".join(tables.methods(1)), show_default="those of Table 1",
              help="Names joined by commas, or all.")  # fmt: skip
@click.option("--backbones", default="resnet10-16,resnet18", show_default=True,
              help="Names joined by commas.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=2.0,
              show_default=True, help="For each rate; a figure takes a step at least.")  # fmt: skip
@_results_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True
)
@_reports_problems
def speed(
    methods: str, backbones: str, seconds: float, results: Path, device: str, precision: str
) -> None:
    """Measure the suite beside a plain pipeline and beside what the machine can do at most."""
    from benchmarks import speed as speeds
    from benchmarks.environment import choose_device, choose_precision

    where = choose_device(device)
    settings = speeds.Settings(
        methods=_words(methods),
        backbones=_words(backbones),
        device=where,
        precision=choose_precision(precision, where),
        budget=seconds,
    )
    record = speeds.measure(settings, lambda text: click.echo(text, err=True))
    click.echo(speeds.markdown(record))
    for path in speeds.write(record, results):
        click.echo(path)


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
@_results_option
@_reports_problems
def collect(target: Path, results: Path) -> None:
    """Copy the runs' small files (records, curves, predictions; no checkpoints) to TARGET."""
    from benchmarks.collect import collect as copy

    for folder in copy(results, target):
        click.echo(folder)


@main.command("list")
@click.argument("what", type=click.Choice(["methods", "datasets", "recipes", "tables", "runs"]))
@_results_option
@_plugin_option
@_reports_problems
def list_command(what: str, results: Path, plugin: Sequence[Path]) -> None:
    """List methods, datasets, recipes, tables or runs."""
    from benchmarks import listing

    makers: dict[str, Callable[[], list[str]]] = {
        "methods": lambda: listing.methods(plugin),
        "datasets": listing.datasets,
        "recipes": listing.recipes,
        "tables": listing.tables,
        "runs": lambda: listing.runs(results),
    }
    for line in makers[what]():
        click.echo(line)


if __name__ == "__main__":
    main()
