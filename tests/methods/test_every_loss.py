"""What holds for every loss: fp32 under autocast, no wait for the device, half-precision inputs."""

import pytest
import torch

from methods.and_ import neighbourhood_loss
from methods.barlow_twins import cross_correlation_loss
from methods.blocks.momentum import ema_, frozen_copy
from methods.blocks.queue import Queue
from methods.blocks.sobel import sobel
from methods.byol import regression_loss
from methods.cyclic import contrastive_loss
from methods.dcl import decoupled_loss, von_mises_fisher_weights
from methods.diet import datum_index_loss
from methods.iic import mutual_information_loss
from methods.lejepa import prediction_loss, random_directions, sigreg
from methods.moco import encode_in_groups, queue_loss
from methods.nce import draw_noise
from methods.nnclr import nearest_in_support, nearest_neighbour_loss
from methods.pirl import (
    jigsaw_patches,
    memory_logits,
    memory_scores,
    pirl_info_nce_loss,
    pirl_loss,
)
from methods.simclr import nt_xent_loss
from methods.simsiam import negative_cosine
from methods.super_and import row_augmentation_loss, super_and_loss, unification_entropy
from methods.swav import sinkhorn, swapped_prediction_loss
from methods.tsuc import two_stage_loss
from methods.vicreg import vicreg_loss

B, D, N, C = 8, 16, 40, 6
INDEX = torch.arange(B) * 3
NEIGHBOUR = torch.where(INDEX % 2 == 0, INDEX + 1, -1)


def rows(count, seed, width=D):
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=1, keepdim=True)


BANK, HEADS, CLASSES = rows(N, 7), rows(3 * D, 8, C).view(3, D, C), rows(C, 9)
DIRECTIONS = rows(5, 10)
NOISE = torch.cat([INDEX.unsqueeze(1), torch.arange(B * 7).view(B, 7) % N], 1)
POSITIVE = torch.arange(B) % 2 == 0


def products(first, second):
    """The network's part, without an operator that autocast would change."""
    return (first.float().unsqueeze(1) * second).sum(2)


def swav(first, second):
    scores = [products(first, CLASSES), products(second, CLASSES)]
    return swapped_prediction_loss(scores, [sinkhorn(score) for score in scores])


def pirl(first, second):
    return pirl_loss(*(memory_scores(v, BANK, NOISE, 0.1) for v in (first, second)), 100.0, N)


def nnclr(first, second):
    return nearest_neighbour_loss(nearest_in_support(first, BANK), second, 0.1)


def pirl_softmax(first, second):
    return pirl_info_nce_loss(*(memory_logits(v, BANK, NOISE, 0.1) for v in (first, second)))


LOSSES = {
    "simclr": lambda a, b: nt_xent_loss(a, b, 0.1),
    "dcl": lambda a, b: decoupled_loss(a, b, 0.1),
    "dclw": lambda a, b: decoupled_loss(a, b, 0.1, von_mises_fisher_weights(a, b)),
    "nnclr": nnclr,
    "moco": lambda a, b: queue_loss(a, b, BANK, 0.1),
    "pirl": pirl,
    "pirl-softmax": pirl_softmax,
    "byol": regression_loss,
    "simsiam": negative_cosine,
    "barlow-twins": cross_correlation_loss,
    "vicreg": vicreg_loss,
    "lejepa": lambda a, b: prediction_loss([a, b]) + sigreg(a, DIRECTIONS) + sigreg(b, DIRECTIONS),
    "diet": lambda a, b: datum_index_loss(a, BANK, INDEX),
    "and": lambda a, b: neighbourhood_loss(a, BANK, INDEX, NEIGHBOUR, 0.1),
    "unification": lambda a, b: unification_entropy(10 * products(a, BANK), INDEX),
    "rows": lambda a, b: row_augmentation_loss(a, b),
    "super-and": lambda a, b: super_and_loss(a, b, BANK, INDEX, NEIGHBOUR, weight=0.4),
    "iic": lambda a, b: mutual_information_loss(a.float().softmax(1), b.float().softmax(1)),
    "tsuc": lambda a, b: two_stage_loss(a, b, HEADS),
    "cyclic": lambda a, b: contrastive_loss(a, b, POSITIVE),
    "swav": swav,
}
every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


@every_loss
def test_autocast_changes_no_bit(name):
    loss = LOSSES[name]
    expected = loss(rows(B, 0), rows(B, 1))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(rows(B, 0), rows(B, 1))
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


@every_loss
def test_half_precision_inputs_give_a_loss_in_single_and_a_slope(name):
    first, second = (rows(B, seed).bfloat16().requires_grad_() for seed in (0, 1))
    loss = LOSSES[name](first, second)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    slopes = [view.grad for view in (first, second) if view.grad is not None]
    assert slopes
    assert all(slope.isfinite().all() and slope.abs().sum() > 0 for slope in slopes)


@every_loss
def test_neither_loss_nor_gradient_waits_for_the_device(name, only_operations_that_do_not_wait):
    loss = LOSSES[name]
    first, second = rows(B, 0).requires_grad_(), rows(B, 1).requires_grad_()
    with only_operations_that_do_not_wait() as operations:
        loss(first, second).backward()
    assert operations.seen


def test_no_block_of_a_step_waits_for_the_device(only_operations_that_do_not_wait):
    source, queue = torch.nn.Sequential(torch.nn.Linear(D, D), torch.nn.BatchNorm1d(D)), Queue(N, D)
    target, images = frozen_copy(source), torch.rand(B, 3, 36, 36)
    order, generator = torch.randperm(B), torch.Generator().manual_seed(0)
    with only_operations_that_do_not_wait():
        ema_(target, source, 0.9)
        queue.enqueue(rows(B, 0))
        jigsaw_patches(images, generator)
        sobel(images)
        draw_noise(INDEX, N, 5)
        random_directions(4, D, generator)
        encode_in_groups(lambda group: group.mean((2, 3)), images, 2, order)
