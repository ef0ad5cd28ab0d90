"""The command line: puts the commands together, each from a file of its own."""

from benchmarks.commands.interrupt import starting

with starting():  # nothing that takes long is imported before a command asks for it
    import click

    from benchmarks import __version__
    from benchmarks.commands.collect import collect_command
    from benchmarks.commands.data import data
    from benchmarks.commands.guard import Guarded
    from benchmarks.commands.list import list_command
    from benchmarks.commands.measure_speed import speed
    from benchmarks.commands.report import report
    from benchmarks.commands.run import run


@click.group(
    cls=Guarded,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="bench")
def main() -> None:
    """Compare instance-discrimination methods: train, evaluate and report them side by side."""


for command in (run, report, data, speed, collect_command, list_command):
    main.add_command(command)
