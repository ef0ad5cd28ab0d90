"""Words that the suite has plain terms for, and where they stand in the packages.

`python tests/helpers/words.py` lists every place; `--update` lowers the numbers of words.json.
"""

import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("methods", "evaluation", "benchmarks")
TEXTS = (".yaml", ".j2", ".js")
"""Files beside Python's whose words users read."""
LIMITS = ROOT / "tests/contract/words.json"


@dataclass(frozen=True)
class Banned:
    """A word, what to say instead, and where it is right all the same.

    Attributes:
        pattern: what counts, regardless of case; of names, their parts between underscores.
        say: the plain term.
        allowed: taken out of a text before it is searched.
        files: names of files or folders in which the word has its ordinary meaning.
    """

    pattern: str
    say: str
    allowed: str = ""
    files: tuple[str, ...] = ()


PLOTS = ("report/render/", "report/document.py", "report/write.py", "sections/learning_curves.py",
         "sections/embedding_map.py", "sections/gallery.py", "sections/class_separation.py",
         "sections/label_free.py")  # fmt: skip
"""Where figures are drawn: there a figure is a figure."""
RENAMED = ("training/recipe/schema.py", "training/recipe/reader.py")
"""Where recipes of older versions are read, which call the setting `partners`."""

WORDS = {
    "figure": Banned(
        r"figures?",
        "metric, or value; a figure is drawn",
        allowed=r"figures? \d( (and|to) \d)?|fig\. ?\d|figure_?3|matplotlib\.figure|\.figure\(",
        files=PLOTS,
    ),
    "picture": Banned(r"pictures?", "figure, plot; of a photograph: image"),
    "judge": Banned(r"judg(e|ed|es|ing|ement|ements)", "evaluate, evaluation"),
    "told": Banned(r"told", "logged, said", allowed=r"told (\w+ )?apart"),
    "image's number": Banned(r"image(['’]s|s['’])? numbers?", "index"),
    "carry out": Banned(r"(carry|carries|carried)[ _]out", "execute"),
    "workplace": Banned(r"workplaces?", "run context"),
    "partners": Banned(r"partners", "positive: self or neighbour", files=RENAMED),
    "coin": Banned(r"coins?", "with probability 1/2"),
    "stands above": Banned(r"stands above", "takes precedence; overrides"),
    "remark": Banned(r"remarks?", "footnote"),
    "caution": Banned(r"caution(s|ed)?", "caveat"),
    "wanted": Banned(r"wanted", "load options"),
    "landmark": Banned(r"landmarks?", "marker files"),
    "dear": Banned(r"dear", "expensive"),
    "linear classifier makes of": Banned(r"linear classifier .{0,20}makes of", "linear probe"),
}


@dataclass(frozen=True)
class Place:
    """Where a banned word stands."""

    word: str
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word}: {self.text}"


def places() -> list[Place]:
    """Return every place in the packages, in the order of files and lines."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix == ".py":
                found += in_python(path.read_text(encoding="utf-8"), name)
            elif path.suffix in TEXTS:
                found += in_text(path.read_text(encoding="utf-8"), name)
    return found


def in_text(text: str, path: str) -> list[Place]:
    """Return the places in a text, also where a phrase goes on in the next line."""
    found = (_prose(word, banned, text, 1, path) for word, banned in WORDS.items())
    return [place for places in found for place in places]


def in_python(source: str, path: str) -> list[Place]:
    """Return the places in a file's comments, strings and names."""
    found = []
    for first, text in _prose_of(source):
        for word, banned in WORDS.items():
            found += _prose(word, banned, text, first, path)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.NAME:
            continue
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", token.string)
        for word, banned in WORDS.items():
            found += _prose(word, banned, spaced, token.start[0], path)
    return sorted(set(found), key=lambda place: (place.line, place.word))


def _prose_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each string and each block of comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value.replace("_", " ")
    lines: list[str] = []
    begun = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1:
            if lines:
                yield begun, "\n".join(lines)
            lines, begun = [], token.start[0]
        last = token.start[0]
        lines.append(token.string.lstrip("#: "))
    if lines:
        yield begun, "\n".join(lines)


def _prose(word: str, banned: Banned, text: str, first: int, path: str) -> Iterator[Place]:
    if any(part in path for part in banned.files):
        return
    if banned.allowed:
        text = re.sub(banned.allowed, lambda found: " " * len(found[0]), text, flags=re.I)
    for found in re.finditer(rf"\b{banned.pattern.replace(' ', chr(92) + 's+')}\b", text, re.I):
        line = text.count("\n", 0, found.start())
        yield Place(word, path, first + line, text.splitlines()[line].strip()[:90])


def counts(found: list[Place]) -> dict[str, int]:
    """Return how often each word stands, 0 included."""
    return {word: 0 for word in WORDS} | Counter(place.word for place in found)


def limits() -> dict[str, int]:
    """Return the stored numbers."""
    stored: dict[str, int] = json.loads(LIMITS.read_text(encoding="utf-8"))
    return stored


if __name__ == "__main__":
    everywhere = places()
    now = counts(everywhere)
    if "--update" in sys.argv:
        stored = limits() if LIMITS.exists() else now
        kept = {word: min(stored.get(word, 0), count) for word, count in now.items()}
        LIMITS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        print(*(f"{word}: {count}, limit {kept[word]}" for word, count in now.items()), sep="\n")
    else:
        print(*everywhere, sep="\n")
