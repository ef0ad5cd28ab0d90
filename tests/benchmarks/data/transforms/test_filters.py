"""Blur and solarisation against torchvision, image by image."""

import pytest
import torch
import torchvision.transforms.functional as tv

from benchmarks.data.transforms.filters import gaussian_blur, kernel_size, solarize


@pytest.fixture
def pixels() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(6, 3, 12, 10) * 255


@pytest.mark.parametrize("size", [3, 5, 9])
def test_blur_is_torchvision_s_for_each_image_s_sigma(pixels, size):
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 0.7])
    applied = torch.tensor([True, True, True, True, True, False])
    blurred = gaussian_blur(pixels, sigma, applied, size)
    for image, found, s in zip(pixels[:5], blurred, sigma, strict=False):
        expected = tv.gaussian_blur(image, [size, size], [float(s), float(s)])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(blurred[5], pixels[5])


def test_blur_keeps_a_constant_image():
    grey = torch.full((2, 3, 8, 8), 77.0)
    blurred = gaussian_blur(grey, torch.tensor([0.1, 2.0]), torch.tensor([True, True]), 5)
    torch.testing.assert_close(blurred, grey)


@pytest.mark.parametrize("side", [1, 2, 8, 30])
def test_the_usual_kernel_is_that_of_the_smaller_side(side):
    images = torch.rand(2, 3, side, side + 40, generator=torch.Generator().manual_seed(0))
    sigma, applied = torch.full((2,), 1.5), torch.full((2,), True)
    expected = gaussian_blur(images, sigma, applied, kernel_size(side))
    assert torch.equal(gaussian_blur(images, sigma, applied), expected)


def test_solarisation_is_torchvision_s(pixels):
    applied = torch.tensor([True, False, True, False, True, True])
    found = solarize(pixels, applied)
    levels = pixels.to(torch.uint8)
    expected = tv.solarize(levels, 128)
    for i in range(6):
        wanted = expected[i] if applied[i] else levels[i]
        exact = solarize(levels.float(), applied)[i]
        assert torch.equal(exact, wanted.float())
    assert torch.equal(found[1], pixels[1])


@pytest.mark.parametrize(("side", "size"), [(1, 1), (2, 3), (8, 3), (32, 3), (96, 9), (224, 23)])
def test_the_kernel_is_a_tenth_of_the_side_and_odd(side, size):
    assert kernel_size(side) == size
