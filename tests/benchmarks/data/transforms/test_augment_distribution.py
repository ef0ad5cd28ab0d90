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
@pytest.mark.parametrize("name", ["flip", "grayscale", "jitter_probability"])
def test_rates(name, probability):
    n = 6001
    images = pictures(1, 6, 6).repeat(n, 1, 1, 1)
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.4}
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


def views_of_torchvision(image: Tensor, a: Augmentation, n: int) -> Tensor:
    torch.manual_seed(11)
    jitter = T.ColorJitter(a.brightness, a.contrast, a.saturation, a.hue)
    pipeline = T.Compose(
        [
            T.RandomResizedCrop(image.shape[1:], scale=a.crop_scale, ratio=a.crop_ratio),
            T.RandomApply([jitter], p=a.jitter_probability),
            T.RandomGrayscale(a.grayscale),
            T.RandomHorizontalFlip(a.flip),
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_views_on_cuda_are_distributed_as_torchvisions():
    image = pictures(1, seed=20)[0]
    generator = torch.Generator("cuda").manual_seed(0)
    repeated = image.repeat(4000, 1, 1, 1).cuda()
    ours = statistics(augment(repeated, Augmentation(), MEAN, STD, generator).cpu())
    theirs = statistics(views_of_torchvision(image, Augmentation(), 700))
    assert min(same_distribution(ours[name], theirs[name]) for name in theirs) > UNLIKELY
