"""The report as one HTML page that needs nothing but itself."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.report.build import Content
from benchmarks.report.document import Cell, around_code, letter
from benchmarks.report.render.svg import inline


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("benchmarks.report.render", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": _prose,
        "code": _code,
        "letter": letter,
        "svg": lambda svg: Markup(inline(svg)),
    }
    environment.globals["EMPTY"] = Cell()
    return environment


def _prose(text: str) -> Markup:
    """Escape the text and set words in `backticks` as code."""
    return Markup(
        around_code(text, lambda words: str(escape(words)), lambda code: str(_code(code)))
    )


def _code(text: str) -> Markup:
    """Set a name or a command as code; a command breaks between its options."""
    options = re.split(" (?=--)", text)
    words = Markup(" ").join(Markup("<span>{}</span>").format(option) for option in options)
    return Markup("<code>{}</code>").format(words)


def html(content: Content) -> str:
    """Return the whole page."""
    return _environment().get_template("report.html.j2").render(content=content)
