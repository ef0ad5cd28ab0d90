import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import DataProblem
from benchmarks.data.sources.decode_blocks import decoder

SIDE = 16


def ignore(done, total):
    """Show nothing."""


def decoded(*paths, side=SIDE) -> np.ndarray:
    block = np.empty((len(paths), side, side, 3), np.uint8)
    decoder(paths, ignore)(block, 0)
    return block


def antialiased(pixels: np.ndarray, side: int) -> np.ndarray:
    """Shrink one axis after the other by a triangle as wide as the scale, in float64."""
    for axis in (1, 0):
        length = pixels.shape[axis]
        scale = max(length / side, 1)
        centres = (np.arange(side) + 0.5) * length / side
        places = np.arange(length) + 0.5
        weights = np.maximum(0, 1 - abs(places - centres[:, None]) / scale)
        weights /= weights.sum(1, keepdims=True)
        pixels = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
    return pixels


@pytest.mark.parametrize("shape", [(40, 25), (16, 90), (10, 7)])
def test_the_aspect_ratio_is_ignored_and_the_resizing_antialiased(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (image,) = decoded(tmp_path / "a.png").astype(float)
    assert abs(image - antialiased(pixels.astype(np.float64), SIDE)).max() <= 1.01


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB", "P", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    colour = Image.new("RGB", (24, 30), (200, 200, 200))
    suffix = "png" if mode in ("P", "1") else "jpg"
    colour.convert(mode).save(tmp_path / f"a.{suffix}", quality=100)
    (image,) = decoded(tmp_path / f"a.{suffix}").astype(int)
    expected = 255 if mode == "1" else 200
    assert abs(image[4:-4, 4:-4].mean((0, 1)) - expected).max() < (60 if mode == "1" else 4)
    assert image.shape == (SIDE, SIDE, 3)


def test_a_block_may_start_anywhere(tmp_path, photos):
    names = [f"{number}.jpg" for number in range(40)]
    photos(tmp_path, names)
    paths = [tmp_path / name for name in names]
    block = np.empty((23, 8, 8, 3), np.uint8)
    steps = []
    decoder(paths, lambda done, total: steps.append((done, total)))(block, 7)
    np.testing.assert_array_equal(block, decoded(*paths, side=8)[7:30])
    assert steps == [(23, 40), (30, 40)]


def test_damaged_images_are_named_with_the_reason(tmp_path, photos):
    names = [f"{number}.jpg" for number in range(20)]
    photos(tmp_path, names)
    whole = (tmp_path / "3.jpg").read_bytes()
    (tmp_path / "3.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    for number in range(10, 16):
        (tmp_path / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(DataProblem) as caught:
        decoded(*(tmp_path / name for name in names))
    assert "7 of images 1 to 20 are damaged" in str(caught.value)
    assert "3.jpg (truncated)" in str(caught.value)
    assert "10.jpg (cannot be read)" in str(caught.value)
    assert "and 2 more" in str(caught.value)
