"""The views that a step needs, made from a batch of images on the training device."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from benchmarks.common.errors import UsageProblem, unknown_name
from benchmarks.data.transforms.augment import Augmentation, augment
from methods.base import View


class ViewMaker:
    """Makes every view of a method from one tensor of images.

    Neighbouring views that are augmented alike are made by one call, which costs less than a call
    a view.

    Args:
        views: of the method, in the order in which its batch holds them.
        augmentation: the recipe's.
        mean: of red, green and blue, in 0..1.
        std: of red, green and blue, in 0..1.
        image_size: smaller side of the images in pixels, after `crop_size`.
        crop_size: of the recipe.

    Raises:
        UsageProblem: if a view is larger than the images or changes a field that is none.
    """

    def __init__(
        self,
        views: Sequence[View],
        augmentation: Augmentation,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int,
        crop_size: int | None = None,
    ) -> None:
        self.views, self.mean, self.std, self.crop_size = tuple(views), mean, std, crop_size
        looks = looks_of(self.views, augmentation, image_size)
        self._runs = [(look, len(list(same))) for look, same in groupby(looks)]

    def __call__(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return one (b, 3, h, w) tensor a view, normalised, in channels_last memory format.

        Args:
            images: (views * b, 3, h, w) uint8: the images of the first view, of the second, ...
            generator: on the images' device; its state decides the views.
        """
        each = len(images) // len(self.views)
        made: list[Tensor] = []
        for (size, augmentation), count in self._runs:
            start = len(made) * each
            some = augment(
                images[start : start + count * each],
                augmentation,
                self.mean,
                self.std,
                generator,
                self.crop_size,
                size,
            )  # (count * b, 3, size, size)
            made += some.chunk(count)
        return tuple(
            tensor if view.transform is None else view.transform(tensor)
            for view, tensor in zip(self.views, made, strict=True)
        )


def looks_of(
    views: Sequence[View], augmentation: Augmentation, image_size: int
) -> list[tuple[int | None, Augmentation]]:
    """Return the size and the augmentation of each view; a size of None is the images'.

    Args:
        views: of a method.
        augmentation: the recipe's.
        image_size: smaller side in pixels of the images that views are made of.

    Raises:
        UsageProblem: if a view is larger than the images or changes a field that is none.
    """
    for number, view in enumerate(views):
        if view.size is not None and not 1 <= view.size <= image_size:
            raise UsageProblem(
                f"view {number}: size: expected 1 to {image_size}, the side of the images, found "
                f"{view.size}; set a larger recipe.image_size or smaller views"
            )
    return [(view.size, changed(augmentation, view.changes)) for view in views]


def changed(augmentation: Augmentation, changes: Mapping[str, Any]) -> Augmentation:
    """Return the augmentation with a view's changes.

    Raises:
        UsageProblem: if a field is unknown or a value out of its range.
    """
    known = [field.name for field in fields(augmentation)]
    for name in changes:
        if name not in known:
            raise unknown_name("field of the augmentation in a view's changes", name, known)
    try:
        return replace(augmentation, **changes)
    except ValueError as error:
        raise UsageProblem(f"a view's changes: {error}") from error
