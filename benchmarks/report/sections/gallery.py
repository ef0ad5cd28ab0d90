"""Queries with their nearest neighbours: green frames for the right class, red for a wrong one."""

import base64
import io
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import Plot, Section
from benchmarks.report.render.plot_style import WIDTH
from benchmarks.report.render.svg import tidy
from benchmarks.report.text.commands import Commands
from benchmarks.runs.paper_tables import KNN
from benchmarks.runs.store import GALLERY, StoredRun

QUERIES = NEIGHBOURS = 8
"""At most so many are shown."""
LARGEST = 64
"""Pixels of a shown image's longer side; larger images are averaged down."""
RIGHT, WRONG = "#1a7f37", "#c62828"

_FRAME, _DASHES = 2.4, "5 3"
_PARTS = (
    "queries",
    "neighbours",
    "correct",
    "similarities",
    "query_classes",
    "neighbour_classes",
)


@dataclass(frozen=True)
class Gallery:
    """Queries and their nearest neighbours at one epoch."""

    epoch: int
    queries: NDArray[np.uint8]
    """(q, h, w, 3)."""
    neighbours: NDArray[np.uint8]
    """(q, k, h, w, 3), the nearest first."""
    correct: NDArray[np.bool_]
    """(q, k): is the neighbour of the query's class?"""
    similarities: NDArray[np.floating]
    """(q, k)."""
    query_classes: NDArray[np.str_]
    """(q,)."""
    neighbour_classes: NDArray[np.str_]
    """(q, k)."""

    @property
    def whole(self) -> bool:
        """Whether the arrays fit together and there is something to show."""
        images, neighbours = self.queries.shape, self.neighbours.shape
        return (
            self.queries.dtype == self.neighbours.dtype == np.uint8
            and len(images) == 4
            and images[-1] == 3
            and len(neighbours) == 5
            and (neighbours[0], *neighbours[2:]) == images
            and 0 not in neighbours
            and self.correct.shape == self.similarities.shape == neighbours[:2]
            and self.neighbour_classes.shape == neighbours[:2]
            and self.query_classes.shape == images[:1]
            and self.similarities.dtype.kind == "f"
        )


def galleries(run: StoredRun) -> list[Gallery]:
    """Return a run's galleries, one an epoch that it kept; empty if there are none or damaged ones.

    Arrays of several epochs have a further leading axis, whose epochs are in `epochs`. Only the
    first queries and neighbours are kept.
    """
    arrays = run.arrays(GALLERY)
    if arrays is None or not set(_PARTS) <= set(arrays):
        return []
    if "epochs" in arrays:
        epochs = arrays["epochs"]
        if epochs.ndim != 1 or any(arrays[part].shape[:1] != epochs.shape for part in _PARTS):
            return []
        found = [
            Gallery(int(epoch), *(arrays[part][place] for part in _PARTS))
            for place, epoch in enumerate(epochs)
        ]
    else:
        found = [Gallery(run.record.final.epoch, *(arrays[part] for part in _PARTS))]
    return [_shown(gallery) for gallery in found if gallery.whole]


def _shown(gallery: Gallery) -> Gallery:
    q, k = slice(QUERIES), slice(NEIGHBOURS)
    return Gallery(
        epoch=gallery.epoch,
        queries=_reduced(gallery.queries[q]),
        neighbours=_reduced(gallery.neighbours[q, k]),
        correct=gallery.correct[q, k].astype(np.bool_),
        similarities=gallery.similarities[q, k],
        query_classes=gallery.query_classes[q],
        neighbour_classes=gallery.neighbour_classes[q, k],
    )


def _reduced(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (..., h, w, 3) images whose longer side is at most LARGEST: means over squares."""
    height, width = images.shape[-3:-1]
    factor = -(-max(height, width) // LARGEST)
    rows, columns = max(1, height // factor), max(1, width // factor)
    if factor == 1 or factor > min(height, width):
        return images
    whole = images[..., : rows * factor, : columns * factor, :]
    squares = whole.reshape(*images.shape[:-3], rows, factor, columns, factor, 3)
    reduced: NDArray[np.uint8] = np.rint(squares.mean(axis=(-4, -2))).astype(np.uint8)
    return reduced


def section(comparison: Comparison, commands: Commands) -> Section:
    """Return each method's gallery, of its first seed."""
    plots = []
    for number, group in enumerate(comparison.groups):
        found = galleries(group.runs[0]) if group.runs else []
        for gallery in found:
            caption = group.label + (f", epoch {gallery.epoch}" if len(found) > 1 else "")
            words = f"gallery {comparison.dataset_name} {comparison.slug} {number} {group.method}"
            words += f" epoch {gallery.epoch}" if len(found) > 1 else ""
            plots.append(_plot(gallery, caption, recipe_facts.slug(words)))
    seen = comparison.headline == KNN
    among = "images that the kNN classifier compares with" if seen else "other test images"
    return Section(
        title="Nearest neighbours",
        plots=tuple(plots),
        texts=(
            f"Left, queries from the test set; right of each, its nearest neighbours among the "
            f"{among}, the nearest first. A solid green frame: the query's class; a dashed red "
            "frame: another one. The queries are not chosen by how well they do, and a few of them "
            "measure nothing.",
        ),
    )


def _plot(gallery: Gallery, caption: str, slug: str) -> Plot:
    return Plot(slug, caption, lambda: draw(gallery, slug, caption))


def draw(gallery: Gallery, name: str, title: str) -> str:
    """Return a gallery as an SVG whose images are one PNG inside it.

    Args:
        gallery: a row a query.
        name: prefix of the ids, unique on a page.
        title: whose neighbours these are, read out instead of the images.
    """
    sheet = _Sheet(gallery)
    image = base64.b64encode(sheet.png()).decode("ascii")
    body = [
        f"<desc>{escape(_summary(gallery))}</desc>",
        f'<image href="data:image/png;base64,{image}" width="{WIDTH:g}" height="{sheet.height:.2f}"'
        ' preserveAspectRatio="none" style="image-rendering:pixelated"/>',
        f'<g fill="none" pointer-events="all" stroke-width="{_FRAME}">',
        *sheet.frames(),
        "</g>",
    ]
    svg = f'<svg viewBox="0 0 {WIDTH:g} {sheet.height:.2f}">' + "\n".join(body) + "\n</svg>\n"
    return tidy(svg, name, f"Nearest neighbours: {title}")


class _Sheet:
    """All images of a gallery in rows, with room for frames between them."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.tiles = np.concatenate([gallery.queries[:, None], gallery.neighbours], axis=1)
        self.rows, self.columns, self.tile_height, self.tile_width = self.tiles.shape[:4]
        self.gap: int = max(1, round(max(self.tile_height, self.tile_width) / 5))
        self.shape = (
            self.rows * (self.tile_height + self.gap) + self.gap,
            self.columns * (self.tile_width + self.gap) + 2 * self.gap,
        )
        self.scale = WIDTH / self.shape[1]

    @property
    def height(self) -> float:
        """In units of the view box, WIDTH wide."""
        height: float = self.shape[0] * self.scale
        return height

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return the pixels above and left of a tile; the query stands apart."""
        top = self.gap + row * (self.tile_height + self.gap)
        left = self.gap * (1 + (column > 0)) + column * (self.tile_width + self.gap)
        return top, left

    def png(self) -> bytes:
        """Return the images as a PNG file."""
        pixels = np.full((*self.shape, 3), 255, np.uint8)
        for row, column in np.ndindex(self.rows, self.columns):
            top, left = self.place(row, column)
            rows, columns = slice(top, top + self.tile_height), slice(left, left + self.tile_width)
            pixels[rows, columns] = self.tiles[row, column]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return file.getvalue()

    def frames(self) -> list[str]:
        """Return a titled rectangle around each image; those of queries are not drawn."""
        frames = []
        for row, column in np.ndindex(self.rows, self.columns):
            top, left = (pixels * self.scale - _FRAME / 2 for pixels in self.place(row, column))
            width = self.tile_width * self.scale + _FRAME
            height = self.tile_height * self.scale + _FRAME
            look, words = self._look(row, column - 1)
            frames.append(
                f'<rect x="{left:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}"'
                f"{look}><title>{escape(words)}</title></rect>"
            )
        return frames

    def _look(self, row: int, neighbour: int) -> tuple[str, str]:
        gallery, query = self.gallery, self.gallery.query_classes[row]
        if neighbour < 0:
            return "", f"query: {query}"
        words = (
            f"{gallery.neighbour_classes[row, neighbour]}, "
            f"cosine similarity {gallery.similarities[row, neighbour]:.2f}"
        )
        if gallery.correct[row, neighbour]:
            return f' stroke="{RIGHT}"', f"{words}: right"
        return f' stroke="{WRONG}" stroke-dasharray="{_DASHES}"', f"{words}: wrong, not {query}"


def _summary(gallery: Gallery) -> str:
    """Return what the frames say, for those who cannot see them."""
    lines = []
    for query, names, correct in zip(
        gallery.query_classes, gallery.neighbour_classes, gallery.correct, strict=True
    ):
        line = f"{query}: {np.count_nonzero(correct)} of {len(correct)} right"
        wrong = ", ".join(map(str, names[~correct]))
        lines.append(f"{line}; wrong: {wrong}" if wrong else line)
    return ". ".join(lines) + "."
