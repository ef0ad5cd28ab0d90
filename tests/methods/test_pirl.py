import pytest
import torch

from methods.base import normalise
from methods.blocks.memory_bank import update_bank
from methods.nce import draw_noise, nce_loss
from methods.pirl import (
    JigsawHead,
    jigsaw_patches,
    memory_logits,
    memory_scores,
    pirl_info_nce_loss,
    pirl_loss,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coordinates(batch, height, width):
    """Images whose two channels are the row and the column of each pixel."""
    grid = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack(grid).float().expand(batch, 2, height, width)


def corners(patches):
    return patches[:, :, :, 0, 0].long()  # (b, 9, 2): row and column of each patch's first pixel


@pytest.mark.parametrize(("size", "patch", "side"), [(36, None, 9), (255, None, 64), (36, 12, 12)])
def test_each_patch_is_a_piece_of_one_cell_each_cell_once(size, patch, side):
    patches = jigsaw_patches(coordinates(4, size, size), generator(), patch)
    assert patches.shape == (4, 9, 2, side, side)
    start, cell = corners(patches), size // 3
    cells = start // cell
    assert (((start + side - 1) // cell) == cells).all()  # it ends in the cell where it starts
    order = cells[..., 0] * 3 + cells[..., 1]
    assert all(sorted(row) == list(range(9)) for row in order.tolist())
    along = torch.arange(side)
    assert torch.equal(
        patches[:, :, 0], (start[..., :1, None] + along[:, None]).expand(4, 9, side, side).float()
    )
    assert torch.equal(
        patches[:, :, 1], (start[..., 1:, None] + along).expand(4, 9, side, side).float()
    )


def test_orders_and_places_are_uniform_and_differ_between_images():
    start = corners(jigsaw_patches(coordinates(3000, 36, 36), generator()))
    cells = start // 12
    first = (cells[:, 0, 0] * 3 + cells[:, 0, 1]).bincount(minlength=9)
    assert (first > 250).all()  # 333 expected
    places = (start % 12).flatten().bincount(minlength=4)
    assert places.shape == (4,)  # offsets 0 to 3, both included
    assert (places / places.sum() - 0.25).abs().max() < 0.02
    assert len({tuple(row) for row in (cells[..., 0] * 3 + cells[..., 1]).tolist()}) > 2900


def test_images_need_not_be_square():
    patches = jigsaw_patches(coordinates(2, 30, 36), generator())
    assert patches.shape == (2, 9, 2, 8, 8)
    start = corners(patches)
    assert ((start[..., 0] % 10) + 8 <= 10).all()
    assert ((start[..., 1] % 12) + 8 <= 12).all()


def test_the_generator_decides():
    images = coordinates(4, 36, 36)
    one, again = (jigsaw_patches(images, generator(5)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, jigsaw_patches(images, generator(6)))


@pytest.mark.parametrize(
    ("size", "patch", "message"),
    [
        (32, None, "images: expected height and width divisible by 3, got 32 x 32; crop"),
        (36, 13, "patch: expected 1 to 12, the side of a cell, got 13"),
    ],
)
def test_wrong_sizes_are_named(size, patch, message):
    with pytest.raises(ValueError, match=message):
        jigsaw_patches(coordinates(2, size, size), None, patch)


def naive_scores(embeddings, bank, rows, temperature):
    return torch.stack(
        [
            torch.stack([(f @ bank[row] / temperature).exp() for row in own])
            for f, own in zip(embeddings, rows.tolist(), strict=True)
        ]
    )


def naive(image, patches, normaliser, instances, weight):
    """Both NCE terms, score by score; h = p / (p + k / n), p = score / Z."""
    total = torch.zeros((), dtype=torch.float64)
    for scores, share in ((patches, weight), (image, 1 - weight)):
        for row in scores:
            expected = (len(row) - 1) / instances
            h = [(s / normaliser) / (s / normaliser + expected) for s in row]
            total = total - share * (h[0].log() + sum((1 - value).log() for value in h[1:]))
    return total / len(image)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_value_and_gradient_are_those_of_a_double_loop(unit, assert_agree, weight):
    bank, index = unit(9, 5), torch.tensor([3, 0, 8])
    torch.manual_seed(0)
    rows = draw_noise(index, 9, 6), draw_noise(index, 9, 6)
    assert_agree(
        lambda f, g: pirl_loss(
            *(memory_scores(v, bank, r, 0.2) for v, r in zip((f, g), rows, strict=True)),
            20.0,
            9,
            weight,
        ),
        lambda f, g: naive(
            *(naive_scores(v, bank, r, 0.2) for v, r in zip((f, g), rows, strict=True)),
            20.0,
            9,
            weight,
        ),
        unit(3, 5, seed=1),
        unit(3, 5, seed=2),
        rtol=1e-5,  # the margin of 1e-7 in the denominators, as the authors have it
        atol=1e-6,
    )


def naive_info_nce(image, patches, weight):
    total = torch.zeros((), dtype=torch.float64)
    for scores, share in ((patches, weight), (image, 1 - weight)):
        for row in scores:
            total = total - share * (row[0] / sum(row)).log()
    return total / len(image)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_softmax_form_is_that_of_a_double_loop(unit, assert_agree, weight):
    bank, index = unit(9, 5), torch.tensor([3, 0, 8])
    torch.manual_seed(0)
    rows = draw_noise(index, 9, 6), draw_noise(index, 9, 6)
    assert_agree(
        lambda f, g: pirl_info_nce_loss(
            memory_logits(f, bank, rows[0], 0.2), memory_logits(g, bank, rows[1], 0.2), weight
        ),
        lambda f, g: naive_info_nce(
            naive_scores(f, bank, rows[0], 0.2), naive_scores(g, bank, rows[1], 0.2), weight
        ),
        unit(3, 5, seed=1),
        unit(3, 5, seed=2),
    )


# Four ways in which a public re-implementation is not PIRL.


def test_first_the_positive_is_the_own_row_of_a_bank_of_all_images(unit):
    """A queue holds what came last; the bank holds every image at its own place."""
    bank, index = unit(9, 5).float(), torch.tensor([3, 0, 8])
    rows = draw_noise(index, 9, 6)
    assert torch.equal(rows[:, 0], index)
    embeddings = unit(3, 5, seed=1).float()
    scores = memory_scores(embeddings, bank, rows, 0.5)
    torch.testing.assert_close(scores[:, 0], ((embeddings * bank[index]).sum(1) / 0.5).exp())
    update_bank(bank, index, embeddings, 0.5)
    torch.testing.assert_close(
        bank[index], normalise(0.5 * unit(9, 5).float()[index] + 0.5 * embeddings)
    )
    untouched = [1, 2, 4, 5, 6, 7]
    assert torch.equal(bank[untouched], unit(9, 5).float()[untouched])


def test_second_the_own_row_is_no_regular_negative():
    """It is drawn as often as any other row, not always."""
    torch.manual_seed(0)
    index = torch.arange(200)
    noise = draw_noise(index, 200, 50)[:, 1:]
    assert noise.min() >= 0
    assert noise.max() <= 199
    own = (noise == index.unsqueeze(1)).float().mean()
    assert own.item() == pytest.approx(1 / 200, abs=0.003)
    counts = noise.flatten().bincount(minlength=200)
    assert counts.min() > 20
    assert counts.max() < 100


def test_third_the_images_term_compares_it_with_its_memory(unit):
    """With z . stopgrad(z) the positive would be 1 whatever the memory says."""
    bank, index = unit(9, 5), torch.tensor([3, 0, 8])
    torch.manual_seed(0)
    rows = draw_noise(index, 9, 6)
    image = unit(3, 5, seed=1)
    both = memory_scores(image, bank, rows, 0.2)
    found = pirl_loss(both, both, 20.0, 9, weight=0.0)
    torch.testing.assert_close(found, nce_loss(both[:, 0], both[:, 1:], 20.0, 9))
    moved = bank.clone()
    moved[index] = image
    with_itself = memory_scores(image, moved, rows, 0.2)
    assert abs(pirl_loss(with_itself, both, 20.0, 9, weight=0.0) - found) > 0.1


def test_fourth_patches_are_encoded_one_by_one():
    """A patch has features of its own; the head joins all nine."""
    torch.manual_seed(0)
    head = JigsawHead(6, 4)
    features = torch.randn(2 * 9, 6)
    found = head(features)
    assert found.shape == (2, 4)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(head(features[9:]), found[1:])  # images do not mix
    for patch in range(9):
        changed = features.clone()
        changed[patch] += 1
        assert not torch.allclose(head(changed)[0], found[0])
        torch.testing.assert_close(head(changed)[1], found[1])
    images = coordinates(2, 36, 36)
    patches = jigsaw_patches(images, generator()).flatten(0, 1)  # what the network is given
    assert patches.shape == (18, 2, 9, 9)
    assert not any(module for module in head.modules() if "Norm" in type(module).__name__)


def test_the_bank_takes_no_gradient(unit):
    bank = unit(9, 5).requires_grad_()
    embeddings = unit(3, 5, seed=1).requires_grad_()
    scores = memory_scores(embeddings, bank, draw_noise(torch.arange(3), 9, 4), 0.2)
    slopes = torch.autograd.grad(scores.sum(), (embeddings, bank), allow_unused=True)
    assert slopes[0].abs().sum() > 0
    assert slopes[1] is None


def test_wrong_arguments_are_named(unit):
    with pytest.raises(ValueError, match="weight: expected a number from 0 to 1"):
        pirl_loss(torch.ones(2, 3), torch.ones(2, 3), 1.0, 9, weight=2)
    with pytest.raises(ValueError, match=r"temperature: expected a number of at least 0\.012"):
        memory_scores(unit(2, 4), unit(9, 4), torch.zeros(2, 3, dtype=torch.long), 0.001)
