import pytest
import torch
from sklearn.decomposition import PCA

from methods.base import normalise
from methods.blocks.clusters import principal_components, uniform_over_clusters


def embeddings(rows=200, width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator) @ torch.diag(torch.arange(1.0, 1 + width))


@pytest.mark.parametrize("whitening", [True, False])
@pytest.mark.parametrize("size", [6, 3])
def test_components_are_those_of_scikit_learn(whitening, size):
    rows = embeddings()
    found = principal_components(rows, size, whitening)
    expected = PCA(size, whiten=whitening).fit_transform(rows.double().numpy())
    expected = normalise(torch.from_numpy(expected))
    # signs and order of the axes are free: inner products are not
    torch.testing.assert_close(found @ found.T, expected @ expected.T, rtol=1e-4, atol=1e-5)


def test_rows_have_unit_norm():
    norms = principal_components(embeddings(), 4, True).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(200))


@pytest.mark.parametrize("whitening", [True, False])
def test_missing_directions_do_no_harm(whitening):
    flat = embeddings()
    flat[:, 4:] = flat[:, :2]
    found = principal_components(flat, 6, whitening)
    assert found.isfinite().all()
    same = principal_components(flat[:, :4] * torch.tensor([2**0.5, 2**0.5, 1, 1]), 4, whitening)
    torch.testing.assert_close(found @ found.T, same @ same.T, rtol=1e-4, atol=1e-4)


def test_a_collapsed_embedding_gives_zeros():
    assert not principal_components(torch.ones(50, 4), 4, True).any()


SHUFFLED = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0] * 700 + [2] * 250 + [3] * 50)[SHUFFLED]


def visits(seed=0, labels=LABELS):
    return uniform_over_clusters(labels, torch.Generator().manual_seed(seed))


def test_non_empty_clusters_are_visited_equally_often():
    order = visits()
    assert order.shape == (1000,)
    counts = LABELS[order].bincount(minlength=4).tolist()
    assert counts[1] == 0
    assert all(abs(count - 1000 / 3) <= 2 for count in (counts[0], counts[2], counts[3]))


def test_only_clusters_that_are_too_small_repeat_images():
    order = visits()
    large = order[LABELS[order] == 0]
    assert len(large.unique()) == len(large)
    for cluster, size in ((2, 250), (3, 50)):
        images = order[LABELS[order] == cluster]
        # draws with replacement reach a share of 1 - (1 - 1 / size)^draws
        expected = size * (1 - (1 - 1 / size) ** len(images))
        assert len(images.unique()) == pytest.approx(expected, rel=0.1)


def test_every_member_of_a_large_cluster_is_as_likely():
    drawn = torch.cat([visits(seed) for seed in range(300)])
    counts = drawn.bincount(minlength=1000)[LABELS == 0].float()
    assert counts.mean().item() == pytest.approx(300 * 1000 / 3 / 700, rel=0.01)
    assert counts.std() < 1.2 * (300 * (1 / 3 * 1000 / 700) * (1 - 1000 / 2100)) ** 0.5


def test_order_is_shuffled_and_follows_the_seed():
    order = visits()
    assert torch.equal(order, visits())
    assert not torch.equal(order, visits(1))
    halves = LABELS[order].view(2, 500)
    assert abs((halves[0] == 0).sum() - (halves[1] == 0).sum()) < 100


def test_one_cluster_is_a_plain_epoch_without_repeats_but_one_draw_more():
    labels = torch.zeros(20, dtype=torch.long)
    order = visits(labels=labels)
    assert order.shape == (20,)
    assert order.min() >= 0
    assert order.max() < 20
