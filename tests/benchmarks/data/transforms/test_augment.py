"""The pipeline of transforms: formats, order, what is left out, and that nothing waits."""

from dataclasses import replace

import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as TF

from benchmarks.data.transforms.augment import augment, prepare
from benchmarks.data.transforms.settings import Augmentation
from helpers.images import COLOURLESS, MEAN, NOTHING, STD, constant, levels, pictures, rng


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


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("size", [1, 2, 7, 12, 30])
@pytest.mark.parametrize("left_out", [(), ("crop",), ("flip", "jitter")])
def test_views_of_another_size(n, size, left_out):
    images = torch.randint(256, (n, 3, 12, 20), generator=rng(), dtype=torch.uint8)
    changes = replace(Augmentation().without(*left_out), blur=0.5, solarize=0.5)
    views = levels(images, changes, size=size)
    assert views.shape == (n, 3, size, size)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert views.isfinite().all()
    assert ((views > -0.01) & (views < 255.01)).all()


def test_a_view_as_large_as_the_image_is_the_one_of_no_size():
    images = pictures(9)
    for changes in (Augmentation(), Augmentation().without("crop")):
        same = levels(images, changes, size=32)
        assert torch.equal(same, levels(images, changes))


def test_a_view_of_a_square_that_is_cut_out_first():
    views = augment(pictures(4), Augmentation(), MEAN, STD, rng(), crop_size=24, size=10)
    assert views.shape == (4, 3, 10, 10)


def test_a_view_without_pixels_is_refused():
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        augment(pictures(1), Augmentation(), MEAN, STD, rng(), size=0)


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
    filtered = replace(changes, blur=0.5, solarize=0.2)
    augment(images, filtered, MEAN, STD, rng(), size=8)
    with only_operations_that_do_not_wait():
        augment(images, filtered, MEAN, STD, rng(), size=8)
        augment(images, filtered.without("crop"), MEAN, STD, rng(), size=8)
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
