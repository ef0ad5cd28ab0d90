"""The batches of an epoch: which images, in which order."""

import torch
from torch import Tensor

from benchmarks.common.errors import UsageProblem
from benchmarks.training.recipe import Recipe
from methods import Method


def check_batch_size(method: Method | type[Method], recipe: Recipe, instances: int) -> None:
    """Raise UsageProblem if the training images do not fill the one batch a method needs."""
    if method.drop_last and recipe.batch_size > instances:
        raise UsageProblem(
            f"batch_size: expected at most {instances}, the number of training images, found "
            f"{recipe.batch_size}; set a smaller one with --set recipe.batch_size=N"
        )


def split_order(order: Tensor, batch_size: int, drop_last: bool) -> list[Tensor]:
    """Cut an epoch's order into batches.

    A single image that is left over has no batch statistics of its own and joins the batch before.

    Args:
        order: (n,) int64 indices, or (m, g) for groups of g that stay together in a batch.
        batch_size: images of a batch; of groups, as many whole ones as fit.
        drop_last: whether a smaller last batch is left out.

    Returns:
        (b,) int64 indices of each batch.

    Raises:
        UsageProblem: if a group does not fit into a batch.
    """
    if order.ndim == 2:
        group = order.shape[1]
        if group > batch_size:
            raise UsageProblem(
                f"batch_size: expected at least {group}, the images that the method keeps together "
                f"in a batch, found {batch_size}; set it with --set recipe.batch_size=N"
            )
        batch_size -= batch_size % group
    batches = list(torch.split(order.flatten(), batch_size))
    if drop_last and len(batches[-1]) < batch_size:
        batches.pop()
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = torch.cat([batches[-1], last])
    return batches
