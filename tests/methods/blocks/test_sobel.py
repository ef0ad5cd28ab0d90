import pytest
import torch

from methods.blocks.sobel import sobel


def naive(image):
    """Weighted differences of neighbours, pixel by pixel, with zeros beyond the border."""
    grey = torch.nn.functional.pad(image.mean(0), (1, 1, 1, 1))
    height, width = image.shape[1:]
    edges = torch.zeros(2, height, width, dtype=image.dtype)
    for y in range(height):
        for x in range(width):
            window = grey[y : y + 3, x : x + 3]
            for i, weight in enumerate((1, 2, 1)):
                edges[0, y, x] += weight * (window[i, 0] - window[i, 2])
                edges[1, y, x] += weight * (window[0, i] - window[2, i])
    return edges


@pytest.mark.parametrize("channels", [1, 3])
def test_edges_are_those_of_a_loop(channels):
    shape = 2, channels, 4, 5
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(sobel(images), torch.stack([naive(image) for image in images]))


def test_a_flat_image_has_no_edges_inside_and_colours_do_not_matter():
    images = torch.tensor([0.3, 0.6, -0.9]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    torch.testing.assert_close(sobel(images), torch.zeros(1, 2, 5, 5), rtol=0, atol=1e-6)
    inside = sobel(torch.ones(1, 3, 5, 5))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.zeros_like(inside))


def test_gradient_reaches_the_images():
    images = torch.randn(1, 3, 4, 4, requires_grad=True)
    sobel(images).square().sum().backward()
    assert images.grad.abs().sum() > 0


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"images: expected shape \(b, c, h, w\), got \(3, 4, 4\)"):
        sobel(torch.zeros(3, 4, 4))
