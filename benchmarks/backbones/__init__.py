"""Networks that map images to embeddings; every method of a comparison starts from the same one.

A subclass of `Backbone` with a `name` is found here: the suite's own, those of installed packages
(entry point `instbench.backbones`) and those of plug-in files; `timm:NAME` is one of timm's.
"""

from benchmarks.backbones.base import BACKBONES, Backbone
from benchmarks.common.errors import UsageProblem
from methods.base.registry import in_one_line

__all__ = ["Backbone", "failures", "find", "get", "names"]

TIMM = "timm:"
"""What the names of timm's networks begin with."""


def names() -> list[str]:
    """Return the names of all backbones, sorted; those of timm are not among them."""
    return BACKBONES.names()


def failures() -> dict[str, str]:
    """Return installed packages of backbones that failed to import, each with the reason."""
    return BACKBONES.failures()


def get(name: str) -> Backbone:
    """Return the backbone of this name; calling it with an embedding size gives its network.

    Raises:
        UsageProblem: there is none, and the message holds near matches; it needs a package that is
            not installed; or a plug-in's cannot be made.
    """
    if name.startswith(TIMM):
        from benchmarks.backbones.timm_networks import TimmBackbone

        return TimmBackbone(name.removeprefix(TIMM))
    try:
        kind = BACKBONES.get(name)
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    try:
        return kind()
    except Exception as error:  # a plug-in's constructor, or an abstract method that it lacks
        raise UsageProblem(
            f"backbone {name} ({kind.origin}): expected to be made without arguments, found "
            f"{in_one_line(error)}; mend the plug-in"
        ) from error


def find(name: str) -> Backbone | None:
    """Return the backbone of this name, or None if it is not known here.

    Records name backbones of plug-ins and packages that need not be here.
    """
    return get(name) if name in names() else None
