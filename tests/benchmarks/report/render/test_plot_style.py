from benchmarks.report.render import plot_style
from benchmarks.runs import paper_tables


def test_a_method_looks_the_same_everywhere_and_unlike_the_others():
    names = [row.method for row in paper_tables.get(1).rows]
    assert set(names) == set(plot_style.STYLES)
    styles = [plot_style.style(name) for name in plot_style.STYLES]
    assert len({colour for colour, _ in styles}) == len({marker for _, marker in styles}) == 8
    assert plot_style.style("a-plug-in") == plot_style.style("a-plug-in")
    assert plot_style.style("a-plug-in") not in styles
