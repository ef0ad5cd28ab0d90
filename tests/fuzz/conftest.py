"""The frame of the fuzz tests: seeded mutations, and what must hold whatever they do.

Every case runs in this process. A test asks for the fixture `fuzz`, makes cases with `fuzz.random`
and the mutators below, and calls the command line through `fuzz.command` (anything may come out but
a traceback or a file outside the results) or `fuzz.reader` (which must not change a file either).
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from benchmarks.commands import request as session
from benchmarks.commands.cli import main
from benchmarks.data.datasets.base import LoadOptions
from benchmarks.data.datasets.digits import Digits
from benchmarks.runs.executors.base import Outcome

SEED = 20261125
NAME_MAX = 255
STRANGE_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, -(2**70), 10**30, 0.0, -0.5, 1e-320, 1e308,
    math.nan, math.inf, -math.inf, "", " ", "all", "recipe", "paper", "digits", "../..", "/", "a/b",
    "~", "~nobody/x", ".", "..", "-", "--", "=", "a=b", "a.b=c", "nan", "inf", "1e400", "0x", "0b_",
    "1_0", "2020-13-45", "2020-01-01", "été", "猫", "\u202e", "\r\n", "a\nb", "\x1b[31m", "\0",
    "`x`", "$(x)", "%s", "{}", "x" * 300, "猫" * 100, [], [1], [[]], [None], ["nce", "nce"],
    [0.5, 1.0], {}, {"a": 1}, {1: 2}, {0: -1}, {-1: 0.1}, {"nce": 3}, {"nce": {"momentum": "x"}},
    {"invaspred": {"temperature": 0.1}}, {"a": {"b": {"c": {}}}},
]  # fmt: skip
"""What a value may be replaced by."""
STRANGE_TEXTS = [
    "x: &a [*a]", "&a {x: *a}", "<<: *a", "<<: [1]", "x: !!python/object/apply:os.getcwd []",
    "? [1]\n: 2", "? {a: 1}\n: 2", "x: !!int y", "x: !!bool y", "x: !!timestamp y", "x: !!binary y",
    "x: !!float y", "x: !!set {a}", "x: !!omap [a]", "x: !!pairs [a]", "--- \n---\n", "%YAML 9.9\n",
    "\ufeffepochs: 1", "\t", "x: 'y", "x: \"\\xZZ\"", "x: |", "x: >9", "- " * 300, "[" * 1500,
    "{a: " * 400, "lr: 1\nlr: 2", "x: 0b_", "x: 0o", "x: 190:20:30", "base: self.yaml", "base: [a]",
    "name: ../../x", "name: a/b", "methods: all", "methods: {all: {}}", "a: &a [1,1,1]\nb: &b "
    "[*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d]\nf: [*e,*e,*e]",
]  # fmt: skip
"""What is put into a YAML text."""
CHARACTERS = "[]{}:,&*!|>-#'\"%@`?\\\n\t\r \0\x1b~./=é猫\u2028\udcff0aZ"


@dataclass
class Fuzz:
    """One test's random numbers, folder and checks."""

    random: random.Random
    root: Path
    """The working folder of the cases."""
    results: Path
    """The only place where commands may write."""

    def command(self, *words: str) -> Result:
        """Call the command line and check how it ends; returns what it printed."""
        result = CliRunner().invoke(main, list(words))
        told = f"bench {' '.join(map(repr, words))}\n{result.output}"
        assert result.exit_code in (0, 1, 2), told
        assert "Traceback" not in result.output, told
        assert "unforeseen" not in result.output, told  # an error that nobody put into words
        if result.exit_code:
            lines = result.stderr.splitlines()
            errors = [line for line in lines if line.startswith("Error: ")]
            assert len(errors) == 1, told
            assert lines[-1] == errors[0], told
            assert errors[0].isprintable(), told
        return result

    def reader(self, *words: str) -> Result:
        """Call a command that only reads: it changes, renames and makes no file."""
        before = self.files()
        result = self.command(*words)
        assert self.files() == before, words
        return result

    def files(self, without: Path | None = None) -> dict[str, tuple[int, int]]:
        """Return size and time of every file in and around the working folder."""
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in self.root.parent.rglob("*")
            if path.is_file() and (without is None or without not in path.parents)
        }

    def value(self) -> Any:
        """Return a value that nobody expects."""
        return self.random.choice(STRANGE_VALUES)

    def word(self) -> str:
        """Return a word that nobody expects, as a shell can give it."""
        value = self.value()
        text = value if isinstance(value, str) else inline(value)
        return (text if self.random.random() < 0.8 else self.text(text)).replace("\0", "")

    def text(self, text: str) -> str:
        """Return a text with a few characters or lines lost, doubled, swapped or put in."""
        for _ in range(self.random.randint(1, 4)):
            start = self.random.randint(0, len(text))
            stop = min(len(text), start + self.random.choice((1, 1, 2, 5, 30)))
            change = self.random.randrange(5)
            put_in = {
                0: "",
                1: text[start:stop] * 2,
                2: "".join(self.random.choices(CHARACTERS, k=stop - start + 1)),
                3: f"\n{self.random.choice(STRANGE_TEXTS)}\n",
                4: text[start:stop].swapcase(),
            }[change]
            text = text[:start] + put_in + text[stop:]
        return text

    def mapping(self, content: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """Return a mapping with some values replaced, misspelt, left out or added."""
        changed = dict(content)
        for _ in range(self.random.randint(1, 3)):
            name = self.random.choice([*changed, *names])
            change = self.random.randrange(4)
            if change == 0:
                changed.pop(name, None)
            elif change == 1 and isinstance(name, str) and len(name) > 1:
                changed[name[1:]] = changed.pop(name, self.value())
            elif change == 2 and isinstance(changed.get(name), dict):
                changed[name] = self.mapping(changed[name], ["nce", "hue"])
            else:
                changed[name] = self.value()
        return changed


def inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


@pytest.fixture
def fuzz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Fuzz]:
    """A frame in an empty folder; each test has random numbers of its own."""
    root = tmp_path / "a" / "b" / "c"  # so that `../..` leads to a folder that is looked at
    root.mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("BENCH_DATA", str(root / "no-data"))
    frame = Fuzz(random.Random(f"{SEED} {request.node.name}"), root, root / "results")
    before = frame.files(without=frame.results)
    yield frame
    made = frame.files(without=frame.results).keys() - before.keys()
    assert all(Path(name).parent == root for name in made), made  # a test's own files
    assert not any(name.endswith((".part", ".damaged")) for name in made)


@pytest.fixture
def planned_only(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let commands stop where training would start; returns the runs' folders so far."""
    folders: list[str] = []
    digits: dict[LoadOptions, Any] = {}
    read = Digits.read

    def read_once(dataset: Digits, root: Path, options: LoadOptions) -> Any:
        if options not in digits:
            digits[options] = read(dataset, root, options)
        return digits[options]

    def check(runs: Any, place: Any) -> Outcome:
        for run in runs:
            folder = place.folder(run)
            assert folder.parent == place.results / "runs"
            assert ".." not in folder.relative_to(place.results).parts
            assert len(folder.name.encode()) < NAME_MAX
            assert folder.name.isprintable()
            folders.append(folder.name)
        return Outcome(done=list(runs))

    monkeypatch.setattr(Digits, "read", read_once)
    monkeypatch.setattr(session, "execute_all", check)
    return folders
