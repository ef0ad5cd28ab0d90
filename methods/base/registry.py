"""Finding classes by name: the suite's own, those of installed packages, and plug-in files.

Methods, data sets and backbones are each a `Registry`: a class registers by being defined.
"""

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from evaluation.near_matches import did_you_mean
from methods.base.code import distributions, known, loaded, read_code

if TYPE_CHECKING:
    from methods.base.method import Method

LONGEST_NAME = 64
"""A name is a part of folder names, which have 255 bytes at most."""
_NAME = re.compile(r"[a-z0-9]+([-_+][a-z0-9]+)*")
_refused: list[str] | None = None
"""Classes that a file being imported could not register; None while none is imported."""

T = TypeVar("T")


class PluginError(ValueError):
    """Foreign code failed while it was imported, or some of its classes were refused."""


class Registry(Generic[T]):
    """The classes of one kind by their `name`.

    Attributes:
        kind: what one of them is called in messages, such as "data set".
        expected: what a plug-in has to subclass, such as "methods.Method".
    """

    every: ClassVar["list[Registry[Any]]"] = []
    """All registries, in the order in which they were made."""

    def __init__(
        self,
        kind: str,
        expected: str,
        entry_points: str,
        own: Callable[[], Iterable[str]],
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        """Make an empty registry; nothing is imported before a name is asked for.

        Args:
            kind: see above.
            expected: see above.
            entry_points: the group in which installed packages name theirs.
            own: gives the names of the suite's modules that define some.
            reserved: names that cannot be had, each with what it stands for.
        """
        self.kind, self.expected, self._group = kind, expected, entry_points
        self._own, self._reserved = own, dict(reserved or {})
        self._classes: dict[str, type[T]] = {}
        self._failures: dict[str, str] = {}
        self._discovered = False
        self.every.append(self)

    def register(self, cls: type[T]) -> None:
        """Make a class known under its name.

        Raises:
            ValueError: if the name is malformed or another class holds it already. In a plug-in
                the class is noted as refused instead, so that the others of the file stay.
        """
        try:
            self._register(cls)
        except ValueError as error:
            if _refused is None:
                raise
            _refused.append(str(error))

    def _register(self, cls: Any) -> None:
        name = cls.name
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            found = repr(name) if len(repr(name)) < 100 else f"{repr(name)[:90]}…"
            raise ValueError(
                f"{cls.__qualname__}.name: expected lower-case words joined by '-', {LONGEST_NAME} "
                f"characters of a-z, 0-9, -, _ and + at most, got {found}"
            )
        if name in self._reserved:
            raise ValueError(
                f"{cls.__qualname__}.name: {name!r} {self._reserved[name]}; choose another name"
            )
        known[cls] = read_code(cls)
        module = sys.modules.get(cls.__module__)
        cls.origin = f"{getattr(module, '__file__', None) or cls.__module__}:{cls.__qualname__}"
        other: Any = self._classes.get(name, cls)
        if other.origin != cls.origin:
            raise ValueError(
                f"two {self.kind}s are named {name!r}: {other.origin} and {cls.origin}; rename one"
            )
        self._classes[name] = cls

    def discover(self) -> None:
        """Import the suite's own classes and those of installed packages, once.

        A package that fails to import is remembered with its reason (`failures`) and breaks
        nothing.
        """
        if self._discovered:
            return
        self._discovered = True  # before the imports, which may ask for names themselves
        try:
            for module in self._own():
                importlib.import_module(module)
        except BaseException:
            self._discovered = False
            raise
        for entry in metadata.entry_points(group=self._group):
            package = getattr(entry, "dist", None)
            if package is not None:
                top_level = re.split(r"[.:]", entry.value)[0].strip()
                distributions[top_level] = (package.name, package.version)
            try:
                with _importing():
                    entry.load()
            except PluginError as error:
                self._failures[entry.name] = f"{entry.value}: {error}"

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self.discover()
        return sorted(self._classes)

    def failures(self) -> dict[str, str]:
        """Return installed packages that failed to import, each with the reason."""
        self.discover()
        return dict(self._failures)

    def get(self, name: str) -> type[T]:
        """Return the class of that name.

        Raises:
            ValueError: if there is none; the message holds near matches and the known names.
        """
        self.discover()
        if name not in self._classes:
            hint = did_you_mean(str(name)[:100], self._classes)
            why = self._failures.get(name)
            reason = f" The plug-in {name} failed to import: {why}." if why else ""
            raise ValueError(
                f"Unknown {self.kind} {name!r}.{hint}{reason} Known: {', '.join(self.names())}."
            )
        return self._classes[name]

    def of_module(self, module: str) -> list[str]:
        """Return the sorted names of the classes that a module defines."""
        return sorted(n for n, cls in self._classes.items() if cls.__module__ == module)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Forget at the end whatever registers in between."""
        self.discover()
        before = dict(self._classes), dict(self._failures)
        try:
            yield
        finally:
            self._classes, self._failures = before

    def forget_installed(self) -> None:
        """Look for installed packages anew when a name is asked for next."""
        self._discovered = False

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            del self._classes[name]


def _methods() -> Iterator[str]:
    package = importlib.import_module("methods")  # what this registry is for, whatever is in it
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            yield f"methods.{module.name}"


FAMILIES = ("instance", "contrastive", "siamese", "cluster", "triplet", "baseline")
"""What kinds of methods there are."""
FAMILY_WORDS = {"triplets" if family == "triplet" else family: family for family in FAMILIES}
"""Family by the word that stands for its methods on the command line; `triplet` is a method."""

METHODS: "Registry[Method]" = Registry(
    "method",
    "methods.Method",
    "instbench.methods",
    _methods,
    {
        "all": "stands for every method on the command line",
        "recipe": "stands for the recipe's fields in --set",
        **{family: "stands for every method of that family" for family in FAMILY_WORDS},
    },
)
register, discover, failures, get = (
    METHODS.register,
    METHODS.discover,
    METHODS.failures,
    METHODS.get,
)


def names(labelled: bool = False) -> list[str]:
    """Return the sorted names of all methods.

    Args:
        labelled: also of upper bounds, which learn from labels.
    """
    return [name for name in METHODS.names() if labelled or not get(name).uses_labels]


def load_file(path: str | Path, else_expected: str = "") -> dict[str, list[str]]:
    """Import a plug-in file so that the classes in it register.

    Args:
        path: the file.
        else_expected: what else of the file's, such as a table beside it, would have been of use.

    Returns:
        The names that the file brings, by kind; only kinds of which there are some.

    Raises:
        PluginError: if the file fails to import, after which nothing of it stays, or if some of its
            classes were refused, the others of which stay.
        NothingFound: if it defines none.
        ValueError: if the file is missing or cannot be read.
    """
    path = _python_file(path)
    for registry in Registry.every:
        registry.discover()
    # Two files of one name are two modules.
    module_name = f"instbench_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"plug-in {path}: cannot be read ({error.strerror or error})") from error
    loader = _BytesLoader(module_name, path, content)
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    assert spec is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    before, previous = [dict(r._classes) for r in Registry.every], sys.modules.get(module_name)
    sys.modules[module_name] = module
    loaded[module_name] = sha256(content).hexdigest()
    try:
        with _importing():
            loader.exec_module(module)
    except _Refused as error:
        found = _brought(module_name).items()
        good = "; ".join(
            f"its other {kind}s ({', '.join(some)}) can be used" for kind, some in found
        )
        raise PluginError(f"plug-in {path}: {error}{'; ' if good else ''}{good}") from error
    except PluginError as error:
        sys.modules.pop(module_name)
        if previous is not None:
            sys.modules[module_name] = previous
        for registry, classes in zip(Registry.every, before, strict=False):
            registry._classes = classes  # nothing of a file that failed stays
        raise PluginError(f"plug-in {path} fails to import: {error}") from error
    brought = _brought(module_name)
    if not brought:
        expected = " or ".join(registry.expected for registry in Registry.every)
        raise NothingFound(
            f"plug-in {path}: expected a subclass of {expected} with a `name`{else_expected}, "
            "found none"
        )
    return brought


class NothingFound(ValueError):
    """A plug-in file defines nothing that registers."""


def _brought(module: str) -> dict[str, list[str]]:
    found = {registry.kind: registry.of_module(module) for registry in Registry.every}
    return {kind: some for kind, some in found.items() if some}


def _python_file(path: str | Path) -> Path:
    """Return the whole path of a plug-in.

    Raises:
        ValueError: if it is no Python file, or missing.
    """
    try:
        path = Path(path).resolve()
        found = path.is_file()
    except (OSError, RuntimeError) as error:  # no permission, or a link to itself
        raise ValueError(f"plug-in {path}: cannot be read ({in_one_line(error)})") from error
    if not found:
        raise ValueError(f"plug-in {path}: expected a Python file, found none")
    if path.suffix != ".py":
        raise ValueError(f"plug-in {path}: expected a file that ends in .py")
    return path


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
    """Some classes of a file could not register."""


@contextmanager
def _importing() -> Iterator[None]:
    """Turn whatever foreign code raises, sys.exit included, into a PluginError.

    Raises:
        _Refused: if all went well but for classes that could not register.
        PluginError: if anything but an interrupt from the keyboard was raised.
    """
    global _refused
    outer, _refused = _refused, []
    before = [set(registry._classes) for registry in Registry.every]
    try:
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            for registry, earlier in zip(Registry.every, before, strict=False):
                fresh = {n: c for n, c in registry._classes.items() if n not in earlier}
                # Those of modules that failed half-way.
                registry._drop(n for n, c in fresh.items() if c.__module__ not in sys.modules)
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
