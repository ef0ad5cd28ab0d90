import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

import methods
from methods import Method
from methods.base import FAMILY_WORDS, registry
from methods.base.code import code_of, foreign_digests

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
def _modules_as_they_were():
    """Leave the imported modules as they were."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("instbench_plugin_"):
            del sys.modules[name]
    registry.METHODS.forget_installed()


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
    registry.METHODS.forget_installed()


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


def test_a_base_class_without_a_name_is_no_method():
    known = set(methods.names(labelled=True))

    class Base(Method):
        pass

    assert set(methods.names(labelled=True)) == known


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


def test_two_classes_cannot_share_a_name():
    first = methods.get("invaspread")
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


@pytest.mark.parametrize("name", ["all", "recipe", *FAMILY_WORDS])
def test_words_of_the_command_line_are_no_names(tmp_path, name):
    with pytest.raises(ValueError, match=f"'{name}' stands for .*choose another name") as raised:
        registry.load_file(plugin(tmp_path, name=name))
    assert "\n" not in str(raised.value)
    assert name not in methods.names(labelled=True)


@pytest.mark.parametrize(
    "name", ["a:b", "a\\b", "..", "-a", "a-", "a" * 65, "çà", "a`b", "a\nb", "İ", "a--b", "a*"]
)
def test_a_name_that_is_no_part_of_a_folder_name_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="expected lower-case words") as raised:
        type("Wrong", (Method,), {"name": name})
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_bad_method_does_not_hide_the_good_ones_of_its_file(tmp_path):
    bad = PLUGIN.format(name="all").replace("Extra", "Bad")
    path = plugin(tmp_path, text="{name}")
    path.write_text(bad + PLUGIN.format(name="good"))
    with pytest.raises(registry.PluginError, match=r"'all' .*other methods \(good\)"):
        registry.load_file(path)
    assert methods.get("good").paper == "Nobody, 2030"


@pytest.mark.parametrize(
    "line",
    [
        "raise StopIteration",
        "import sys; sys.exit(0)",
        "raise GeneratorExit",
        "def f(): f()\nf()",
        "class Odd(BaseException): pass\nraise Odd('x')",
        "class Mute(Exception):\n    def __str__(self): raise KeyError\nraise Mute",
        "raise ValueError('several\\nlines')",
    ],
)
def test_whatever_a_plugin_raises_is_one_line_and_nothing_of_it_stays(tmp_path, line):
    path = plugin(tmp_path, text="{name}")
    path.write_text(PLUGIN.format(name="half") + line + "\n")
    with pytest.raises(registry.PluginError, match="fails to import") as raised:
        registry.load_file(path)
    assert "\n" not in str(raised.value)
    assert "half" not in methods.names()


def test_an_interrupt_from_the_keyboard_is_not_swallowed(tmp_path):
    path = plugin(tmp_path, text="{name}")
    path.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        registry.load_file(path)


def test_a_package_that_exits_at_import_is_listed_and_breaks_nothing(monkeypatch):
    def load():
        type("Half", (Method,), {"name": "half", "paper": "x", "__module__": "gone"})
        raise SystemExit(0)

    entry_points(monkeypatch, leaving=load)
    assert registry.failures() == {"leaving": "leaving.module: SystemExit: 0"}
    assert "half" not in methods.names()


def test_a_plugin_file_is_known_by_the_digest_of_what_was_imported(tmp_path):
    path = plugin(tmp_path)
    registry.load_file(path)
    digest = sha256(path.read_bytes()).hexdigest()
    code = code_of(methods.get("extra"))
    assert (code.sha256, code.package, code.version, code.own) == (digest, None, None, False)
    assert code.file is not None
    assert code.file.endswith("extra.py")
    path.write_text(path.read_text() + "# edited\n")
    assert code_of(methods.get("extra")).sha256 == digest  # what runs is what was imported
    registry.load_file(path)
    assert code_of(methods.get("extra")).sha256 == sha256(path.read_bytes()).hexdigest()


def test_an_edit_within_a_second_to_the_same_length_is_imported(tmp_path):
    path = plugin(tmp_path)
    registry.load_file(path)
    path.write_text(path.read_text().replace("Nobody, 2030", "Nobody, 2031"))
    registry.load_file(path)
    assert methods.get("extra").paper == "Nobody, 2031"
    assert not list(tmp_path.rglob("*.pyc"))


def test_code_of_the_suite_is_its_own_and_has_a_version():
    code = code_of(methods.get("nce"))
    assert code.own
    assert (code.file, code.package) == ("methods/nce.py", "instbench")
    assert (
        code.sha256 == sha256((Path(methods.__file__).parent / "nce.py").read_bytes()).hexdigest()
    )
    assert methods.get("nce").revision == 1


def test_code_of_an_installed_package_names_it_and_its_version(monkeypatch, tmp_path):
    (tmp_path / "my_package.py").write_text(PLUGIN.format(name="packaged"))
    monkeypatch.syspath_prepend(tmp_path)
    entry = SimpleNamespace(
        name="packaged",
        value="my_package:Extra",
        load=lambda: __import__("my_package").Extra,
        dist=SimpleNamespace(name="my-package", version="1.2"),
    )
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [entry])
    registry.METHODS.forget_installed()
    code = code_of(methods.get("packaged"))
    assert (code.file, code.package, code.version) == ("my_package.py", "my-package", "1.2")
    assert code.sha256 == sha256((tmp_path / "my_package.py").read_bytes()).hexdigest()


def test_a_method_built_on_another_file_is_made_of_both(tmp_path):
    first = plugin(tmp_path, name="first", file="first.py")
    registry.load_file(first)
    second = tmp_path / "second.py"
    second.write_text(
        "from methods import get\n\nclass Second(get('first')):\n    name = 'second'\n"
    )
    registry.load_file(second)
    expected = [sha256(path.read_bytes()).hexdigest() for path in (second, first)]
    assert foreign_digests(methods.get("second"), Method) == expected
    assert foreign_digests(methods.get("nce"), Method) == []


def test_a_second_file_of_the_same_name_needs_a_method_of_its_own(tmp_path):
    registry.load_file(plugin(tmp_path / "one", name="first"))
    with pytest.raises(ValueError, match=r"expected a subclass of methods\.Method"):
        registry.load_file(plugin(tmp_path / "two", text="value = 1"))
