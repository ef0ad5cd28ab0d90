"""One decoder for all image files: any mode and depth becomes upright 8-bit RGB on white.

Every data set of image files reads them here, so that the same file is the same pixels everywhere:

- of several frames (GIF, TIFF, WebP, PNG), the first;
- turned as the camera's EXIF orientation says;
- transparency, of an alpha channel, a palette or a single colour, composited onto white;
- more than 8 bits and floats scaled by one range for the whole data set (`levels_of`).
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

DECODER = f"2, Pillow {PIL.__version__}"
"""What pixels depend on beside the file: part of what a cache is known by."""
MOST_PIXELS = 178_956_970
"""Of an image that is decoded; Pillow takes larger ones for decompression bombs."""
TOO_LARGE_FOR_MEMORY = "too large for the free memory"
"""A flaw that another try may not find."""
TOPS = (1, 255, 1023, 4095, 16383, 65535)
"""White of usual ranges; 1 only for floats."""
LEAST_USED = 0.25
"""Share of a usual range that the values must reach, or it is not taken for theirs."""
DEEP_FORMATS_OF_16_BITS = frozenset(("PNG", "PPM"))
"""Formats whose integers Pillow may keep in 32 bits although they have at most 16."""
STILL_FORMATS = frozenset(("MPO",))
"""Formats whose further frames are previews of the first."""

Levels = Mapping[str, tuple[float, float]]
"""The values that become black and white, by kind: "16-bit", "32-bit" or "float"."""
DECLARED: Levels = {"16-bit": (0, 65535), "32-bit": (0, 65535), "float": (0, 1)}
"""Where the data set as a whole was not looked at."""
Fit = Callable[[Image.Image, int, int], Image.Image]
"""fit(image, width, height) resizes."""


class Seen(NamedTuple):
    """What is known of an image file before its pixels are wanted."""

    digest: str
    """SHA-256 of the file, hexadecimal."""
    width: int = 0
    height: int = 0
    frames: int = 1
    transparent: bool = False
    """Whether it can have transparent pixels."""
    kind: str = ""
    """See `Levels`; "" for 8 bits or fewer a channel."""
    low: float = 0.0
    """The smallest value, of images of a kind only."""
    high: float = 0.0
    flaw: str | None = None
    """Why it cannot be used, if that shows before its pixels are decoded."""


def inspect(content: bytes) -> Seen:
    """Look at an image file; only one of more than 8 bits or floats is decoded for it.

    The caller holds `quiet`.

    Args:
        content: of the whole file.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            if flaw := _too_large(image):
                return Seen(digest, *image.size, flaw=flaw)
            facts = Seen(digest, *image.size, _frames(image), _is_transparent(image), _kind(image))
            if not facts.kind:
                return facts
            image.seek(0)
            values = np.asarray(image)
            if not np.isfinite(values).all():
                return facts._replace(flaw="has pixels that are not finite numbers")
            return facts._replace(low=float(values.min()), high=float(values.max()))
    except Exception as error:  # decoders of damaged files raise almost any type
        return Seen(digest, flaw=reason(error, content))


def decode(content: bytes, out: NDArray[np.uint8], levels: Levels, fit: Fit) -> str | None:
    """Fill `out`, (h, w, 3), with an image file; return what is wrong with it if anything.

    The caller holds `quiet`.

    Args:
        content: of the whole file.
        out: what to fill.
        levels: what is black and white in images of more than 8 bits and floats.
        fit: how the image becomes w x h pixels.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if flaw := _too_large(image):
                return flaw
            out[:] = np.asarray(fit(to_rgb(image, levels), out.shape[1], out.shape[0]))
    except Exception as error:  # decoders of damaged files raise almost any type
        return reason(error, content)
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings, of all threads, in a body: what matters of them is returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reason(error: Exception, content: bytes = b"?") -> str:
    """Return in a few words why a file cannot be used."""
    if not content:
        return "empty"
    if isinstance(error, PermissionError):
        return "no permission"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: more than {MOST_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return TOO_LARGE_FOR_MEMORY
    return "truncated" if "truncated" in str(error) else "cannot be read"


def to_rgb(image: Image.Image, levels: Levels = DECLARED) -> Image.Image:
    """Return the first frame as upright 8-bit RGB on white.

    Args:
        image: of any mode that Pillow can convert.
        levels: what is black and white in images of more than 8 bits and floats.

    Raises:
        ValueError: pixels that are not finite, or a mode such as LAB that cannot be converted.
        Exception: almost any, of a damaged file.
    """
    image.load()
    upright = _upright(image)
    if kind := _kind(image):
        return _grey(upright, levels[kind]).convert("RGB")
    if not _is_transparent(upright):
        return upright.convert("RGB")
    colours = upright.convert("RGBA")
    white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, colours).convert("RGB")


def stretched(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize whatever the aspect ratio (bilinear with antialiasing)."""
    return image.resize((width, height), Image.Resampling.BILINEAR)


def centre_square(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize so that the short side is `width`, then keep the centre; `height` is the same."""
    short = min(image.size)
    size = [max(width, width * length // short) for length in image.size]
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    resized = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + width, top + height))


def levels_of(seen: Collection[Seen]) -> dict[str, tuple[float, float]]:
    """Return what is black and white in the images of each kind, for a whole data set.

    Black is 0 and white the smallest of the usual ranges' ends (255, 1023, 4095, 16383, 65535, for
    floats also 1) that no value of the data set passes: so 12 bits in files of 16 are told. Where
    a value is negative or above all these, or where none reaches a quarter of that range, the
    range goes from the lowest value of the data set (0 if none is negative) to the highest.
    """
    levels = {}
    for kind in sorted({facts.kind for facts in seen if facts.kind}):
        low = min(facts.low for facts in seen if facts.kind == kind)
        high = max(facts.high for facts in seen if facts.kind == kind)
        levels[kind] = _range(low, high, TOPS if kind == "float" else TOPS[1:])
    return levels


def _range(low: float, high: float, tops: Collection[float]) -> tuple[float, float]:
    top = min((top for top in tops if high <= top), default=None)
    if low >= 0 and top is not None and high >= LEAST_USED * top:
        return 0.0, float(top)
    black = min(low, 0.0)
    return black, high if high > black else black + 1


def _too_large(image: Image.Image) -> str | None:
    width, height = image.size
    return f"too large: {width}x{height} pixels" if width * height > MOST_PIXELS else None


def _frames(image: Image.Image) -> int:
    """Return how many frames there are, as far as they can be counted."""
    if image.format in STILL_FORMATS:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # the first frame, which alone is used, may be whole
        return 1


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _kind(image: Image.Image) -> str:
    """Return which range the pixels have; see `Levels`."""
    if image.mode.startswith("I;"):
        return "16-bit"
    if image.mode == "I":
        return "16-bit" if image.format in DEEP_FORMATS_OF_16_BITS else "32-bit"
    return "float" if image.mode == "F" else ""


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photograph the way its camera was held, if its EXIF data can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are there: damaged EXIF data states no orientation
        return image


def _grey(image: Image.Image, levels: tuple[float, float]) -> Image.Image:
    """Return 8-bit grey of an image whose black and white are given."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are not finite numbers")
    black, white = levels
    grey = np.rint(np.clip((values - black) / (white - black), 0, 1) * 255).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # a value that stands for full transparency
        grey[values == clear] = 255
    return Image.fromarray(grey)
