import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from benchmarks.report.data.compare import planned
from benchmarks.report.sections import embedding_map
from benchmarks.report.text.commands import Commands
from benchmarks.runs import store
from benchmarks.runs.store import read_all

COMMANDS = Commands(Path("results"))
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def made_up(count=60, classes=3, width=16, seed=0):
    """Return unit embeddings around one centre a class, and their labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    found = random.normal(size=(classes, width))[labels] + random.normal(size=(count, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True), labels


def add(results, method="nce", *, arrays=None, **run):
    folder = results.add(method, [20.0, 40.0], **run)
    test, labels = made_up()
    store.write_embeddings(folder, **(arrays or {"test": test, "test_labels": labels}))
    return folder


def section_of(results, *projection):
    return embedding_map.section(results.comparison(), COMMANDS, *projection)


def sample_of(results):
    (run,) = read_all(results.path, warn=pytest.fail)
    return embedding_map.sample(run)


def dots(svg):
    """Return how many dots of each colour are drawn."""
    counts = {}
    for path, colour in re.findall(
        r'<path d="([^"]*)"[^>]*stroke: (#\w{6})[^>]*linecap: round', svg
    ):
        counts[colour] = counts.get(colour, 0) + path.count("z")
    return counts


def test_every_image_is_a_dot_in_the_colour_of_its_class(results):
    add(results)
    (plot,) = section_of(results).plots
    _, labels = made_up()
    expected = dict(zip(embedding_map.COLOURS, np.bincount(labels).tolist(), strict=False))
    assert dots(plot.svg) == expected


def test_dots_lie_where_the_projection_puts_them(results):
    add(results)
    shown = embedding_map.project(sample_of(results))
    svg = embedding_map.draw(shown, "map", "nce")
    places = [
        (float(x), -float(y))
        for path in re.findall(r'<path d="([^"]*)"[^>]*linecap: round', svg)
        for x, y in re.findall(r"M ([\d.]+) ([\d.]+)", path)
    ]
    order = [
        index
        for layer in range(4)
        for label in range(3)
        for index in np.flatnonzero(shown.sample.labels == label)[layer::4]
    ]
    drawn, wanted = np.array(places), shown.coordinates[order]
    scale = np.ptp(drawn, axis=0) / np.ptp(wanted, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-3)  # distances mean the same both ways
    moved = (drawn - drawn.mean(axis=0)) / scale[0]
    np.testing.assert_allclose(moved, wanted - wanted.mean(axis=0), atol=2e-4)


@pytest.mark.parametrize(("count", "width"), [(50, 8), (5, 20), (300, 2)])
def test_pca_is_scikit_learns_but_for_signs(count, width):
    embeddings, _ = made_up(count, 3, width)
    embeddings += 0.7  # is centred
    coordinates, shares = embedding_map.pca(embeddings)
    reference = PCA(2, svd_solver="full").fit(embeddings)
    np.testing.assert_allclose(
        np.abs(coordinates), np.abs(reference.transform(embeddings)), atol=1e-9
    )
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_)
    assert (coordinates[np.abs(coordinates).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("embeddings", [np.ones((6, 4)), np.zeros((1, 3))], ids=["equal", "one"])
def test_embeddings_that_are_all_equal_are_one_place_without_variance(results, embeddings):
    coordinates, shares = embedding_map.pca(embeddings)
    assert not coordinates.any()
    assert not shares.any()
    add(results, arrays={"test": embeddings, "test_labels": np.zeros(len(embeddings), int)})
    (plot,) = section_of(results).plots
    assert sum(dots(plot.svg).values()) == len(embeddings)


def test_one_dimension_is_drawn_on_a_line():
    coordinates, shares = embedding_map.pca(np.array([[0.0], [1.0], [5.0]]))
    np.testing.assert_allclose(coordinates, [[-2, 0], [-1, 0], [3, 0]])
    np.testing.assert_allclose(shares, [1, 0])


def test_the_axes_say_how_much_they_show(results, texts):
    add(results)
    (plot,) = section_of(results).plots
    test, _ = made_up()
    shares = PCA(2).fit(test.astype(np.float16)).explained_variance_ratio_
    for number, share in enumerate(shares, 1):
        assert f"PC {number}: {share:.0%} of the variance" in texts(plot.svg)


def test_two_thousand_images_are_enough_and_take_little_room(results):
    embeddings, labels = made_up(5000, 10, 128)
    arrays = {"test": embeddings, "test_labels": labels, "classes": np.array(CIFAR10)}
    add(results, arrays=arrays)
    add(results, "exemplar", arrays={**arrays, "test": -embeddings})
    first, second = read_all(results.path, warn=pytest.fail)
    one, other = embedding_map.sample(first), embedding_map.sample(second)
    assert len(one.labels) == 2000
    np.testing.assert_array_equal(one.embeddings, -other.embeddings)  # the same images
    for plot in section_of(results).plots:
        assert sum(dots(plot.svg).values()) == 2000
        assert len(plot.svg.encode()) < 60_000


@pytest.mark.parametrize(
    ("classes", "named"), [(3, True), (10, True), (11, False)], ids="{}".format
)
def test_up_to_ten_classes_are_named(results, classes, named, texts):
    embeddings, labels = made_up(80, classes)
    add(results, arrays={"test": embeddings, "test_labels": labels})
    (plot,) = section_of(results).plots
    assert ("class 2" in texts(plot.svg)) is named
    assert len(dots(plot.svg)) == min(classes, 10)


def test_classes_have_their_names_where_the_run_kept_them(results, texts):
    test, labels = made_up(classes=10)
    add(results, arrays={"test": test, "test_labels": labels, "classes": np.array(CIFAR10)})
    (plot,) = section_of(results).plots
    assert set(CIFAR10) <= set(texts(plot.svg))


def test_only_the_first_seed_is_mapped(results):
    add(results, seed=1)
    add(results, seed=0)
    (plot,) = section_of(results).plots
    assert plot.caption == "nce, seed 0"


def test_images_without_labels_come_from_the_bank_in_one_colour(results, texts):
    add(results, arrays={"bank": made_up()[0]}, dataset="folder")
    (plot,) = section_of(results).plots
    assert dots(plot.svg) == {embedding_map.COLOURS[0]: 60}
    assert not any("class" in text for text in texts(plot.svg))


def test_images_without_a_finite_embedding_are_left_out(results):
    test, labels = made_up()
    test[3, 2], test[7, 0] = np.nan, np.inf
    add(results, arrays={"test": test, "test_labels": labels})
    assert len(sample_of(results).labels) == 58


@pytest.mark.parametrize(
    "arrays",
    [
        {"test": np.ones((4, 2)), "test_labels": np.zeros(3, int)},
        {"test": np.ones(4), "test_labels": np.zeros(4, int)},
        {"test": np.ones((4, 2)), "test_labels": np.array([0, -1, 0, 0])},
        {"test": np.full((4, 2), np.nan), "test_labels": np.zeros(4, int)},
        {"test": np.ones((0, 2)), "test_labels": np.zeros(0, int)},
        {"other": np.ones((4, 2))},
    ],
    ids=["lengths", "shape", "negative", "nan", "empty", "absent"],
)
def test_embeddings_that_cannot_be_mapped_are_left_out(results, arrays):
    add(results, arrays=arrays)
    assert not section_of(results)


def test_without_embeddings_there_is_no_section(results, put_damaged):
    put_damaged(store.EMBEDDINGS)
    assert not section_of(results)
    assert not embedding_map.section(planned("cifar10", "paper"), COMMANDS)


def test_umap_is_replaced_and_missed_where_it_is_not_installed(results, monkeypatch, texts):
    monkeypatch.setitem(sys.modules, "umap", None)  # an import fails
    add(results)
    section = section_of(results, "umap")
    assert any("pip install 'instbench[umap]'" in text for text in section.texts)
    assert any(text.startswith("PC 1") for text in texts(section.plots[0].svg))
    assert section_of(results).texts[1:] == ()


def test_umap_is_drawn_where_it_is_installed(results, monkeypatch, texts):
    class Umap:
        def __init__(self, **options):
            self.options = options

        def fit_transform(self, embeddings):
            return embeddings[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Umap))
    add(results)
    section = section_of(results, "umap")
    (svg,) = (plot.svg for plot in section.plots)
    assert {"UMAP 1", "UMAP 2"} <= set(texts(svg))
    assert sum(dots(svg).values()) == 60
    assert "PCA" not in " ".join(section.texts)


def test_names_are_text_and_files_differ(results, texts):
    test, labels = made_up()
    names = np.array(["<b>", "$x$", "c"])
    arrays = {"test": test, "test_labels": labels, "classes": names}
    add(results, changed={"margin": "1<i>"}, arrays=arrays)
    add(results, changed={"margin": "-1<i>"}, arrays=arrays)
    plots = section_of(results).plots
    assert len({plot.slug for plot in plots}) == 2
    for plot in plots:
        assert "<b>" not in plot.svg
        assert "<i>" not in plot.svg
        assert {"<b>", "$x$"} <= set(texts(plot.svg))
        assert plot.svg == plot.draw()
