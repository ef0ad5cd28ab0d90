"""What certainly needs more memory than this machine has, refused before it is tried.

Linux promises memory that it does not have and then ends the process without a word. These checks
count only arrays that every run makes; a run that passes them may still need more.
"""

from benchmarks.common.errors import UsageProblem
from benchmarks.common.memory import total_memory
from benchmarks.data.datasets.base import ImageData
from benchmarks.training.recipe import Recipe

_FLOAT = 4
"""Bytes of a number in fp32."""
_CHANNELS = 3


def check_batch_memory(recipe: Recipe) -> None:
    """Refuse images of which not even a batch fits; before images are decoded.

    Raises:
        UsageProblem: if a batch of single views at the recipe's image size needs more memory than
            there is.
    """
    side = recipe.crop_size or recipe.image_size
    if side is None:
        return
    needed = recipe.batch_size * _CHANNELS * side**2 * _FLOAT
    if recipe.image_size is not None:
        needed = max(needed, _CHANNELS * recipe.image_size**2)
    _check(
        needed,
        f"a batch of {recipe.batch_size} images of {side} x {side} pixels",
        "set a smaller recipe.image_size, recipe.crop_size or recipe.batch_size",
    )


def check_embedding_memory(recipe: Recipe, data: ImageData) -> None:
    """Refuse embeddings that do not fit; before training.

    Raises:
        UsageProblem: if the training images' embeddings need more memory than there is.
    """
    _check(
        len(data.train) * recipe.embedding_size * _FLOAT,
        f"embeddings of {len(data.train):,} images in {recipe.embedding_size:,} dimensions",
        "set a smaller recipe.embedding_size or recipe.train_images",
    )


def _check(needed: int, what: str, remedy: str) -> None:
    total = total_memory()
    if total is not None and needed > total:
        raise UsageProblem(
            f"{what} alone need {needed / 1e9:,.0f} GB, expected at most {total / 1e9:,.0f} GB, "
            f"the memory here; {remedy}"
        )
