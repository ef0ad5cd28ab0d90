"""Names that are markup somewhere stay what they are: words."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from benchmarks.report.document import inert
from benchmarks.report.render.latex import latex_text
from benchmarks.report.render.markdown import _code, _escape, _prose
from benchmarks.report.write import write_report
from benchmarks.runs import store

HOSTILE = (
    "`code`", "``", "a|b\\|c", "x\r\ny\n\n# head", "<script>alert(1)</script>", "${x}$ $$",
    "\\input{/etc/passwd}", "%#&_^~{}", "[a](javascript:b)", "![i](u)", "- list", "1. one",
    "</title><script>", "&lt;b&gt;", "\x00\x1b[31m\u202e\u2028", "*b* _i_ ~s~", "***", "{{ 7*7 }}",
)  # fmt: skip


class _Page(HTMLParser):
    """Collects the tags, and the attributes that act."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.acts: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.acts += [k for k, v in attributes if k.startswith("on") or "javascript:" in (v or "")]


def _page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def _put(results, words: str) -> None:
    for seed in range(2):
        changed = {"epochs": 2}
        folder = results.add(
            f"mine {words}", [20.0, 30.0 + seed], seed=seed, changed={words: words},
            hyper_parameters={words: words}, recipe_changed=changed,
            environment={"device": words, "platform": words, "packages": {words: words}},
        )  # fmt: skip
        results.add("nce", [20.0, 25.0 + seed], seed=seed, recipe_changed=changed)
        names = np.asarray([words or "x"] * 10)
        test = np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32)
        labels = np.arange(30) % 10
        store.write_embeddings(folder, test=test, test_labels=labels, classes=names)
    results.fail("triplet", f"loss {words} is nan", recipe_changed={"epochs": 2})


@pytest.fixture
def without_paths(monkeypatch):
    """Let a run's folder have a name of its own: a method's name may be no file name."""
    monkeypatch.setattr(
        store.RunRecord, "folder", property(lambda self: f"run-{self.key[:8]}-{self.seed}")
    )


@pytest.fixture
def expected_tags(results, without_paths, tmp_path_factory, monkeypatch):
    """Return the tags of the page with a harmless name in the places of the hostile ones."""
    monkeypatch.chdir(tmp_path_factory.mktemp("harmless"))
    _put(results, "word")
    write_report(results.path, ["html"])
    tags = _page((results.path / "report" / "report.html").read_text()).tags
    return {tag: tags.count(tag) for tag in set(tags) - {"tspan", "g", "span", "path", "use"}}


@pytest.mark.parametrize("words", [" ".join(HOSTILE), *HOSTILE[:5]])
def test_a_report_with_hostile_names(results, expected_tags, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    _put(results, words)
    said = []
    written = write_report(results.path, warn=said.append)
    assert said == []
    report = results.path / "report"
    assert {path.parent for path in written} == {report}
    page = _page((report / "report.html").read_text())
    counts = {tag: page.tags.count(tag) for tag in expected_tags}
    assert counts["script"] == expected_tags["script"]
    assert counts == {**expected_tags, "code": counts["code"], "text": counts.get("text", 0)}
    assert page.acts == []
    for path in report.glob("*.svg"):
        assert not any("script" in e.tag for e in ET.fromstring(path.read_text()).iter())

    markdown = (report / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\n?)+", markdown, flags=re.MULTILINE):
        widths = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()]
        assert len(set(widths)) == 1
    outside = re.sub(r"(?s)(?<!\\)(`+).+?(?<!`)\1(?!`)|<(/?)(sup|code)>|\\.", "", markdown)
    assert not re.search(r"<(?!sup|/sup|code|/code)\w", outside)
    assert "\r" not in markdown
    assert re.findall(r"(?m)^# .*", markdown) == ["# Instance discrimination, compared"]

    for path in report.glob("*.tex"):
        text = re.sub(r"(?m)(?<!\\)%.*$", "", path.read_text())
        assert r"\input" not in text
        stripped = re.sub(r"\\[\\{}$&#_%]", "", text)
        assert stripped.count("{") == stripped.count("}")
        assert stripped.count("$") % 2 == 0


@pytest.mark.parametrize("words", HOSTILE)
def test_words_stay_words_in_markdown(words):
    code = _code(words)
    if code.startswith("`"):
        assert "`" not in code[1:-1]
        assert not re.search(r"(?<!\\)\|", code)
    else:
        body = code.removeprefix("<code>").removesuffix("</code>")
        assert re.fullmatch(r"(?:[^\W_]| |&#\d+;)*", body)
    plain = re.sub(r"\\.", "", _escape(words))
    assert not re.search(r"[`*_\[\]<>|$~\r\n]", plain)
    assert not re.match(r"\s*([-+]|\d+[.)])\s", _escape(words))
    assert "\n" not in _prose(f"text `{words}` text")


@pytest.mark.parametrize("words", HOSTILE)
def test_words_stay_words_in_latex(words):
    text = latex_text(words)
    commands = set(re.findall(r"\\([a-z]+)", text))
    assert commands <= {"textbackslash", "textasciitilde", "textasciicircum", "textless",
                        "textgreater", "textbar", "texttt", "ldots"}  # fmt: skip
    assert not re.search(r"(?<!\\)[%#&$]", text)
    assert not re.search(r"[\r\n\x00]", text)


@pytest.mark.parametrize("words", [*HOSTILE, "\ud800 half"])
def test_inert_text_is_one_printable_line(words):
    assert len(inert(words).splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f]", inert(words).encode().decode())
