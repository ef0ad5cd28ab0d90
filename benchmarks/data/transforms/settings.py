"""What a training view goes through: the transforms and their strengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": None},
    "jitter": {"jitter_probability": 0.0},
    "grayscale": {"grayscale": 0.0},
    "flip": {"flip": 0.0},
}
_LIMITS = {
    "brightness": math.inf,
    "contrast": math.inf,
    "saturation": math.inf,
    "hue": 0.5,
    "jitter_probability": 1.0,
    "grayscale": 1.0,
    "flip": 1.0,
    "blur": 1.0,
    "solarize": 1.0,
}


@dataclass(frozen=True)
class Augmentation:
    """What one view goes through; the defaults are those of the InvaSpread authors' code.

    Attributes:
        crop_scale: range of the crop's area over the image's area, in (0, 1]; None for no crop.
        crop_ratio: range of the crop's width over its height; the logarithm is uniform.
        brightness: strength b >= 0; the factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: strength >= 0, as brightness.
        saturation: strength >= 0, as brightness.
        hue: strength in [0, 0.5]; the shift is uniform in [-hue, hue] turns.
        jitter_probability: share of the views whose colours are jittered.
        grayscale: share of the views that lose their colour.
        flip: share of the views that are mirrored.
        blur: share of the views that a Gaussian blurs, as SimCLR and BYOL do.
        blur_sigma: range of the Gaussian's standard deviation in pixels of the view; uniform.
        solarize: share of the views whose bright pixels are inverted, as BYOL does.

    Raises:
        ValueError: if a value is out of its range.
    """

    crop_scale: tuple[float, float] | None = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.4
    jitter_probability: float = 1.0
    grayscale: float = 0.2
    flip: float = 0.5
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.0

    def __post_init__(self) -> None:
        # JSON and YAML give lists; a tuple keeps recipes equal and hashable.
        if self.crop_scale is not None:
            object.__setattr__(self, "crop_scale", _range("crop_scale", self.crop_scale, 1.0))
        for name in ("crop_ratio", "blur_sigma"):
            object.__setattr__(self, name, _range(name, getattr(self, name), math.inf))
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not (0 <= value <= limit and math.isfinite(value)):
                raise ValueError(f"{name}: expected a number from 0 to {limit}, got {value}")

    @property
    def blends(self) -> bool:
        """Whether brightness, contrast or saturation change."""
        strongest = max(self.brightness, self.contrast, self.saturation)
        return strongest > 0 and self.jitter_probability > 0

    @property
    def turns(self) -> bool:
        """Whether hues change."""
        return self.hue > 0 and self.jitter_probability > 0

    def without(self, *names: str) -> "Augmentation":
        """Return a copy that leaves out the named transforms (the paper's Table 7).

        Raises:
            ValueError: if a name is none of "crop", "jitter", "grayscale", "flip".
        """
        unknown = [name for name in names if name not in _OFF]
        if unknown:
            raise ValueError(f"unknown transform {unknown[0]!r}; expected any of {', '.join(_OFF)}")
        return replace(self, **{key: off for name in names for key, off in _OFF[name].items()})


def _range(name: str, pair: Sequence[float], limit: float) -> tuple[float, float]:
    if len(pair) != 2 or not (0 < pair[0] <= pair[1] <= limit and math.isfinite(pair[1])):
        raise ValueError(
            f"{name}: expected (low, high) with 0 < low <= high <= {limit}, got {pair}"
        )
    return pair[0], pair[1]
