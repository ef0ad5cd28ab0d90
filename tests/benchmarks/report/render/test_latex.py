import re

import pytest

from benchmarks.report.document import Cell, Column, Table, TableRow
from benchmarks.report.render.latex import latex, latex_text

TABLE = Table(
    slug="table-1-quick",
    caption="kNN (%) on a_b",
    columns=(
        Column("method", "Method", numeric=False, given=True),
        Column("measured", "Measured, last epoch", "Measured", required=True),
        Column("epochs", "Epochs to 60\u00a0%", "Epochs\nto 60\u00a0%"),
    ),
    rows=(
        TableRow(
            {
                "method": Cell("Ours", code="invaspread", notes=(0, 1)),
                "measured": Cell("53.1 ± 0.2", 53.1, aside="epoch 3"),
                "epochs": Cell("≤ 1.0", 1.0),
            },
            {},
            best=True,
        ),
        TableRow({"method": Cell("", code="my-own (x = 1)")}, {}, "missing", "bench run --set a=b"),
    ),
    caveat="Not 100 % alike.",
    notes=("First.", "Second: `bench run --set x_y=1`"),
    general_notes=("Remark & more.",),
)


def test_the_float_is_whole():
    text = latex(TABLE)
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    stripped = re.sub(r"\\[{}]", "", text)
    assert stripped.count("{") == stripped.count("}")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    assert r"\begin{tabular}{lrr}" in text
    assert r"\label{tab:table-1-quick}" in text


def test_each_row_has_a_cell_per_column():
    body = latex(TABLE).split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [2, 2]
    assert body[0] == (
        r"\textbf{Ours}\textsuperscript{a,b} & \textbf{53.1 $\pm$ 0.2} & \textbf{$\leq$ 1.0} \\"
    )
    assert body[1] == r"my-own (x = 1) & \emph{missing} & -- \\ % bench run --set a=b"


def test_heads_are_short_and_stacked():
    assert r"Method & Measured & \shortstack[r]{Epochs \\ to 60~\%} \\" in latex(TABLE)


def test_notes_follow_the_table():
    text = latex(TABLE)
    assert r"\textsuperscript{b} Second: \texttt{bench run --set x\_y=1}" in text
    assert r"Not 100 \% alike." in text
    assert r"Remark \& more." in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"a\b", r"a\textbackslash{}b"),
        ("50 % & $x_1$ #{}", r"50 \% \& \$x\_1\$ \#\{\}"),
        ("~^<>|", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"),
        ("−3 ± 1\n", r"$-$3 $\pm$ 1 "),
    ],
)
def test_what_has_a_meaning_is_escaped(text, escaped):
    assert latex_text(text) == escaped
