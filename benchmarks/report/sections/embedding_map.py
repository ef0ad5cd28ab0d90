"""Maps of the embeddings: test images as dots in two dimensions, coloured by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.document import Plot, Section, inert
from benchmarks.report.render.plot_style import WIDTH, as_svg, drawing
from benchmarks.report.text.commands import Commands
from benchmarks.runs.store import EMBEDDINGS, StoredRun

Projection = Literal["pca", "umap"]
SHOWN = 2000
"""Images on a map: 50 kB of SVG."""
COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Told apart under the common colour-vision deficiencies (Petroff, arXiv:2107.02270)."""

_DOT, _LAYERS = 4.5, 4
_SIDE, _TOP, _AXIS, _PLOT, _LINE = 18.0, 4.0, 18.0, 300.0, 15.0
_NAMES_IN_LINE = 4
_INSTALL = "pip install 'instbench[umap]'"

_MOST_CLASSES = 10_000_000
"""A larger label is no class but damage."""


@dataclass(frozen=True)
class Sample:
    """Some images' embeddings."""

    embeddings: NDArray[np.float64]
    """(n, d)."""
    labels: NDArray[np.int64]
    """(n,); all 0 where there are no labels."""
    classes: tuple[str, ...]
    """Names in the order of the labels; empty where there are no labels."""


@dataclass(frozen=True)
class Map:
    """A sample in two dimensions."""

    sample: Sample
    coordinates: NDArray[np.float64]
    """(n, 2)."""
    axes: tuple[str, str]
    """What the axes are called."""


def sample(run: StoredRun) -> Sample | None:
    """Return up to 2,000 of a run's test images, the same ones for every run on those images.

    Images without test images come from the bank. None if the run left no embeddings, or none
    that fit together; images whose embedding is not finite are left out.
    """
    arrays = run.arrays(EMBEDDINGS) or {}
    part = "test" if "test" in arrays else "bank"
    found, labels = arrays.get(part), arrays.get(f"{part}_labels")
    if found is None or found.ndim != 2 or found.dtype.kind != "f" or not found.size:
        return None
    labelled = labels is not None and labels.dtype.kind in "iu"
    truth = labels if labels is not None and labelled else np.zeros(len(found), np.int64)
    if truth.shape != found.shape[:1] or truth.min() < 0 or truth.max() > _MOST_CLASSES:
        return None
    chosen = np.arange(len(found))
    if len(found) > SHOWN:
        chosen = np.random.default_rng(0).choice(len(found), SHOWN, replace=False)
    chosen = chosen[np.isfinite(found[chosen]).all(axis=1)]
    if not len(chosen):
        return None
    classes = _class_names(arrays, int(truth.max()) + 1) if labelled else ()
    return Sample(found[chosen].astype(np.float64), truth[chosen].astype(np.int64), classes)


def _class_names(arrays: dict[str, np.ndarray], count: int) -> tuple[str, ...]:
    """Return the names that the run left in `classes`, or numbers."""
    names = arrays.get("classes")
    if names is not None and names.dtype.kind == "U" and names.ndim == 1 and len(names) >= count:
        return tuple(inert(str(name)) for name in names)
    return tuple(f"class {label}" for label in range(count))


def umap_is_installed() -> bool:
    """Return whether the extra `umap` is installed and works."""
    try:
        import umap  # noqa: F401
    except ImportError:
        return False
    return True


def project(sample: Sample, projection: Projection = "pca") -> Map:
    """Return a sample in two dimensions.

    Args:
        sample: what to map.
        projection: "pca", or "umap" (McInnes et al., arXiv:1802.03426; cosine distance), which
            needs the extra `umap`.

    Raises:
        ImportError: if UMAP is asked for and not installed; see `umap_is_installed`.
    """
    if projection == "umap":
        from umap import UMAP

        coordinates = UMAP(metric="cosine", random_state=0).fit_transform(sample.embeddings)
        return Map(sample, np.asarray(coordinates, np.float64), ("UMAP 1", "UMAP 2"))
    coordinates, shares = pca(sample.embeddings)
    first, second = (f"PC {n}: {share:.0%} of the variance" for n, share in enumerate(shares, 1))
    return Map(sample, coordinates, (first, second))


def pca(embeddings: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first two principal components and their shares of the variance.

    Args:
        embeddings: (n, d).

    Returns:
        Coordinates (n, 2), each axis with its largest value positive, and shares (2,) in 0..1;
        zeros where the embeddings have fewer dimensions or are all equal.
    """
    centred = embeddings - embeddings.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(2, len(values))
    coordinates, shares = np.zeros((len(embeddings), 2)), np.zeros(2)
    coordinates[:, :kept] = left[:, :kept] * values[:kept]
    largest = np.abs(coordinates).argmax(axis=0)
    coordinates *= np.where(coordinates[largest, [0, 1]] < 0, -1.0, 1.0)
    total = np.square(values).sum()
    if total > 0:
        shares[:kept] = np.square(values[:kept]) / total
    return coordinates, shares


def section(comparison: Comparison, commands: Commands, projection: Projection = "pca") -> Section:
    """Return a map of each method's embeddings, of its first seed.

    PCA stands in for UMAP where the extra is not installed, and the text says so.
    """
    used = projection if projection == "pca" or umap_is_installed() else "pca"
    plots = []
    for number, group in enumerate(comparison.groups):
        found = sample(group.runs[0]) if group.runs else None
        if found is not None:
            words = f"map {comparison.dataset_name} {comparison.slug} {number} {group.method}"
            seed = group.runs[0].record.seed
            plots.append(_plot(found, used, f"{group.label}, seed {seed}", words))
    return Section(
        title="Map of the embeddings", plots=tuple(plots), texts=_texts(used, projection)
    )


def _texts(used: Projection, wanted: Projection) -> tuple[str, ...]:
    if used == "umap":
        text = (
            "UMAP keeps neighbours near each other; distances between groups and their sizes mean "
            "little."
        )
    else:
        text = (
            "The two directions of largest variance (PCA): what lies apart here is apart in the "
            "embedding, what coincides here need not."
        )
    texts = [f"Up to {SHOWN:,} images, the same ones in every map, coloured by class. {text}"]
    if used != wanted:
        texts.append(f"UMAP is not installed, so PCA is shown; to install it: `{_INSTALL}`")
    return tuple(texts)


def _plot(found: Sample, projection: Projection, caption: str, words: str) -> Plot:
    slug = recipe_facts.slug(words)
    return Plot(slug, caption, lambda: draw(project(found, projection), slug, caption))


def draw(shown: Map, name: str, title: str) -> str:
    """Return a map as an SVG of at most 60 kB.

    Args:
        shown: at most 10 classes are named; of more, colours repeat.
        name: prefix of the ids, unique on a page.
        title: whose embeddings these are, read out instead of the map.
    """
    classes = shown.sample.classes if len(shown.sample.classes) <= len(COLOURS) else ()
    legend = _LINE * -(-len(classes) // _NAMES_IN_LINE) + (6 if classes else 0)
    height = _TOP + _PLOT + _AXIS + legend
    with drawing(name):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        axes = figure.add_axes(
            (_SIDE / WIDTH, 1 - (_TOP + _PLOT) / height, 1 - (_SIDE + 1) / WIDTH, _PLOT / height)
        )
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.set_xlabel(shown.axes[0], labelpad=3)
        axes.set_ylabel(shown.axes[1], labelpad=3)
        _dots(axes, shown)
        if classes:
            _key(figure, classes)
        return as_svg(figure, name, f"Map of the embeddings: {title}")


def _dots(axes: Axes, shown: Map) -> None:
    """Draw the images in layers, so that no class lies on top of the others everywhere."""
    labels = shown.sample.labels
    for layer in range(_LAYERS):
        for label in np.unique(labels):
            places = shown.coordinates[np.flatnonzero(labels == label)[layer::_LAYERS]]
            if len(places):
                colour = COLOURS[label % len(COLOURS)]
                axes.add_patch(_dots_of_one_colour(places, colour))
    axes.update_datalim(shown.coordinates)
    axes.margins(0.03)
    axes.autoscale_view()


def _dots_of_one_colour(places: NDArray[np.float64], colour: str) -> PathPatch:
    """Return dots as one path: closed strokes of no length with round ends.

    A quarter of the bytes of a marker a dot.
    """
    vertices = places.repeat(2, axis=0)
    codes = np.tile([Path.MOVETO, Path.CLOSEPOLY], len(places)).astype(Path.code_type)
    # A filled path is written as it is; one without a fill would go through line clipping.
    return PathPatch(Path(vertices, codes), facecolor=colour, edgecolor=colour, linewidth=_DOT,
                     capstyle="round", alpha=0.75)  # fmt: skip


def _key(figure: Figure, classes: Sequence[str]) -> None:
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=6, markeredgewidth=0, color=colour)
        for colour in COLOURS[: len(classes)]
    ]
    figure.legend(handles, classes, loc="lower left", bbox_to_anchor=(0, 0), frameon=False,
                  ncols=_NAMES_IN_LINE, borderpad=0.1, borderaxespad=0.1, handlelength=0.8,
                  handletextpad=0.3, columnspacing=1.0, labelspacing=0.25)  # fmt: skip
