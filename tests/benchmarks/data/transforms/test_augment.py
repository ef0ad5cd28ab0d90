import json
import math
from dataclasses import asdict, replace

import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as TF
from pydantic import BaseModel
from torch import Tensor

from benchmarks.data.transforms import augment as module
from benchmarks.data.transforms.augment import Augmentation, augment, prepare

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
NOTHING = Augmentation().without("crop", "jitter", "grayscale", "flip")
COLOURLESS = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Smooth shapes and noise, so that crops, flips and colours all show."""
    coarse = torch.rand(n, 3, 5, 5, generator=rng(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = torch.randn(n, 3, height, width, generator=rng(seed + 1))
    return (255 * smooth + 12 * noise).clamp(0, 255).byte()


def levels(images: Tensor, augmentation: Augmentation, seed: int = 0) -> Tensor:
    """Augment without normalisation, in 0..255."""
    return augment(images, augmentation, **PLAIN, generator=rng(seed)) * 255


def constant(n: int, *colour: int) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).repeat(n, 1, 2, 2)


# Each operation, with given parameters, against torchvision's.


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (8, 8), (1, 5)])
@pytest.mark.parametrize("mirror", [False, True])
def test_resized_crop_is_torchvisions(height, width, mirror):
    n = 60
    images = pictures(n, height, width)
    sides = torch.stack(
        [torch.randint(1, size + 1, (n,), generator=rng(size)) for size in (height, width)]
    )
    sides[:, 0] = torch.tensor([height, width])
    room = torch.tensor([[height], [width]]) - sides
    starts = (torch.rand(2, n, generator=rng(5)) * (room + 1)).long()
    flipped = torch.full((n,), True) if mirror else None
    found = module._resized_crop(images.float(), starts.float(), sides.float(), flipped)
    for i in range(n):
        box = (*starts[:, i].tolist(), *sides[:, i].tolist())
        exact = TF.resized_crop(images[i].float(), *box, [height, width], antialias=True)
        pil = TF.resized_crop(TF.to_pil_image(images[i]), *box, [height, width])
        pil = TF.pil_to_tensor(pil).float()
        if mirror:
            exact, pil = exact.flip(2), pil.flip(2)
        torch.testing.assert_close(found[i], exact, atol=5e-3, rtol=0)
        torch.testing.assert_close(found[i], pil, atol=1.51, rtol=0)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4, 2.5])
@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ((0, 0), TF.adjust_brightness),
        ((1, 0), TF.adjust_contrast),
        ((0, 1), TF.adjust_saturation),
    ],
)
def test_blends_are_torchvisions(kind, reference, factor):
    images = pictures(4, 9, 13)
    found = images.float()
    contrast, saturation = (torch.full((4, 1, 1, 1), float(chosen)) for chosen in kind)
    module._blend_(found, torch.full((4, 1, 1, 1), factor), contrast, saturation)
    for i, image in enumerate(images):
        exact = 255 * reference(image.float() / 255, factor)
        pil = TF.pil_to_tensor(reference(TF.to_pil_image(image), factor)).float()
        torch.testing.assert_close(found[i], exact, atol=0.05, rtol=0)
        torch.testing.assert_close(found[i], pil, atol=2.01, rtol=0)


@pytest.mark.parametrize("shift", [-0.5, -0.4, -1 / 6, 0.0, 0.01, 1 / 3, 0.5])
def test_hue_shift_is_torchvisions(shift):
    corners = torch.cartesian_prod(*[torch.tensor([0, 1, 128, 255])] * 3).T.reshape(1, 3, 8, 8)
    images = torch.cat((corners.byte(), torch.randint(256, (7, 3, 8, 8), generator=rng()).byte()))
    found = images.float()
    module._shift_hue_(found, torch.full((8, 1, 1, 1), shift))
    expected = 255 * TF.adjust_hue(images.float() / 255, shift)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_hue_shift_is_each_images_own():
    images = pictures(5)
    shifts = torch.tensor([-0.3, 0.0, 0.1, 0.25, 0.5])
    found = images.float()
    module._shift_hue_(found, shifts.view(5, 1, 1, 1))
    for i, shift in enumerate(shifts.tolist()):
        expected = 255 * TF.adjust_hue(images[i].float() / 255, shift)
        torch.testing.assert_close(found[i], expected, atol=5e-3, rtol=0)


def test_grayscale_is_torchvisions():
    images = pictures(3)
    found = levels(images, replace(NOTHING, grayscale=1.0))
    for i, image in enumerate(images):
        pil = TF.to_grayscale(TF.to_pil_image(image), num_output_channels=3)
        torch.testing.assert_close(found[i], TF.pil_to_tensor(pil).float(), atol=1.0, rtol=0)


@pytest.mark.parametrize("size", [(32, 32), (7, 11)])
def test_prepare_is_torchvisions(size):
    images = pictures(5, *size)
    found = prepare(images, MEAN, STD)
    reference = T.Compose([T.ToPILImage(), T.ToTensor(), T.Normalize(MEAN, STD)])
    torch.testing.assert_close(found, torch.stack([reference(image) for image in images]))
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


# The whole pipeline.


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (96, 96), (12, 20), (1, 1)])
def test_shape_format_and_range(n, height, width):
    images = torch.randint(256, (n, 3, height, width), generator=rng(), dtype=torch.uint8)
    views = levels(images, Augmentation())
    assert views.shape == images.shape
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert views.isfinite().all()
    assert not views.requires_grad
    assert ((views > -0.01) & (views < 255.01)).all()


def test_nothing_is_prepare():
    images = pictures(6)
    found = augment(images, NOTHING, MEAN, STD, rng())
    torch.testing.assert_close(found, prepare(images, MEAN, STD), atol=0, rtol=0)


def test_views_keep_the_order_of_the_images():
    """Images that differ by far more than any augmentation changes them."""
    images = torch.linspace(0, 255, 11).byte().view(11, 1, 1, 1).repeat(1, 3, 8, 8)
    views = levels(images, Augmentation(brightness=0.01, contrast=0.01))
    torch.testing.assert_close(views.mean((1, 2, 3)), images[:, 0, 0, 0].float(), atol=6, rtol=0)


def test_views_of_one_image_differ():
    views = augment(pictures(1).repeat(65, 1, 1, 1), Augmentation(), MEAN, STD, rng())
    assert torch.pdist(views.flatten(1)).min() > 1


def test_a_view_depends_on_the_generator_only():
    images = pictures(9)
    before = images.clone()
    first = augment(images, Augmentation(), MEAN, STD, rng(3))
    torch.rand(5)
    generator = rng(3)
    assert torch.equal(first, augment(images, Augmentation(), MEAN, STD, generator))
    assert not torch.equal(first, augment(images, Augmentation(), MEAN, STD, generator))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("left_out", "unchanged"),
    [
        # A crop changes which pixels are seen, jitter the colours, grey the chroma, flip the side.
        ("crop", lambda views, images: (views - images.flip(3)).abs().amax() < 0.01),
        ("flip", lambda views, images: (views[..., 0] < views[..., -1]).all()),
    ],
)
def test_geometry_left_out(left_out, unchanged):
    ramp = torch.linspace(10, 240, 16).byte().view(1, 1, 1, 16).repeat(64, 3, 16, 1)
    changes = replace(Augmentation(flip=1.0), grayscale=0.0, **COLOURLESS)
    assert not unchanged(levels(ramp, changes), ramp.float())
    assert unchanged(levels(ramp, changes.without(left_out)), ramp.float())


def test_colours_left_out():
    images = constant(400, 200, 90, 40)
    kept = levels(images, Augmentation().without("jitter", "grayscale"))
    torch.testing.assert_close(kept, images.float(), atol=0.01, rtol=0)
    unsaturated = levels(images, Augmentation().without("jitter")).std(1).amax((1, 2)) < 0.01
    assert 40 < unsaturated.sum() < 130
    coloured = levels(images, Augmentation(saturation=0.0).without("grayscale"))
    assert (coloured.std(1).amin((1, 2)) > 1).all()
    assert not torch.allclose(coloured, images.float(), atol=1)


@pytest.mark.parametrize("n", [8, 9])
def test_nothing_waits_for_the_device(n, only_operations_that_do_not_wait):
    images = pictures(n)
    changes = Augmentation(jitter_probability=0.8)
    augment(images, changes, MEAN, STD, rng())  # constants are copied to the device once
    with only_operations_that_do_not_wait() as operations:
        augment(images, changes, MEAN, STD, rng())
        augment(images, changes.without("crop"), MEAN, STD, rng())
        prepare(images, MEAN, STD)
    assert operations.seen["grid_sampler_2d"] == 1
    with pytest.raises(AssertionError), only_operations_that_do_not_wait():
        images[images > 3]


def test_many_images_take_no_more_operations_than_few(only_operations_that_do_not_wait):
    with only_operations_that_do_not_wait() as few:
        augment(pictures(4), Augmentation(), MEAN, STD, rng())
    with only_operations_that_do_not_wait() as many:
        augment(pictures(64), Augmentation(), MEAN, STD, rng())
    assert many.seen == few.seen


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_never_waits():
    images = pictures(300).cuda()
    generator = torch.Generator("cuda").manual_seed(0)
    augment(images, Augmentation(), MEAN, STD, generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        views = augment(images, Augmentation(), MEAN, STD, generator)
        prepared = prepare(images, MEAN, STD)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert views.device == images.device
    assert views.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(prepared.cpu(), prepare(images.cpu(), MEAN, STD))


# The settings.


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


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 8, 8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"expected \(n, 3, h, w\) uint8, got \("):
        augment(images, Augmentation(), MEAN, STD, rng())
    with pytest.raises(ValueError, match=r"expected \(n, 3, h, w\) uint8, got \("):
        prepare(images, MEAN, STD)


def test_random_squares_are_cut_out_unchanged_and_everywhere():
    images = torch.arange(5 * 6, dtype=torch.uint8).view(1, 1, 5, 6).repeat(4000, 3, 1, 1)
    views = augment(images, NOTHING, (0.0,) * 3, (1.0,) * 3, rng(), crop_size=3)
    found = (views * 255).round().long()
    corners = found[:, 0, 0, 0]
    tops, lefts = corners // 6, corners % 6
    rows = torch.arange(3).view(1, 3, 1) + tops.view(-1, 1, 1)
    columns = torch.arange(3).view(1, 1, 3) + lefts.view(-1, 1, 1)
    assert torch.equal(found, (rows * 6 + columns).unsqueeze(1).expand(-1, 3, -1, -1))
    shares = torch.bincount(tops * 4 + lefts, minlength=12) / 4000
    assert len(shares) == 12  # 3 tops and 4 lefts, all equally likely
    assert (shares - 1 / 12).abs().max() < 0.02


@pytest.mark.parametrize(("side", "crop"), [(8, 5), (8, 8), (9, 4)])
def test_test_images_are_cut_from_the_centre_as_by_torchvision(side, crop):
    images = torch.randint(256, (2, 3, side, side), dtype=torch.uint8, generator=rng())
    found = prepare(images, (0.0,) * 3, (1.0,) * 3, crop)
    expected = TF.center_crop(images, [crop, crop]) / 255
    if (side - crop) % 2 == 0:
        assert torch.allclose(found, expected, atol=1e-6)
    top = (side - crop) // 2
    assert torch.allclose(found, images[..., top : top + crop, top : top + crop] / 255, atol=1e-6)


@pytest.mark.parametrize("crop", [0, 9])
def test_a_crop_that_does_not_fit_is_refused(crop):
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"crop_size: expected 1\.\.8"):
        prepare(images, (0.0,) * 3, (1.0,) * 3, crop)
    with pytest.raises(ValueError, match=r"crop_size: expected 1\.\.8"):
        augment(images, NOTHING, (0.0,) * 3, (1.0,) * 3, rng(), crop_size=crop)
