"""Finding methods by name: the suite's own, those of installed packages, and plug-in files."""

import importlib
import importlib.util
import pkgutil
import sys
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from methods.base import Method

ENTRY_POINTS = "instbench.methods"
_NOT_METHODS = {"base", "check", "registry"}
_classes: dict[str, type["Method"]] = {}
_failures: dict[str, str] = {}


def register(cls: type["Method"]) -> None:
    """Make a method class known under its name; called for every named subclass of Method.

    Raises:
        ValueError: if the name is malformed or another class holds it already.
    """
    name = cls.name
    if not isinstance(name, str) or not name or name != name.lower() or set(name) & set(" .,=/"):
        raise ValueError(
            f"{cls.__qualname__}.name: expected lower-case words joined by '-', got {name!r}"
        )
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
        if not module.ispkg and module.name not in _NOT_METHODS:
            importlib.import_module(f"methods.{module.name}")
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:  # any failure of foreign code is reported, never raised
            _failures[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"


def load_file(path: str | Path) -> None:
    """Import a plug-in file so that the methods in it register.

    Raises:
        ValueError: if the file is missing, fails to import or defines no method.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise ValueError(f"plug-in {path}: expected a Python file, found none")
    discover()
    module_name = f"instbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"plug-in {path}: expected a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    before = dict(_classes)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(module_name, None)
        _classes.clear()
        _classes.update(before)  # nothing of a file that failed stays
        raise ValueError(
            f"plug-in {path} fails to import: {type(error).__name__}: {error}"
        ) from error
    if not any(cls.__module__ == module_name for cls in _classes.values()):
        raise ValueError(f"plug-in {path}: expected a subclass of methods.Method with a `name`")


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
        near = get_close_matches(name, _classes, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        reason = (
            f" The plug-in {name} failed to import: {_failures[name]}." if name in _failures else ""
        )
        raise ValueError(
            f"Unknown method {name!r}.{hint}{reason} Known: {', '.join(sorted(_classes))}."
        )
    return _classes[name]
