"""Finding methods by name: the suite's own, those of installed packages, and plug-in files."""

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from evaluation.near_matches import did_you_mean
from methods.base.code import distributions, known, loaded, read_code

if TYPE_CHECKING:
    from methods.base.method import Method

ENTRY_POINTS = "instbench.methods"
RESERVED = {
    "all": "stands for every method on the command line",
    "recipe": "stands for the recipe's fields in --set",
}
LONGEST_NAME = 64
"""A name is a part of folder names, which have 255 bytes at most."""
_NAME = re.compile(r"[a-z0-9]+([-_+][a-z0-9]+)*")
_classes: dict[str, type["Method"]] = {}
_failures: dict[str, str] = {}
_refused: list[str] | None = None
"""Methods that a file being imported could not register; None while none is imported."""


class PluginError(ValueError):
    """Foreign code failed while it was imported, or some of its methods were refused."""


def register(cls: type["Method"]) -> None:
    """Make a method class known under its name; called for every named subclass of Method.

    Raises:
        ValueError: if the name is malformed or another class holds it already. In a plug-in the
            method is noted as refused instead, so that the others of the file stay.
    """
    try:
        _register(cls)
    except ValueError as error:
        if _refused is None:
            raise
        _refused.append(str(error))


def _register(cls: type["Method"]) -> None:
    name = cls.name
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        found = repr(name) if len(repr(name)) < 100 else f"{repr(name)[:90]}…"
        raise ValueError(
            f"{cls.__qualname__}.name: expected lower-case words joined by '-', {LONGEST_NAME} "
            f"characters of a-z, 0-9, -, _ and + at most, got {found}"
        )
    if name in RESERVED:
        raise ValueError(f"{cls.__qualname__}.name: {name!r} {RESERVED[name]}; choose another name")
    known[cls] = read_code(cls)
    module = sys.modules.get(cls.__module__)
    cls.origin = f"{getattr(module, '__file__', None) or cls.__module__}:{cls.__qualname__}"
    other = _classes.get(name, cls)
    if other.origin != cls.origin:
        raise ValueError(
            f"two methods are named {name!r}: {other.origin} and {cls.origin}; rename one"
        )
    _classes[name] = cls


@cache
def discover() -> None:
    """Import the suite's own methods and those of installed packages, once.

    A plug-in that fails to import is remembered with its reason (`failures`) and breaks nothing.
    """
    import methods

    for module in pkgutil.iter_modules(methods.__path__):
        if not module.ispkg:
            importlib.import_module(f"methods.{module.name}")
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        package = getattr(entry, "dist", None)
        if package is not None:
            top_level = re.split(r"[.:]", entry.value)[0].strip()
            distributions[top_level] = (package.name, package.version)
        try:
            with _importing():
                entry.load()
        except PluginError as error:
            _failures[entry.name] = f"{entry.value}: {error}"


def load_file(path: str | Path) -> None:
    """Import a plug-in file so that the methods in it register.

    Raises:
        PluginError: if the file fails to import, after which nothing of it stays, or if some of its
            methods were refused, the others of which stay.
        ValueError: if the file is missing or defines no method.
    """
    try:
        path = Path(path).resolve()
        found = path.is_file()
    except (OSError, RuntimeError) as error:  # no permission, or a link to itself
        raise ValueError(f"plug-in {path}: cannot be read ({in_one_line(error)})") from error
    if not found:
        raise ValueError(f"plug-in {path}: expected a Python file, found none")
    discover()
    # Two files of one name are two modules.
    module_name = f"instbench_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if path.suffix != ".py":
        raise ValueError(f"plug-in {path}: expected a file that ends in .py")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"plug-in {path}: cannot be read ({error.strerror or error})") from error
    loader = _BytesLoader(module_name, path, content)
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    before, previous = dict(_classes), sys.modules.get(module_name)
    sys.modules[module_name] = module
    loaded[module_name] = sha256(content).hexdigest()
    try:
        with _importing():
            loader.exec_module(module)
    except _Refused as error:
        good = sorted(n for n, c in _classes.items() if c.__module__ == module_name)
        kept = f"; its other methods ({', '.join(good)}) can be used" if good else ""
        raise PluginError(f"plug-in {path}: {error}{kept}") from error
    except PluginError as error:
        sys.modules.pop(module_name)
        if previous is not None:
            sys.modules[module_name] = previous
        _classes.clear()
        _classes.update(before)  # nothing of a file that failed stays
        raise PluginError(f"plug-in {path} fails to import: {error}") from error
    if not any(cls.__module__ == module_name for cls in _classes.values()):
        raise ValueError(f"plug-in {path}: expected a subclass of methods.Method with a `name`")


class _BytesLoader(SourceFileLoader):
    """Compiles the very bytes whose digest the record states; no .pyc is read or written."""

    def __init__(self, name: str, path: Path, content: bytes) -> None:
        super().__init__(name, str(path))
        self._content = content

    def get_code(self, fullname: str) -> CodeType:
        code: Any = self.source_to_code(self._content, self.path)
        assert isinstance(code, CodeType)
        return code


class _Refused(PluginError):
    """Some methods of a file could not register."""


@contextmanager
def _importing() -> Iterator[None]:
    """Turn whatever foreign code raises, sys.exit included, into a PluginError.

    Raises:
        _Refused: if all went well but for methods that could not register.
        PluginError: if anything but an interrupt from the keyboard was raised.
    """
    global _refused
    outer, _refused = _refused, []
    before = set(_classes)
    try:
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            for name in _classes.keys() - before:  # those of modules that failed half-way
                if _classes[name].__module__ not in sys.modules:
                    del _classes[name]
            raise PluginError(in_one_line(error)) from error
        if _refused:
            raise _Refused("; ".join(_refused))
    finally:
        _refused = outer


def in_one_line(error: BaseException) -> str:
    """Return type and message of any exception in one line, even if it cannot say its message."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    text = text if len(text) <= 300 else f"{text[:300]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def names(labelled: bool = False) -> list[str]:
    """Return the sorted names of all methods.

    Args:
        labelled: also of upper bounds, which learn from labels.
    """
    discover()
    return sorted(name for name, cls in _classes.items() if labelled or not cls.uses_labels)


def failures() -> dict[str, str]:
    """Return plug-ins that failed to import, each with the reason."""
    discover()
    return dict(_failures)


def get(name: str) -> type["Method"]:
    """Return the method class of that name.

    Raises:
        ValueError: if there is none; the message holds near matches and the known names.
    """
    discover()
    if name not in _classes:
        hint = did_you_mean(name, _classes)
        reason = (
            f" The plug-in {name} failed to import: {_failures[name]}." if name in _failures else ""
        )
        raise ValueError(
            f"Unknown method {name!r}.{hint}{reason} Known: {', '.join(sorted(_classes))}."
        )
    return _classes[name]
