"""Changes of colour with given strengths, against torchvision's."""

import pytest
import torch
import torchvision.transforms.functional as TF

from benchmarks.data.transforms.color import blend_, shift_hue_
from helpers.images import pictures, rng


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
    blend_(found, torch.full((4, 1, 1, 1), factor), contrast, saturation)
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
    shift_hue_(found, torch.full((8, 1, 1, 1), shift))
    expected = 255 * TF.adjust_hue(images.float() / 255, shift)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_hue_shift_is_each_images_own():
    images = pictures(5)
    shifts = torch.tensor([-0.3, 0.0, 0.1, 0.25, 0.5])
    found = images.float()
    shift_hue_(found, shifts.view(5, 1, 1, 1))
    for i, shift in enumerate(shifts.tolist()):
        expected = 255 * TF.adjust_hue(images[i].float() / 255, shift)
        torch.testing.assert_close(found[i], expected, atol=5e-3, rtol=0)
