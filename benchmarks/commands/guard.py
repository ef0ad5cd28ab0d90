"""The rule of the whole command line: whatever happens is told in one line and an exit status.

0: done. 1: it failed for a reason outside the command. 2: the words of the command are wrong.
130: Ctrl-C. What a command leaves in files never depends on whether its words could be printed;
one whose only product is what it prints ends with 1 where that is lost. BENCH_DEBUG=1 shows the
traceback of what nobody foresaw, and of nothing else.
"""

import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from benchmarks.commands.interrupt import INTERRUPTED
from benchmarks.common.errors import BenchError, one_line
from benchmarks.common.output import steady_output

DEBUG = "BENCH_DEBUG"
"""Environment variable: set, an unforeseen error shows its traceback."""
FAILED, USAGE = 1, 2


class Interrupted(BenchError):
    """Ctrl-C, with what the same command would do; exit status 130."""

    exit_status = INTERRUPTED


_WORKED = object()
"""What a command returns whose product is in files: lost output is no failure of it."""


class Work(click.Command):
    """A command whose product is in files, such as `bench run`; all others only print."""

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work; returns a mark that it was done, also without any output."""
        super().invoke(ctx)
        return _WORKED


class Guarded(click.Group):
    """A group of commands that end as this module says."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that the words name, and exit with its status."""

        def call() -> Any:
            # Click's own standalone mode would end some errors in several lines, others in none.
            return super(Guarded, self).main(
                args, prog_name, complete_var, standalone_mode=False, **extra
            )

        if not standalone_mode:  # called from Python, which wants the exceptions
            return call()
        return sys.exit(_guarded(call))

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; Ctrl-C and the end of a file are not left to click.

        It would print an empty line and take both for the wish to end.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.") from None
        except EOFError as error:
            raise RuntimeError(f"a file ends too early: {error}") from error


def _guarded(command: Callable[[], Any]) -> int:
    _write_all_characters()
    try:
        with steady_output() as output:
            status = command()
    except BrokenPipeError:  # `| head` has read enough
        _drop_output()
        return FAILED
    except Exception as error:
        return _tell(error)
    except KeyboardInterrupt:
        return _end("Interrupted.", INTERRUPTED)
    except SystemExit as exit_:  # of a plug-in, say
        return _flushed(exit_.code if isinstance(exit_.code, int) else FAILED)
    if status is not _WORKED and output.lost:
        if sys.stdout is None:
            return _end(_line("the output could not be written: standard output is closed"), FAILED)
        return _flushed(FAILED)  # why is said already, unless the reader chose to go away
    return _flushed(status if type(status) is int else 0)


def _tell(error: Exception) -> int:
    """Say in one line what happened; returns the exit status."""
    if isinstance(error, Interrupted):
        return _end(one_line(error), error.exit_status)
    if isinstance(error, BenchError):
        return _end(_line(error), error.exit_status)
    if isinstance(error, click.ClickException):
        if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later
            error.show()
            return error.exit_code
        return _end(_line(error.format_message(), _help_of(error)), error.exit_code)
    # A library may turn Ctrl-C into an error of its own.
    if isinstance(error, click.Abort) or _has_cause(error, KeyboardInterrupt):
        return _end("Interrupted.", INTERRUPTED)
    if os.environ.get(DEBUG):
        raise error
    return _end(_line(_in_words(error)), FAILED)


def _in_words(error: Exception) -> str:
    """Return what nobody foresaw in one sentence, with a next step."""
    place = _place(error)
    if isinstance(error, MemoryError) or "torch" in sys.modules:
        from benchmarks.common.memory_errors import out_of_memory  # loads torch, at need

        if words := out_of_memory(error):
            return words
    if isinstance(error, OSError) and error.errno is not None:
        named = f"{error.filename}: " if error.filename is not None else ""
        return f"{named}{error.strerror} ({place}); check the path, its permissions and the space"
    return f"unforeseen: {type(error).__name__}: {error} ({place}); {_kept(error)}"


def _line(text: object, hint: str = "") -> str:
    words = one_line(text)
    return f"Error: {words}{hint}" if not hint or words.endswith(".") else f"Error: {words}.{hint}"


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return f" See {' '.join(['bench', *names, '--help'])}."


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _place(error: BaseException) -> str:
    """Return file and line of the suite's own innermost frame, or of the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__).parents[2])
    own = [f for f in frames if f.filename.startswith(here) and "site-packages" not in f.filename]
    if not frames:
        return "no place known"
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def _kept(error: BaseException) -> str:
    """Write the traceback to a file; returns where it is, in words."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bench-error-", suffix=".txt", delete=False,
            encoding="utf-8", errors="backslashreplace",
        ) as file:  # fmt: skip
            file.write(text)
    except OSError:
        return f"set {DEBUG}=1 to see the traceback, and report it"
    return f"the traceback is in {file.name}, please report it"


def _write_all_characters() -> None:
    """Let every name be printed: what the terminal's encoding lacks is shown as its escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end(line: str, status: int) -> int:
    with suppress(OSError, ValueError):  # nobody listens, and the status tells the same
        click.echo(line, err=True)
    return _flushed(status)


def _flushed(status: int) -> int:
    """Write what is left of the output now: at the interpreter's end, failing is noisy."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return status or FAILED
    except OSError as error:
        _drop_output()
        reason = os.strerror(error.errno or errno.EIO)
        with suppress(OSError, ValueError):
            click.echo(_line(f"the output could not be written: {reason}"), err=True)
        return status or FAILED
    return status


def _drop_output() -> None:
    """Send what is still buffered nowhere."""
    with suppress(OSError, ValueError, AttributeError):  # streams of a test have no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
