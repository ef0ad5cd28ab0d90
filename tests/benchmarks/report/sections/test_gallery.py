import base64
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.report.data.compare import planned
from benchmarks.report.render import html as page
from benchmarks.report.sections import gallery
from benchmarks.report.text.commands import Commands
from benchmarks.runs import store

COMMANDS = Commands(Path("results"))
SVG = "{http://www.w3.org/2000/svg}"
NAMES = np.array(["cat", "dog & <b>", "ship"])


def made_up(queries=3, neighbours=4, height=8, width=8, seed=0):
    """Return the arrays of a gallery of random images."""
    random = np.random.default_rng(seed)
    truth, found = (random.integers(0, 3, n) for n in (queries, (queries, neighbours)))

    def pixels(*shape):
        return random.integers(0, 256, (*shape, height, width, 3), dtype=np.uint8)

    return {
        "queries": pixels(queries),
        "neighbours": pixels(queries, neighbours),
        "correct": found == truth[:, None],
        "similarities": random.uniform(0, 1, (queries, neighbours)).astype(np.float32),
        "query_classes": NAMES[truth],
        "neighbour_classes": NAMES[found],
    }


def add(results, arrays, method="nce", **run):
    folder = results.add(method, [20.0, 40.0], **run)
    np.savez(folder / store.GALLERY, **arrays)
    return folder


def section_of(results):
    return gallery.section(results.comparison(), COMMANDS)


def drawn(results):
    (plot,) = section_of(results).plots
    return ET.fromstring(plot.svg)


def frames(root):
    """Return (stroke, dashes, title) of each image's frame, row by row."""
    return [
        (rect.get("stroke"), rect.get("stroke-dasharray"), rect[0].text)
        for rect in root.iter(f"{SVG}rect")
    ]


def image(root):
    (found,) = root.iter(f"{SVG}image")
    head, data = found.get("href").split(",")
    assert head == "data:image/png;base64"
    assert found.get("style") == "image-rendering:pixelated"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_frames_tell_right_from_wrong_by_colour_and_by_line(results):
    arrays = made_up()
    add(results, arrays)
    found = frames(drawn(results))
    assert len(found) == 3 * (1 + 4)
    rows = [found[start : start + 5] for start in range(0, 15, 5)]
    for (query, *neighbours), correct in zip(rows, arrays["correct"], strict=True):
        assert query[:2] == (None, None)
        assert [stroke == gallery.RIGHT for stroke, _, _ in neighbours] == correct.tolist()
        assert [stroke == gallery.WRONG for stroke, _, _ in neighbours] == (~correct).tolist()
        assert [dashes is None for _, dashes, _ in neighbours] == correct.tolist()


def test_every_image_is_named_and_the_rows_are_described(results):
    arrays = made_up()
    add(results, arrays)
    root = drawn(results)
    titles = [title for _, _, title in frames(root)]
    for row in range(3):
        query = arrays["query_classes"][row]
        assert titles[5 * row] == f"query: {query}"
        for place in range(4):
            text = titles[5 * row + 1 + place]
            similarity = arrays["similarities"][row, place]
            assert text.startswith(
                f"{arrays['neighbour_classes'][row, place]}, cosine similarity {similarity:.2f}: "
            )
            assert text.endswith(
                "right" if arrays["correct"][row, place] else f"wrong, not {query}"
            )
    right = arrays["correct"][0].sum()
    summary = root.find(f"{SVG}desc").text
    assert summary.startswith(f"{arrays['query_classes'][0]}: {right} of 4 right")


def test_pixels_are_those_of_the_data_set(results):
    arrays = made_up()
    add(results, arrays)
    pixels = image(drawn(results))
    gap = 2  # a fifth of 8 pixels
    for row in range(3):
        rows = slice(gap + row * 10, gap + row * 10 + 8)
        np.testing.assert_array_equal(pixels[rows, gap : gap + 8], arrays["queries"][row])
        for place in range(4):
            left = 2 * gap + (1 + place) * 10
            np.testing.assert_array_equal(
                pixels[rows, left : left + 8], arrays["neighbours"][row, place]
            )
    assert (pixels[:, -gap:] == 255).all()


def test_frames_lie_around_their_images(results):
    arrays = made_up(height=6, width=12)
    add(results, arrays)
    root = drawn(results)
    pixels = image(root)
    scale = 400 / pixels.shape[1]
    assert float(root.get("viewBox").split()[3]) == pytest.approx(pixels.shape[0] * scale, abs=0.01)
    rects = list(root.iter(f"{SVG}rect"))
    for rect, tile in zip(rects[1:5], arrays["neighbours"][0], strict=True):
        left, top, width, height = (
            round((float(rect.get(name)) + change) / scale)
            for name, change in (("x", 1.2), ("y", 1.2), ("width", -2.4), ("height", -2.4))
        )
        np.testing.assert_array_equal(pixels[top : top + height, left : left + width], tile)


def test_a_gallery_is_cut_to_eight_by_eight(results):
    add(results, made_up(10, 12))
    assert len(frames(drawn(results))) == 8 * 9


@pytest.mark.parametrize(("side", "shown"), [(64, 64), (65, 32), (96, 48), (200, 50)])
def test_large_images_are_averaged_down(side, shown):
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    reduced = gallery._reduced(images)
    assert reduced.shape == (2, shown, shown, 3)
    factor = side // shown
    square = images[1, :factor, factor : 2 * factor].reshape(-1, 3).mean(axis=0)
    assert np.abs(reduced[1, 0, 1] - square).max() <= 0.5


def test_an_image_wide_and_low_keeps_its_rows():
    images = np.zeros((1, 2, 300, 3), np.uint8)
    assert gallery._reduced(images).shape == (1, 2, 300, 3)


def test_several_epochs_are_several_plots(results):
    first, last = made_up(seed=1), made_up(seed=2)
    arrays = {name: np.stack([first[name], last[name]]) for name in first}
    add(results, {**arrays, "epochs": np.array([1, 40])})
    plots = section_of(results).plots
    assert [plot.caption for plot in plots] == ["nce, epoch 1", "nce, epoch 40"]
    assert len({plot.slug for plot in plots}) == 2
    for plot, arrays in zip(plots, (first, last), strict=True):
        strokes = [stroke for stroke, _, _ in frames(ET.fromstring(plot.svg)) if stroke]
        assert [s == gallery.RIGHT for s in strokes] == arrays["correct"].ravel().tolist()


@pytest.mark.parametrize(
    ("dataset", "among"),
    [("cifar10", "images that the kNN classifier compares with"), ("cub200", "other test images")],
)
def test_it_says_what_the_neighbours_were_found_among(results, dataset, among):
    add(results, made_up(), dataset=dataset)
    (text,) = section_of(results).texts
    assert f"its nearest neighbours among the {among}, the nearest first" in text


def test_each_method_shows_its_first_seed(results):
    add(results, made_up(seed=1), seed=1)
    add(results, made_up(seed=0), seed=0)
    add(results, made_up(seed=2), method="exemplar")
    results.add("invaspread", [20.0])
    plots = section_of(results).plots
    assert [plot.caption for plot in plots] == ["exemplar", "nce"]
    strokes = [stroke for stroke, _, _ in frames(ET.fromstring(plots[1].svg)) if stroke]
    assert [s == gallery.RIGHT for s in strokes] == made_up(seed=0)["correct"].ravel().tolist()


def without(name):
    arrays = made_up()
    del arrays[name]
    return arrays


@pytest.mark.parametrize(
    "arrays",
    [
        without("correct"),
        {**made_up(), "queries": made_up()["queries"][:2]},
        {**made_up(), "neighbours": made_up(neighbours=5)["neighbours"]},
        {**made_up(), "queries": made_up()["queries"].astype(float)},
        {**made_up(), "query_classes": NAMES[:1]},
        {**made_up(), "epochs": np.array([1, 2])},
        {**made_up(), "epochs": np.array(3)},
        made_up(queries=0),
        made_up(neighbours=0),
    ],
    ids=[
        "part",
        "queries",
        "neighbours",
        "dtype",
        "classes",
        "epochs",
        "scalar",
        "nothing",
        "alone",
    ],
)
def test_arrays_that_do_not_fit_together_are_left_out(results, arrays):
    add(results, arrays)
    assert not section_of(results)


def test_without_a_gallery_there_is_no_section(results, put_damaged):
    put_damaged(store.GALLERY)
    assert not section_of(results)
    assert not gallery.section(planned("cifar10", "paper"), COMMANDS)


def test_a_file_that_was_cut_off_is_left_out(results):
    folder = add(results, made_up())
    whole = (folder / store.GALLERY).read_bytes()
    for share in (0.3, 0.9):
        (folder / store.GALLERY).write_bytes(whole[: int(len(whole) * share)])
        assert not section_of(results)


def test_names_are_text_in_the_picture_and_on_the_page(results, monkeypatch):
    monkeypatch.setattr("benchmarks.report.build.SECTIONS", (gallery.section,))
    add(results, made_up(), changed={"form": "<i>"})
    html = page.html(results.content())
    assert "dog &amp; &lt;b&gt;" in html
    assert "<b>" not in html
    assert "<i>" not in html
