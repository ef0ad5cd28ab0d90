"""The random parameters of augment against torchvision's, and wrong ones that must be refused."""

import colorsys
import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as TF
from scipy import stats
from torch import Tensor

from benchmarks.data.transforms import color
from benchmarks.data.transforms.augment import augment
from benchmarks.data.transforms.crop import crop_boxes
from benchmarks.data.transforms.filters import kernel_size
from benchmarks.data.transforms.settings import Augmentation
from helpers.images import COLOURLESS, MEAN, NOTHING, PLAIN, STD, constant, levels, pictures, rng

JITTER = replace(NOTHING, jitter_probability=1.0, **COLOURLESS)
UNLIKELY = 1e-4  # seeds are fixed: a p-value below this means a wrong distribution


def same_distribution(found, expected) -> float:
    return stats.ks_2samp(np.asarray(found), np.asarray(expected)).pvalue


def uniform_on(found: Tensor, low: float, high: float) -> float:
    return stats.kstest(found.double().numpy(), stats.uniform(low, high - low).cdf).pvalue


def evenly_spread(counts) -> float:
    return stats.chisquare(np.asarray(list(counts))).pvalue


def boxes_of_torchvision(height, width, scale, ratio, n=2500):
    torch.manual_seed(3)
    image = torch.empty(3, height, width)
    drawn = [T.RandomResizedCrop.get_params(image, scale, ratio) for _ in range(n)]
    return np.asarray(drawn).T


def boxes_of_ours(height, width, scale, ratio, n=20_000):
    images = torch.empty(n, 3, height, width, dtype=torch.uint8)
    return torch.cat(crop_boxes(images, scale, ratio, rng(4))).numpy()


def box_p_values(ours, theirs):
    """Of top, left, height, width, area and ratio."""
    ours, theirs = (b.astype(float) for b in (ours, theirs))
    ours, theirs = ([*b, b[2] * b[3], b[3] / b[2]] for b in (ours, theirs))
    return [same_distribution(a, b) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.2, 1.0), (3 / 4, 4 / 3)),
        (224, 160, (0.08, 1.0), (3 / 4, 4 / 3)),
        (8, 8, (0.01, 0.1), (0.2, 5.0)),
        (9, 40, (0.5, 1.0), (0.5, 2.0)),  # often nothing fits: the central box
        (41, 8, (0.9, 1.0), (1.0, 2.0)),  # nothing ever fits
    ],
)
def test_crop_boxes_are_distributed_as_torchvisions(height, width, scale, ratio):
    ours = boxes_of_ours(height, width, scale, ratio)
    top, left, box_height, box_width = ours
    assert min(top.min(), left.min()) >= 0
    assert min(box_height.min(), box_width.min()) >= 1
    assert (top + box_height).max() <= height
    assert (left + box_width).max() <= width
    assert min(box_p_values(ours, boxes_of_torchvision(height, width, scale, ratio))) > UNLIKELY


def test_other_crop_boxes_are_told_apart():
    theirs = boxes_of_torchvision(64, 64, (0.2, 1.0), (3 / 4, 4 / 3))
    for scale, ratio in [((0.15, 1.0), (3 / 4, 4 / 3)), ((0.2, 1.0), (3 / 4, 1.5))]:
        assert min(box_p_values(boxes_of_ours(64, 64, scale, ratio), theirs)) < UNLIKELY


def brightness_factors(n, strength):
    views = levels(constant(n, 60, 60, 60), replace(JITTER, brightness=strength))
    return views[:, 0, 0, 0] / 60


def contrast_factors(n, strength):
    images = constant(n, 110, 110, 110)
    images[:, :, :, 1] = 130
    views = levels(images, replace(JITTER, contrast=strength))
    return (views[:, 0, 0, 1] - views[:, 0, 0, 0]) / 20


def saturation_factors(n, strength):
    views = levels(constant(n, 130, 120, 110), replace(JITTER, saturation=strength))
    return (views[:, 0, 0, 0] - views[:, 2, 0, 0]) / 20


def hue_shifts(n, strength):
    views = levels(constant(n, 80, 160, 160), replace(JITTER, hue=strength))[:, :, 0, 0] / 255
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in views.tolist()]
    return torch.tensor(hues) - 0.5


@pytest.mark.parametrize("strength", [0.4, 1.5])
@pytest.mark.parametrize("factors", [brightness_factors, contrast_factors, saturation_factors])
def test_blend_factors_are_uniform(factors, strength):
    found = factors(20_000, strength)
    low, high = max(0.0, 1 - strength), 1 + strength
    assert uniform_on(found, low, high) > UNLIKELY
    assert uniform_on(found, low, high + 0.05 * (high - low)) < UNLIKELY


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_hue_shifts_are_uniform(strength):
    found = hue_shifts(20_000, strength)
    assert uniform_on(found, -strength, strength) > UNLIKELY
    assert uniform_on(found, -strength, strength * 1.05) < UNLIKELY


def blur_sigmas(n, low, high):
    """Found from how much of a single bright pixel its neighbour gets."""
    images = torch.zeros(n, 3, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    views = levels(images, replace(NOTHING, blur=1.0, blur_sigma=(low, high)))
    return (-0.5 / (views[:, 0, 4, 5] / views[:, 0, 4, 4]).log()).sqrt()


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (0.3, 1.0)])
def test_blur_sigmas_are_uniform(low, high):
    found = blur_sigmas(20_000, low, high)
    assert uniform_on(found, low, high) > UNLIKELY
    assert uniform_on(found, low, low + 1.05 * (high - low)) < UNLIKELY


def test_parameters_are_independent():
    """Of the images of a batch, of each other, and of the place in the batch."""
    images = constant(20_000, 120, 60, 30)
    views = levels(images, replace(JITTER, brightness=0.4, saturation=0.2, hue=0.05))[:, :, 0, 0]
    brightest = views.amax(1)
    saturation = 1 - views.amin(1) / brightest
    pairs = [
        (brightest[:-1], brightest[1:]),
        (brightest[::2], brightest[1::2]),
        (brightest[:10_000], brightest[10_000:]),
        (brightest, torch.arange(20_000)),
        (saturation[:-1], brightest[1:]),
    ]
    for first, second in pairs:
        assert stats.spearmanr(first.numpy(), second.numpy()).pvalue > UNLIKELY


# A picture on which all 24 orders of the colour operations give other results.
ORDERED = torch.tensor(
    [[250, 20, 90, 128], [30, 200, 140, 60], [10, 60, 250, 180]], dtype=torch.uint8
).view(1, 3, 2, 2)
ORDER_STRENGTHS = {"brightness": 0.7, "contrast": 0.9, "saturation": 0.8, "hue": 0.3}


def ordered_results(kinds) -> Tensor:
    """Torchvision's result for every order of `kinds`, each at the largest strength."""
    operations = {
        "brightness": lambda image: TF.adjust_brightness(image, 1.7),
        "contrast": lambda image: TF.adjust_contrast(image, 1.9),
        "saturation": lambda image: TF.adjust_saturation(image, 1.8),
        "hue": lambda image: TF.adjust_hue(image, 0.3),
    }
    results = []
    for order in permutations(kinds):
        image = ORDERED[0].float() / 255
        for kind in order:
            image = operations[kind](image)
        results.append(255 * image)
    return torch.stack(results)


def drawn_orders(monkeypatch, n, kinds, calls=1) -> np.ndarray:
    """(calls, n) the order each image went through, which must be one of torchvision's."""

    def highest(_, high, *shape, generator):
        return torch.full(shape, high, device=generator.device)

    monkeypatch.setattr(color, "uniform", highest)
    strengths = {**COLOURLESS, **{kind: ORDER_STRENGTHS[kind] for kind in kinds}}
    expected = ordered_results(kinds).flatten(1)
    assert torch.pdist(expected).min() > 2
    generator = rng(7)
    found = []
    for _ in range(calls):
        views = augment(ORDERED.repeat(n, 1, 1, 1), replace(JITTER, **strengths), **PLAIN,
                        generator=generator)  # fmt: skip
        distance = (255 * views.flatten(1)[:, None] - expected).abs().amax(2)
        assert distance.amin(1).max() < 0.2
        found.append(distance.argmin(1))
    return torch.stack(found).numpy()


@pytest.mark.parametrize(
    "kinds",
    [
        ("brightness", "contrast", "saturation", "hue"),
        ("brightness", "contrast", "saturation"),
        ("contrast", "hue"),
    ],
)
def test_every_order_is_equally_likely(monkeypatch, kinds):
    orders = drawn_orders(monkeypatch, 4803, kinds).ravel()
    counts = np.bincount(orders, minlength=math.factorial(len(kinds))).astype(float)
    assert evenly_spread(counts) > UNLIKELY
    counts[0] += 0.1 * counts.sum()
    assert evenly_spread(counts) < UNLIKELY


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_every_order_is_equally_likely_at_every_place_of_an_uneven_batch(monkeypatch, n):
    kinds = ("brightness", "contrast", "saturation", "hue")
    orders = drawn_orders(monkeypatch, n, kinds, calls=500)
    for place in range(n):
        assert evenly_spread(np.bincount(orders[:, place], minlength=24)) > UNLIKELY


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("name", ["flip", "grayscale", "jitter_probability", "blur", "solarize"])
def test_rates(name, probability):
    n = 6001
    images = pictures(1, 6, 6).repeat(n, 1, 1, 1)
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.4}
    strengths["blur_sigma"] = (0.5, 2.0)  # a smaller one may change nothing
    views = levels(images, replace(NOTHING, **strengths, **{name: probability}))
    changed = int(((views - images).abs().amax((1, 2, 3)) > 0.05).sum())
    if probability in (0.0, 1.0):
        assert changed == n * probability
    else:
        assert stats.binomtest(changed, n, probability).pvalue > UNLIKELY
        assert stats.binomtest(changed, n, probability + 0.05).pvalue < UNLIKELY


# The whole pipeline.


def statistics(views: Tensor) -> dict[str, np.ndarray]:
    """Of each normalised view: channel means and deviations, and the slope from left to right."""
    mean, deviation = views.mean((2, 3)), views.std((2, 3))
    slope = (views * torch.linspace(-1, 1, views.shape[3])).mean((1, 2, 3))
    roughness = views.diff(dim=3).abs().mean((1, 2, 3))
    columns = torch.cat((mean, deviation, torch.stack((slope, roughness), 1)), 1).double().numpy()
    names = ("mean r", "mean g", "mean b", "std r", "std g", "std b", "slope", "roughness")
    return dict(zip(names, columns.T, strict=True))


def views_of_torchvision(image: Tensor, a: Augmentation, n: int, size=None) -> Tensor:
    torch.manual_seed(11)
    size = image.shape[1:] if size is None else (size, size)
    jitter = T.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue)
    blur = T.GaussianBlur(kernel_size(min(size)), a.blur_sigma)
    pipeline = T.Compose(
        [
            T.RandomResizedCrop(size, scale=a.crop_scale, ratio=a.crop_ratio)
            if a.crop_scale
            else T.Resize(size),
            T.RandomHorizontalFlip(a.flip),
            T.RandomApply([jitter], p=a.jitter_probability),
            T.RandomGrayscale(a.grayscale),
            T.RandomApply([blur], p=a.blur),
            T.RandomSolarize(128, p=a.solarize),
            T.ToTensor(),
            T.Normalize(MEAN, STD),
        ]
    )
    picture = TF.to_pil_image(image)
    return torch.stack([pipeline(picture) for _ in range(n)])


@pytest.mark.parametrize(
    ("augmentation", "size"),
    [
        (Augmentation(), (32, 32)),
        (Augmentation(crop_scale=(0.08, 1.0), hue=0.1, jitter_probability=0.8), (24, 40)),
    ],
)
def test_views_are_distributed_as_torchvisions(augmentation, size):
    for image in pictures(2, *size, seed=20):
        theirs = statistics(views_of_torchvision(image, augmentation, 700))
        images = image.repeat(4000, 1, 1, 1)
        ours = statistics(augment(images, augmentation, MEAN, STD, rng(12)))
        p_values = {name: same_distribution(ours[name], theirs[name]) for name in theirs}
        assert min(p_values.values()) > UNLIKELY, p_values
        for name, values in theirs.items():  # pooled figures, within the error of their difference
            error = math.hypot(values.std() / 700**0.5, ours[name].std() / 4000**0.5)
            assert abs(values.mean() - ours[name].mean()) < 4 * error, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_scale": (0.5, 1.0)},
        {"brightness": 0.6},
        {"saturation": 0.0, "contrast": 0.0},
        {"grayscale": 0.4},
        {"flip": 0.3},
    ],
)
def test_views_of_another_augmentation_are_told_apart(wrong):
    image = pictures(1, seed=20)[0]
    theirs = statistics(views_of_torchvision(image, Augmentation(), 700))
    ours = statistics(
        augment(image.repeat(4000, 1, 1, 1), replace(Augmentation(), **wrong), MEAN, STD, rng(12))
    )
    assert min(same_distribution(ours[name], theirs[name]) for name in theirs) < UNLIKELY


BYOL = Augmentation(
    (0.08, 1.0), saturation=0.2, hue=0.1, jitter_probability=0.8, blur=0.5, solarize=0.2
)  # of its second view, but for the more frequent blur of SimCLR


def assert_same_statistics(ours: Tensor, theirs: Tensor) -> None:
    ours, theirs = statistics(ours), statistics(theirs)
    p_values = {name: same_distribution(ours[name], theirs[name]) for name in theirs}
    assert min(p_values.values()) > UNLIKELY, p_values


@pytest.fixture(scope="module")
def small_views_of_byol() -> dict[str, np.ndarray]:
    return statistics(views_of_torchvision(pictures(1, seed=21)[0], BYOL, 700, 16))


@pytest.mark.parametrize("size", [None, 16, 40])
def test_blurred_solarised_and_resized_views_are_distributed_as_torchvisions(size):
    image = pictures(1, seed=21)[0]
    theirs = views_of_torchvision(image, BYOL, 700, size)
    images = image.repeat(4000, 1, 1, 1)
    assert_same_statistics(augment(images, BYOL, MEAN, STD, rng(12), size=size), theirs)


def test_resized_views_without_a_crop_are_distributed_as_torchvisions():
    image = pictures(1, 32, 48, seed=22)[0]
    changes = replace(BYOL.without("crop"), jitter_probability=1.0)
    theirs = views_of_torchvision(image, changes, 700, 20)
    ours = augment(image.repeat(4000, 1, 1, 1), changes, MEAN, STD, rng(13), size=20)
    assert_same_statistics(ours, theirs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blur": 0.0},
        {"blur": 1.0},
        {"blur_sigma": (0.1, 0.5)},
        {"solarize": 0.0},
        {"solarize": 0.35},
        {"crop_scale": (0.2, 1.0)},
    ],
)
def test_blur_and_solarisation_of_another_kind_are_told_apart(wrong, small_views_of_byol):
    image, theirs = pictures(1, seed=21)[0], small_views_of_byol
    changes = replace(BYOL, **wrong)
    ours = statistics(augment(image.repeat(4000, 1, 1, 1), changes, MEAN, STD, rng(12), size=16))
    assert min(same_distribution(ours[name], theirs[name]) for name in theirs) < UNLIKELY


def test_solarisation_comes_after_the_blur():
    image = pictures(1, seed=23)[0]
    changes = replace(NOTHING, blur=1.0, blur_sigma=(2.0, 2.0), solarize=1.0)
    theirs = views_of_torchvision(image, changes, 1)[0]
    ours = augment(image[None], changes, MEAN, STD, rng())[0]
    torch.testing.assert_close(ours, theirs, atol=0.2, rtol=0)
    solarised = TF.gaussian_blur(TF.solarize(image, 128), [3, 3], [2.0, 2.0])
    assert not torch.allclose(ours, TF.normalize(solarised / 255, MEAN, STD), atol=0.4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_views_on_cuda_are_distributed_as_torchvisions():
    image = pictures(1, seed=20)[0]
    generator = torch.Generator("cuda").manual_seed(0)
    repeated = image.repeat(4000, 1, 1, 1).cuda()
    ours = statistics(augment(repeated, Augmentation(), MEAN, STD, generator).cpu())
    theirs = statistics(views_of_torchvision(image, Augmentation(), 700))
    assert min(same_distribution(ours[name], theirs[name]) for name in theirs) > UNLIKELY
