import pytest
import torch

from benchmarks.common.errors import UsageProblem
from benchmarks.data.transforms.augment import Augmentation, augment
from benchmarks.training.views import ViewMaker, changed, looks_of
from helpers.training import STILL, Probe, fit, labelled_stores, make_trainer
from methods import View

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
MIRRORED = {"flip": 1.0}


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator)


def made(views, shown, augmentation=STILL, crop_size=None, seed=0):
    maker = ViewMaker(views, augmentation, MEAN, STD, crop_size or 8, crop_size)
    return maker(shown, torch.Generator().manual_seed(seed))


def still(shown):
    """Return images as they are, normalised."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    return (shown / 255 - mean) / std


def test_each_view_is_of_its_own_part_of_the_images():
    shown = images(15)
    for found, part in zip(made((View(),) * 3, shown), shown.chunk(3), strict=True):
        torch.testing.assert_close(found, still(part))
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_plain_views_are_made_by_one_call_of_all_images():
    shown, usual = images(16), Augmentation()
    found = made((View(),) * 2, shown, usual)
    expected = augment(shown, usual, MEAN, STD, torch.Generator().manual_seed(0)).chunk(2)
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(*found)


def test_views_are_made_in_their_order_from_one_generator():
    shown, usual = images(16), Augmentation()
    found = made((View(), View(size=4), View(size=4), View()), shown, usual)
    draws = torch.Generator().manual_seed(0)
    parts, options = shown.split([4, 8, 4]), [{}, {"size": 4}, {}]
    expected = [
        view
        for part, size in zip(parts, options, strict=True)
        for view in augment(part, usual, MEAN, STD, draws, **size).split(4)
    ]
    assert [tuple(view.shape[2:]) for view in found] == [(8, 8), (4, 4), (4, 4), (8, 8)]
    assert all(map(torch.equal, found, expected))


def test_a_view_changes_the_augmentation_for_itself_alone():
    shown = images(9)
    plain, mirrored, again = made((View(), View(changes=MIRRORED), View()), shown)
    first, second, third = shown.chunk(3)
    torch.testing.assert_close(plain, still(first))
    torch.testing.assert_close(mirrored, still(second.flip(3)))
    torch.testing.assert_close(again, still(third))


def test_a_transform_comes_last_and_gives_any_shape():
    def patches(view):
        assert view.dtype == torch.float32
        return view.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)

    shown = images(6)
    plain, cut = made((View(), View(changes=MIRRORED, transform=patches)), shown)
    assert plain.shape == (3, 3, 8, 8)
    assert cut.shape == (3, 4, 3, 4, 4)
    torch.testing.assert_close(cut[:, 0], still(shown[3:].flip(3)[:, :, :4, :4]))


def test_a_view_of_another_size_shows_the_whole_crop_resized():
    constant = torch.full((2, 3, 8, 8), 51, dtype=torch.uint8)
    small, large = made((View(size=2), View(size=8)), constant)
    torch.testing.assert_close(small, still(constant[:1, :, :2, :2]))
    torch.testing.assert_close(large, still(constant[:1]))


def test_views_are_cut_out_of_the_recipes_crop():
    whole, small = made((View(), View(size=3)), images(4), crop_size=6)
    assert whole.shape == (2, 3, 6, 6)
    assert small.shape == (2, 3, 3, 3)


@pytest.mark.parametrize(("size", "side"), [(9, 8), (33, 32), (0, 8), (-1, 8)])
def test_a_view_larger_than_the_images_is_refused(size, side):
    assert looks_of((View(size=side), View(size=1)), STILL, side) == [(side, STILL), (1, STILL)]
    with pytest.raises(UsageProblem, match=f"view 2: size: expected 1 to {side}.*found {size}"):
        looks_of((View(), View(), View(size=size)), STILL, side)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flips": 1.0}, "field of the augmentation in a view's changes.*flips.*flip"),
        ({"hue": 0.7}, "a view's changes: hue: expected a number from 0 to 0.5, got 0.7"),
        ({"crop_scale": (0.5, 0.1)}, "a view's changes: crop_scale: expected"),
    ],
)
def test_a_change_that_is_none_is_refused(changes, message):
    with pytest.raises(UsageProblem, match=message):
        changed(Augmentation(), changes)


def test_changes_leave_the_rest_of_the_augmentation():
    assert changed(STILL, {}) == STILL
    assert changed(Augmentation(hue=0.1), {"grayscale": 0.0}) == Augmentation(
        hue=0.1, grayscale=0.0
    )


def test_views_are_augmented_independently():
    stores, method = labelled_stores(), Probe(views=3)
    fit(make_trainer(stores, method, epochs=1))
    assert len(method.batches[0].views) == 3
    assert not torch.equal(method.batches[0].views[0], method.batches[0].views[1])
    method = Probe()
    fit(make_trainer(stores, method, epochs=1, augmentation=STILL))
    assert torch.equal(method.batches[-1].views[0], method.batches[-1].views[1])


def test_views_are_cropped_as_the_recipe_says():
    method = Probe()
    fit(make_trainer(labelled_stores(), method, epochs=1, crop_size=6))
    assert method.batches[0].views[0].shape[2:] == (6, 6)
