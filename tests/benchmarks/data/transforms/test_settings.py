"""The settings of the augmentation."""

import json
import math
from dataclasses import asdict, replace

import pytest
from pydantic import BaseModel

from benchmarks.data.transforms.settings import Augmentation


def test_defaults_are_the_authors():
    a = Augmentation()
    assert (a.crop_scale, a.crop_ratio) == ((0.2, 1.0), (3 / 4, 4 / 3))
    assert (a.brightness, a.contrast, a.saturation, a.hue) == (0.4,) * 4
    assert (a.jitter_probability, a.grayscale, a.flip) == (1.0, 0.2, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_scale", (0.0, 1.0)),
        ("crop_scale", (0.5, 0.2)),
        ("crop_scale", (0.5, 1.1)),
        ("crop_scale", (0.5,)),
        ("crop_ratio", (0.0, 1.0)),
        ("crop_ratio", (2.0, 1.0)),
        ("crop_ratio", (1.0, math.inf)),
        ("brightness", -0.1),
        ("contrast", math.nan),
        ("saturation", math.inf),
        ("hue", 0.51),
        ("hue", -0.1),
        ("jitter_probability", 1.1),
        ("grayscale", -0.1),
        ("flip", 2.0),
    ],
)
def test_values_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected .* got "):
        Augmentation(**{name: value})


def test_without():
    a = Augmentation()
    assert a.without() == a
    assert a.without("crop").crop_scale is None
    assert a.without("grayscale", "flip") == replace(a, grayscale=0.0, flip=0.0)
    assert not a.without("jitter").blends
    assert not a.without("jitter").turns
    with pytest.raises(ValueError, match=r"'blur'.* crop, jitter, grayscale, flip"):
        a.without("crop", "blur")


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(flip=0.1).without("crop")])
def test_settings_survive_json_and_pydantic(augmentation):
    class Recipe(BaseModel):
        augmentation: Augmentation

    text = json.dumps(asdict(augmentation))
    assert Augmentation(**json.loads(text)) == augmentation
    assert hash(Augmentation(**json.loads(text))) == hash(augmentation)
    recipe = Recipe(augmentation=augmentation)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
