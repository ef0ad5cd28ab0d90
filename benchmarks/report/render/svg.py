"""Making matplotlib's SVG fit for a page, and names that do not overlap."""

import re
from collections.abc import Sequence
from html import escape

_ID = re.compile(r' id="([^"]+)"')
_LONG = re.compile(r"-?\d+\.\d{3,}")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold."""
_USE = re.compile(r'(url\(#|href="#)([^")]+)')


def tidy(svg: str, prefix: str, title: str) -> str:
    """Return the SVG responsive, without what a page does not need, and with ids of its own.

    Args:
        svg: as matplotlib writes it.
        prefix: put before each id, so that several figures fit on one page.
        title: read out instead of the figure.
    """
    used = {name for _, name in _USE.findall(svg)}
    body = svg[svg.index("<svg") :]
    body = _NO_XML.sub("", body)
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    # matplotlib's style element would reach beyond the figure; its two rules are inherited anyway.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>\s*", "", body)
    body = body.replace("xlink:href", "href").replace(
        ' xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    )
    body = _ID.sub(lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = _USE.sub(lambda m: f"{m[1]}{prefix}-{m[2]}", body)
    body = _LONG.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), body)
    size = re.search(r'viewBox="[^"]+"', body)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size[0] if size else ""} width="100%" '
        'role="img" stroke-linejoin="round" stroke-linecap="butt">\n'
        f"<title>{escape(_NO_XML.sub('', title))}</title>\n"
    )
    return head + body[body.index(">") + 1 :].lstrip()


def inline(svg: str) -> str:
    """Return the SVG for use inside HTML, which needs no name space."""
    return svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def spread_labels(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Return the centres of labels, near where they are wanted and without overlap.

    Neighbours that would overlap are stacked around the mean of their wanted places. The stack is
    kept between `low` and `high` if it fits there.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[int]] = []
    bottoms: list[float] = []
    for i in order:
        blocks.append([i])
        bottoms.append(_bottom([i], wanted, heights, low, high))
        while len(blocks) > 1 and _top(blocks[-2], bottoms[-2], heights) > bottoms[-1]:
            merged = blocks.pop(-2) + blocks.pop()
            bottoms[-2:] = [_bottom(merged, wanted, heights, low, high)]
            blocks.append(merged)
    centres = [0.0] * len(wanted)
    for block, bottom in zip(blocks, bottoms, strict=True):
        for i in block:
            centres[i] = bottom + heights[i] / 2
            bottom += heights[i]
    return centres


def _top(block: Sequence[int], bottom: float, heights: Sequence[float]) -> float:
    return bottom + sum(heights[i] for i in block)


def _bottom(
    block: Sequence[int],
    wanted: Sequence[float],
    heights: Sequence[float],
    low: float,
    high: float,
) -> float:
    """Return where a stack begins that lies as near as possible to its wanted places."""
    offset, total = 0.0, 0.0
    for i in block:
        offset += wanted[i] - (total + heights[i] / 2)
        total += heights[i]
    return max(low, min(offset / len(block), high - total))
