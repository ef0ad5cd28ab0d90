import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.sources import decode as module
from benchmarks.data.sources.decode import (
    centre_square,
    decode,
    inspect,
    levels_of,
    stretched,
    to_rgb,
)

GREY = np.array([[0, 51], [102, 255]], np.uint8)


def packed(image: Image.Image, suffix: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def pixels_of(content: bytes, height: int = 2, width: int = 2, levels=None) -> np.ndarray:
    """Decode a file with the levels of a data set that holds nothing else."""
    seen = inspect(content)
    assert seen.flaw is None
    out = np.full((height, width, 3), 77, np.uint8)
    assert decode(content, out, levels or levels_of([seen]), stretched) is None
    return out


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(grey)[..., None], 3, 2)


def test_grey_bits_and_colours_keep_their_values():
    np.testing.assert_array_equal(pixels_of(packed(Image.fromarray(GREY))), three(GREY))
    bits = Image.fromarray(GREY > 60)
    assert bits.mode == "1"
    np.testing.assert_array_equal(pixels_of(packed(bits)), three((GREY > 60) * 255))
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    np.testing.assert_array_equal(pixels_of(packed(Image.fromarray(colours))), colours)
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 200, 100, 0, 1, 2, 3])
    expected = [[[10, 20, 30], [200, 100, 0]], [[1, 2, 3], [200, 100, 0]]]
    for suffix in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(pixels_of(packed(palette, suffix)), expected)


def test_inks_become_light():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0]], [[0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8)
    expected = [[[255, 255, 255], [0, 255, 255]], [[255, 255, 0], [0, 0, 0]]]
    content = packed(Image.fromarray(inks, "CMYK"), "TIFF")
    np.testing.assert_array_equal(pixels_of(content), expected)


def over_white(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = np.asarray(alpha)[..., None] / 255
    return values * share + 255 * (1 - share)


ALPHA = np.array([[0, 255], [128, 51]], np.uint8)


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "WEBP"])
def test_an_alpha_channel_is_composited_onto_white(suffix):
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    image = Image.fromarray(np.dstack([colours, ALPHA]), "RGBA")
    options = {"lossless": True, "exact": True} if suffix == "WEBP" else {}
    content = packed(image, suffix, **options)
    np.testing.assert_allclose(pixels_of(content), over_white(colours, ALPHA), atol=1)
    assert inspect(content).transparent


def test_grey_with_alpha_is_composited_onto_white():
    content = packed(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"))
    np.testing.assert_allclose(pixels_of(content), over_white(three(GREY), ALPHA), atol=1)


@pytest.mark.parametrize("suffix", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_white(suffix):
    palette = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 0, 0, 0, 1, 2, 3])
    image = pixels_of(packed(palette, suffix, transparency=1))
    expected = [[[10, 20, 30], [255] * 3], [[255] * 3, [1, 2, 3]]]
    np.testing.assert_array_equal(image, expected)


def test_a_palette_may_be_partly_transparent():
    palette = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), "P")
    palette.putpalette([0, 0, 0, 100, 100, 100, 50, 50, 50])
    image = pixels_of(packed(palette, transparency=bytes([0, 128, 255])))
    expected = over_white(three([[0, 100], [100, 50]]), np.array([[0, 128], [128, 255]], np.uint8))
    np.testing.assert_allclose(image, expected, atol=1)


def test_a_single_transparent_grey_or_colour_is_white():
    grey = pixels_of(packed(Image.fromarray(GREY), transparency=51))
    np.testing.assert_array_equal(grey, three([[0, 255], [102, 255]]))
    colours = pixels_of(packed(Image.fromarray(three(GREY)), transparency=(102, 102, 102)))
    np.testing.assert_array_equal(colours, three([[0, 51], [255, 255]]))
    deep = np.array([[0, 13107], [26214, 65535]], np.uint16)
    image = pixels_of(packed(Image.fromarray(deep), transparency=13107))
    np.testing.assert_array_equal(image, three([[0, 255], [102, 255]]))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_integers_of_16_bits_are_scaled_by_the_bits_in_use(suffix, bits):
    values = np.array([[0, 1], [2, 5]]) * (2**bits - 1) // 5
    content = packed(Image.fromarray(values.astype(np.uint16)), suffix)
    np.testing.assert_allclose(pixels_of(content), three(GREY), atol=1)
    assert levels_of([inspect(content)]) == {"16-bit": (0, 2**bits - 1)}


def test_a_16_bit_file_of_another_byte_order_is_the_same():
    values = (GREY.astype(np.uint16) * 257).astype(">u2")
    image = Image.frombytes("I;16B", (2, 2), values.tobytes())
    np.testing.assert_array_equal(pixels_of(packed(image, "TIFF")), three(GREY))


def test_a_portable_map_of_16_bits_keeps_its_stated_range():
    values = (np.array([[0, 1], [2, 5]]) * 200).astype(">u2")
    content = b"P5 2 2 1000\n" + values.tobytes()
    np.testing.assert_allclose(pixels_of(content), three(GREY), atol=1)


@pytest.mark.parametrize(
    ("dtype", "black", "white"),
    [
        (np.float32, 0, 1),
        (np.float32, 0, 255),
        (np.float32, 0, 65535),
        (np.float32, 0, 0.01),
        (np.float32, 0, 2.5),
        (np.float32, -1, 1),
        (np.float32, -3000, 1e6),
        (np.int32, 0, 255),
        (np.int32, 0, 4095),
        (np.int32, 0, 2_000_000_000),
        (np.int32, -500, 3500),
    ],
)
def test_floats_and_32_bits_are_scaled_by_what_they_hold(dtype, black, white):
    values = (black + GREY / 255 * (white - black)).astype(dtype)
    content = packed(Image.fromarray(values), "TIFF")
    np.testing.assert_allclose(pixels_of(content), three(GREY), atol=1)


def test_the_range_is_that_of_the_data_set_and_not_of_the_image():
    dark, bright = (
        packed(Image.fromarray(GREY.astype(np.uint16) * scale), "TIFF") for scale in (4, 16)
    )
    levels = levels_of([inspect(dark), inspect(bright)])
    assert levels == {"16-bit": (0, 4095)}
    np.testing.assert_allclose(pixels_of(dark, levels=levels), three(GREY / 4), atol=1)
    np.testing.assert_allclose(pixels_of(bright, levels=levels), three(GREY), atol=1)


def test_constant_images_have_a_range_too():
    for value in (0, -5, 3):
        content = packed(Image.fromarray(np.full((2, 2), value, np.float32)), "TIFF")
        assert len(np.unique(pixels_of(content))) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(value):
    values = np.ones((9, 9), np.float32)
    values[3, 4] = value
    content = packed(Image.fromarray(values), "TIFF")
    assert inspect(content).flaw == "has pixels that are not finite numbers"
    with pytest.raises(ValueError, match="not finite"), Image.open(io.BytesIO(content)) as image:
        to_rgb(image)


@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright(suffix, orientation):
    """The tag says where the stored first row and column belong."""
    upright = np.kron(np.array([[0, 80, 160], [240, 40, 120]], np.uint8), np.ones((16, 16)))
    upright = upright.astype(np.uint8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(three(np.ascontiguousarray(stored)))
    content = packed(image, suffix, exif=exif, **({"quality": 100} if suffix != "TIFF" else {}))
    np.testing.assert_allclose(pixels_of(content, 32, 48), three(upright).astype(int), atol=4)


def test_damaged_exif_data_states_no_orientation():
    content = packed(Image.fromarray(three(GREY)), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    with module.quiet():
        np.testing.assert_array_equal(pixels_of(content), three(GREY))


@pytest.mark.parametrize("suffix", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_is_taken_and_they_are_counted(suffix):
    first, second = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if suffix == "WEBP" else {}
    content = packed(first, suffix, save_all=True, append_images=[second, first], **options)
    assert inspect(content).frames == 3
    np.testing.assert_array_equal(pixels_of(content), np.broadcast_to([255, 0, 0], (2, 2, 3)))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, bits: int, colour: int, *chunks: bytes) -> bytes:
    """Write (h, w, channels) values as a PNG file of a bit depth and colour type."""
    height, width, _ = values.shape
    rows = values.reshape(height, -1).astype(np.int64)
    single = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed_rows = np.packbits(single.reshape(height, -1).astype(np.uint8), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in packed_rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("colour", "channels", "bits"),
    [(0, 1, bits) for bits in (1, 2, 4, 8, 16)]
    + [(colour, n, bits) for colour, n in ((2, 3), (4, 2), (6, 4)) for bits in (8, 16)],
)
def test_every_depth_of_png_files_keeps_its_values(colour, channels, bits):
    top = 2**bits - 1
    values = np.random.default_rng(bits).integers(0, top + 1, (6, 6, channels))
    values[0, 0] = top  # so that the whole range is in use
    image = pixels_of(png(values, bits, colour), 6, 6)
    share = values / top
    shown = share[..., : 1 if channels < 3 else 3] * np.ones(3)
    alpha = share[..., -1] if channels in (2, 4) else np.ones((6, 6))
    np.testing.assert_allclose(image, over_white(shown * 255, alpha * 255), atol=2)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_depth_of_palettes_keeps_its_colours(bits):
    count = min(2**bits, 200)
    random = np.random.default_rng(bits)
    colours, alpha = random.integers(0, 256, (count, 3)), random.integers(0, 256, count)
    index = random.integers(0, count, (6, 6, 1))
    chunks = [png_chunk(b"PLTE", colours.astype(np.uint8).tobytes())]
    plain = pixels_of(png(index, bits, 3, *chunks), 6, 6)
    np.testing.assert_array_equal(plain, colours[index[..., 0]])
    chunks.append(png_chunk(b"tRNS", alpha.astype(np.uint8).tobytes()))
    clear = pixels_of(png(index, bits, 3, *chunks), 6, 6)
    expected = over_white(colours[index[..., 0]], alpha[index[..., 0]])
    np.testing.assert_allclose(clear, expected, atol=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_every_depth_is_white(bits):
    top = 2**bits - 1
    values = np.array([[0, top], [top, 0]])[..., None]
    clear = png_chunk(b"tRNS", struct.pack(">H", 0))
    image = pixels_of(png(values, bits, 0, clear))
    np.testing.assert_array_equal(image, np.full((2, 2, 3), 255))


@pytest.mark.parametrize("side", [10_000, 14_000, 30_000])
def test_a_decompression_bomb_is_told_without_decoding_and_without_a_warning(side, recwarn):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    with module.quiet():
        seen = inspect(content)
    assert bool(seen.flaw) == (side**2 > module.MOST_PIXELS)
    if seen.flaw:
        assert seen.flaw.startswith("too large: ")
    assert not recwarn.list


def test_flaws_are_told_in_a_few_words():
    whole = packed(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
    assert inspect(b"").flaw == "empty"
    assert inspect(b"no image").flaw == "cannot be read"
    out = np.empty((2, 2, 3), np.uint8)
    assert decode(whole[: len(whole) // 2], out, {}, stretched) == "truncated"


def test_centre_square_keeps_the_middle_of_the_longer_side():
    image = Image.fromarray(three(np.tile(np.arange(60, dtype=np.uint8), (20, 1))))
    square = np.asarray(centre_square(image, 20, 20))
    np.testing.assert_array_equal(square, three(np.tile(np.arange(20, 40), (20, 1))))
