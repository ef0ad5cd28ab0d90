import numpy as np
import torch

from benchmarks.training.positives import self_or_neighbour
from helpers.training import STILL, Probe, fit, labelled_stores, make_trainer


def nearest_of(features):
    """Return the nearest other row of each by cosine, by a loop."""
    rows = np.asarray(features, np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = []
    for i, row in enumerate(rows):
        others = [j for j in range(len(rows)) if j != i]
        nearest.append(max(others, key=lambda j: float(row @ rows[j])))
    return torch.tensor(nearest)


def test_a_positive_is_the_image_or_its_nearest_neighbour():
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * 7
    nearest, itself = nearest_of(features), torch.arange(60)
    found = self_or_neighbour(features, seed=3, epoch=2)
    assert found.dtype == torch.int64
    assert torch.equal(torch.where(found == itself, itself, nearest), found)
    assert 15 < int((found == itself).sum()) < 45  # of 60; outside once in 8,000 draws


def test_the_choice_follows_seed_and_epoch():
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    first = self_or_neighbour(features, 0, 0)
    assert torch.equal(first, self_or_neighbour(features, 0, 0))
    assert not torch.equal(first, self_or_neighbour(features, 0, 1))
    assert not torch.equal(first, self_or_neighbour(features, 1, 0))


def test_with_probability_a_half_the_second_view_is_of_the_nearest_neighbour():
    stores, method = labelled_stores(), Probe()
    trainer = make_trainer(
        stores, method, epochs=2, positive="neighbour", augmentation=STILL, lr=1e-12
    )
    nearest = nearest_of(trainer.evaluator.embedder.training_features())
    fit(trainer)
    pixels = next(stores.train.batches(50))

    def kept(batches):
        """Return the images that are their own positive, of those seen in the epoch."""
        index, first, second = (
            torch.cat(parts) for parts in zip(*((b.index, *b.views) for b in batches), strict=True)
        )
        assert torch.equal(first, pixels[index])
        itself = (second == pixels[index]).flatten(1).all(1)
        return index, second, itself

    index, second, itself = kept(method.batches[:3])
    assert torch.equal(second[~itself], pixels[nearest[index[~itself]]])
    assert 10 < int(itself.sum()) < 38  # of 48; outside once in 30,000 draws
    again, _, later = kept(method.batches[3:])
    assert set(index[itself].tolist()) != set(again[later].tolist())
    assert [len(method.batches[0].index), *map(len, method.batches[0].views)] == [16] * 3


def test_methods_with_one_view_have_no_positive_of_the_recipe():
    stores, method = labelled_stores(), Probe(views=1)
    fit(make_trainer(stores, method, epochs=1, positive="neighbour", augmentation=STILL))
    pixels = next(stores.train.batches(50))
    for batch in method.batches:
        assert torch.equal(batch.views[0], pixels[batch.index])
