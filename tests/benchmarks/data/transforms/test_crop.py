"""Crops with given boxes, against torchvision's."""

import pytest
import torch
import torchvision.transforms.functional as TF

from benchmarks.data.transforms.crop import resized_crop, whole_boxes
from helpers.images import pictures, rng


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
    found = resized_crop(images.float(), starts.float(), sides.float(), flipped, (height, width))
    for i in range(n):
        box = (*starts[:, i].tolist(), *sides[:, i].tolist())
        exact = TF.resized_crop(images[i].float(), *box, [height, width], antialias=True)
        pil = TF.resized_crop(TF.to_pil_image(images[i]), *box, [height, width])
        pil = TF.pil_to_tensor(pil).float()
        if mirror:
            exact, pil = exact.flip(2), pil.flip(2)
        torch.testing.assert_close(found[i], exact, atol=5e-3, rtol=0)
        torch.testing.assert_close(found[i], pil, atol=1.51, rtol=0)


@pytest.mark.parametrize("size", [1, 5, 8, 12, 20, 40])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (8, 12)])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_crop_of_another_size_is_torchvisions(height, width, size, mirror):
    """Boxes smaller and larger than the view: enlarged, or shrunk and smoothed."""
    n = 40
    images = pictures(n, height, width)
    sides = torch.stack(
        [torch.randint(1, side + 1, (n,), generator=rng(side)) for side in (height, width)]
    )
    sides[:, 0] = torch.tensor([height, width])
    room = torch.tensor([[height], [width]]) - sides
    starts = (torch.rand(2, n, generator=rng(5)) * (room + 1)).long()
    flipped = torch.full((n,), True) if mirror else None
    found = resized_crop(images.float(), starts.float(), sides.float(), flipped, (size, size))
    assert found.shape == (n, 3, size, size)
    for i in range(n):
        box = (*starts[:, i].tolist(), *sides[:, i].tolist())
        exact = TF.resized_crop(images[i].float(), *box, [size, size], antialias=True)
        pil = TF.resized_crop(TF.to_pil_image(images[i]), *box, [size, size])
        pil = TF.pil_to_tensor(pil).float()
        if mirror:
            exact, pil = exact.flip(2), pil.flip(2)
        torch.testing.assert_close(found[i], exact, atol=5e-3, rtol=0)
        torch.testing.assert_close(found[i], pil, atol=1.51, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_the_whole_image_is_shrunk_as_by_torchvision(height, width):
    images = pictures(3, height, width)
    found = resized_crop(images.float(), *whole_boxes(images), None, (10, 10))
    expected = TF.resize(images.float(), [10, 10], antialias=True)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    unsmoothed = TF.resize(images.float(), [10, 10], antialias=False)
    assert not torch.allclose(found, unsmoothed, atol=5)
