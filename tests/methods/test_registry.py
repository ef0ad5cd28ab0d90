import sys
from types import SimpleNamespace

import pytest

import methods
from methods import Method, registry

OWN = {
    "deepcluster",
    "exemplar",
    "invaspread",
    "mom",
    "nce",
    "npsoftmax",
    "random-cnn",
    "triplet",
    "triplet-hard",
}
LABELLED = {"lifted", "metric-learning", "triplet-semihard"}
PLUGIN = """
from methods import Method

class Extra(Method):
    name = "{name}"
    paper = "Nobody, 2030"

    def loss(self, batch):
        return batch.views[0].sum()
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Leave the registry, and the imported modules, as they were."""
    registry.discover()
    classes, failures = dict(registry._classes), dict(registry._failures)
    monkeypatch.setattr(registry, "_classes", classes)
    monkeypatch.setattr(registry, "_failures", failures)
    before = set(sys.modules)
    yield classes
    for name in set(sys.modules) - before:
        if name.startswith("instbench_plugin_"):
            del sys.modules[name]
    registry.discover.cache_clear()


def plugin(folder, name="extra", file="extra.py", text=PLUGIN):
    folder.mkdir(exist_ok=True)
    path = folder / file
    path.write_text(text.format(name=name))
    return path


def entry_points(monkeypatch, **loaders):
    """Pretend that packages with these entry points are installed."""
    entries = [
        SimpleNamespace(name=name, value=f"{name}.module", load=load)
        for name, load in loaders.items()
    ]
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: entries)
    registry.discover.cache_clear()


def test_the_suites_methods_are_found_sorted():
    assert set(methods.names()) >= OWN
    assert methods.names() == sorted(methods.names())


def test_upper_bounds_are_named_only_when_asked_for():
    assert not set(methods.names()) & LABELLED
    everything = methods.names(labelled=True)
    assert set(everything) >= OWN | LABELLED
    assert everything == sorted(everything)
    assert all(methods.get(name).uses_labels == (name in LABELLED) for name in OWN | LABELLED)


@pytest.mark.parametrize("name", sorted(OWN | LABELLED))
def test_a_method_has_the_name_of_its_file(name):
    assert methods.get(name).name == name
    assert methods.get(name).__module__ == f"methods.{name.replace('-', '_')}"


def test_subclassing_registers():
    class Fresh(Method):
        name = "fresh"
        paper = "Nobody, 2030"

    assert methods.get("fresh") is Fresh


def test_a_base_class_without_a_name_is_no_method(registered):
    known = set(registered)

    class Base(Method):
        pass

    assert set(registered) == known


@pytest.mark.parametrize(
    ("wrong", "near"), [("invaspred", "invaspread"), ("triplet_hard", "triplet-hard")]
)
def test_an_unknown_name_gets_near_matches_and_the_known_names(wrong, near):
    with pytest.raises(ValueError, match=f"Unknown method '{wrong}'. Did you mean") as raised:
        methods.get(wrong)
    message = str(raised.value)
    assert near in message.split("?")[0]
    assert all(name in message for name in OWN | LABELLED)


def test_a_name_like_no_other_gets_the_known_names_only():
    with pytest.raises(ValueError, match=r"^Unknown method 'zzz'\. Known: "):
        methods.get("zzz")


@pytest.mark.parametrize("name", ["Upper", "two words", "a.b", "a=b", "a,b", "a/b", "", 3])
def test_a_malformed_name_is_refused(name):
    with pytest.raises(ValueError, match="expected lower-case words"):
        type("Wrong", (Method,), {"name": name})


def test_two_classes_cannot_share_a_name(registered):
    first = registered["invaspread"]
    with pytest.raises(ValueError, match="two methods are named 'invaspread'") as raised:
        type("Other", (Method,), {"name": "invaspread", "__module__": __name__})
    assert "invaspread.py" in str(raised.value)
    assert __file__ in str(raised.value)
    assert methods.get("invaspread") is first


def test_a_plugin_file_registers_its_methods(tmp_path):
    registry.load_file(plugin(tmp_path))
    assert methods.get("extra").paper == "Nobody, 2030"
    assert "extra" in methods.names()


def test_a_plugin_file_may_be_loaded_again(tmp_path):
    path = plugin(tmp_path)
    registry.load_file(path)
    first = methods.get("extra")
    registry.load_file(str(path))
    assert methods.get("extra") is not first


def test_a_plugin_file_cannot_take_a_name_of_the_suite(tmp_path):
    with pytest.raises(ValueError, match="two methods are named 'nce'"):
        registry.load_file(plugin(tmp_path, name="nce"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "SyntaxError"),
        ("value = 1", "expected a subclass of methods.Method"),
    ],
)
def test_a_plugin_file_that_cannot_be_used_says_why(tmp_path, text, message):
    path = plugin(tmp_path, text=text)
    with pytest.raises(ValueError, match=message) as raised:
        registry.load_file(path)
    assert str(path) in str(raised.value)


def test_a_missing_plugin_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.py: expected a Python file, found none"):
        registry.load_file(tmp_path / "none.py")


def test_installed_packages_bring_methods(monkeypatch):
    def load():
        return type("Installed", (Method,), {"name": "installed", "paper": "Nobody, 2030"})

    entry_points(monkeypatch, installed=load)
    assert methods.get("installed").name == "installed"
    assert registry.failures() == {}


def test_a_package_that_fails_to_import_is_listed_and_breaks_nothing(monkeypatch):
    def load():
        raise ImportError("libfoo is missing")

    entry_points(monkeypatch, broken=load)
    assert set(methods.names()) >= OWN
    assert registry.failures() == {"broken": "broken.module: ImportError: libfoo is missing"}
    with pytest.raises(ValueError, match=r"plug-in broken failed to import: .*libfoo is missing"):
        methods.get("broken")


def test_two_files_of_the_same_name_cannot_take_each_others_method(tmp_path):
    source = "from methods import Method\n\nclass Mine(Method):\n    name = 'same-stem'\n    paper = 'x'\n"  # noqa: E501
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(source)
    registry.load_file(tmp_path / "one" / "plugin.py")
    registry.load_file(tmp_path / "one" / "plugin.py")  # the same file again is no conflict
    with pytest.raises(ValueError, match="two methods are named 'same-stem'"):
        registry.load_file(tmp_path / "two" / "plugin.py")
    assert registry.get("same-stem").origin.startswith(str(tmp_path / "one"))


def test_nothing_of_a_file_that_fails_stays_registered(tmp_path):
    file = tmp_path / "half.py"
    file.write_text(
        "from methods import Method\n\nclass Half(Method):\n    name = 'half'\n    paper = 'x'\n\n1 / 0\n"  # noqa: E501
    )
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        registry.load_file(file)
    assert "half" not in registry.names()
