"""What the options of the command line may hold, with one line for what they may not."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.common.errors import shown


class FilePath(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """A path; `~` at its start is the home folder, also in `--data=~/x`, where no shell sees it."""

    name = "path"

    def __init__(self, written: bool = False) -> None:
        """Take a path; one that is `written` to must be UTF-8, as PyArrow and JSON ask for."""
        self.written = written

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, with the home folder's in place of `~`."""
        if isinstance(value, Path):
            value = str(value)
        if not isinstance(value, str) or not value or "\0" in value:
            self.fail(f"expected a path, found {shown(value)}.", param, ctx)
        expanded = os.path.expanduser(value)
        if value.startswith("~") and expanded.startswith("~"):
            home = value.partition("/")[0]
            self.fail(
                f"expected a path, found {shown(value)}, and no home folder is known for {home}; "
                f"write the whole path, or ./{value} for a file of that name.", param, ctx
            )  # fmt: skip
        if self.written and not expanded.isascii():
            try:
                expanded.encode("utf-8")
            except UnicodeEncodeError:
                self.fail(
                    f"expected a path in UTF-8, found {shown(value)}; rename the folder.",
                    param, ctx,
                )  # fmt: skip
        return Path(expanded)


class Finite(click.FloatRange):
    """A number that is neither infinite nor "not a number"."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"expected a finite number, found {value}.", param, ctx)
        return number


class Word(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Text that is not empty: an empty word is a variable that was not set, not a wish."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not str(value).strip():
            self.fail("expected a name, found nothing; leave the option out.", param, ctx)
        return str(value)


class Words(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Names joined by commas, one at least."""

    name = "text"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sequence[Any]:
        """Return the names, without repeats."""
        if isinstance(value, list):
            return value
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        if not words:
            self.fail(f"expected names joined by commas, found {shown(value)}.", param, ctx)
        return list(dict.fromkeys(words))
