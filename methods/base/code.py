"""Which code a method is: its file, the file's SHA-256, the package and its version."""

import sys
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

OWN_FOLDER = Path(__file__).resolve().parents[2]
OWN_PACKAGES = ("methods", "benchmarks", "evaluation")
"""The suite's packages in that folder, beside which others may be installed."""
OWN_PACKAGE = "instbench"
known: WeakKeyDictionary[type, "Code"] = WeakKeyDictionary()
"""The code of each registered class, as it was then; an attribute could be an author's own."""
loaded: dict[str, str] = {}
"""SHA-256 of the bytes that a plug-in's module was made of, by the module's name: the file on disk
may have been edited since."""
distributions: dict[str, tuple[str, str]] = {}
"""Name and version of the package that an entry point's top-level module belongs to."""


@dataclass(frozen=True)
class Code:
    """Where a class was defined; what is not known is None.

    Attributes:
        file: a plug-in's path, with ~ for the home folder; of an installed module its path inside
            the package.
        sha256: of the file as it was imported.
        package: name of the installed package.
        version: of the package.
        own: whether it is the suite's own code, whose results a method's `revision` tells apart.
    """

    file: str | None
    sha256: str | None
    package: str | None = None
    version: str | None = None
    own: bool = False


def code_of(cls: type) -> Code:
    """Return the code of a class, as it was when the class was registered, else as it is now."""
    return known.get(cls) or read_code(cls)


def read_code(cls: type) -> Code:
    """Return the code of a class from the module that defines it."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:  # a notebook or an interactive session
        return Code(None, None)
    path = Path(file)
    digest = loaded.get(module.__name__) or _digest(module, path)
    if module.__name__ in loaded:
        return Code(_from_home(path), digest)
    inside = module.__name__.replace(".", "/") + path.suffix
    if any(path.resolve().is_relative_to(OWN_FOLDER / package) for package in OWN_PACKAGES):
        return Code(inside, digest, OWN_PACKAGE, _version(OWN_PACKAGE), own=True)
    package = _package(module.__name__.partition(".")[0])
    if package is None:
        return Code(_from_home(path), digest)
    return Code(inside, digest, *package)


def foreign_digests(cls: type, base: type) -> list[str | None]:
    """Return the SHA-256 of each file outside the suite that makes up a class.

    Args:
        cls: the class; its own file is the first.
        base: only classes derived from this one count.
    """
    classes = [c for c in cls.__mro__ if issubclass(c, base)]
    foreign = [code.sha256 for code in map(code_of, classes) if not code.own]
    return list(dict.fromkeys(foreign))


def _digest(module: ModuleType, path: Path) -> str | None:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        pass
    try:  # inside a zip archive
        return sha256(module.__loader__.get_data(str(path))).hexdigest()  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None


def _from_home(path: Path) -> str:
    """Return the path with ~ for the home folder: records are shared, a user's name need not be."""
    try:
        return f"~/{path.resolve().relative_to(Path.home()).as_posix()}"
    except (RuntimeError, ValueError):  # no home, or elsewhere
        return str(path)


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _package(top_level: str) -> tuple[str, str | None] | None:
    if top_level in distributions:
        return distributions[top_level]
    names = _packages().get(top_level)
    return (names[0], _version(names[0])) if names else None


@cache
def _packages() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())
