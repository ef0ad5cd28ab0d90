import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.data.loader import Stores
from helpers import naive
from helpers.training import Probe, fit, labelled_stores, make_trainer, store


@pytest.fixture
def stores():
    return labelled_stores()


class Remembers(Probe):
    """Has a memory bank of its own."""

    def __init__(self, **facts):
        super().__init__(**facts)
        generator = torch.Generator().manual_seed(3)
        rows = torch.randn(50, 4, generator=generator)
        self.register_buffer("bank", torch.nn.functional.normalize(rows, dim=1))

    def memory(self):
        return self.bank


def accuracy(bank, stores, queries):
    labels = stores.test.labels
    votes = naive.knn_labels(bank, stores.bank.labels, queries, 5, 0.1)
    return 100 * np.mean(np.equal(votes, labels))


def test_knn_is_that_of_the_headline_representation(stores):
    evaluator = make_trainer(stores).evaluator
    found = evaluator.evaluate(last=False)
    rows = evaluator.embedder.embed_images(every=True)
    expected = accuracy(rows.bank["embedding"], stores, rows.test["embedding"])
    bank = rows.bank["embedding"]
    spread = np.mean(np.std(bank.astype(np.float64), axis=0)) * bank.shape[1] ** 0.5
    assert found.metrics == {"knn": pytest.approx(expected), "spread": pytest.approx(spread)}
    assert np.array_equal(found.test, rows.test["embedding"])
    assert list(found.embedded.bank) == ["embedding"]
    last = evaluator.evaluate(last=True)
    assert last.metrics == found.metrics
    assert list(last.embedded.test) == ["embedding", "features"]


def test_the_first_representation_is_the_headline_whatever_its_name(stores):
    class Turned(Probe):
        def representations(self, images):
            return dict(reversed(super().representations(images).items()))

    evaluator = make_trainer(stores, Turned()).evaluator
    found = evaluator.evaluate(last=False)
    assert list(found.embedded.bank) == ["features"]
    expected = accuracy(found.embedded.bank["features"], stores, found.embedded.test["features"])
    assert found.metrics["knn"] == pytest.approx(expected)


def test_a_memory_bank_votes_on_the_headline(stores):
    method = Remembers()
    evaluator = make_trainer(stores, method).evaluator
    found = evaluator.evaluate(last=False)
    assert found.metrics["memory_knn"] == pytest.approx(accuracy(method.bank, stores, found.test))
    assert set(found.metrics) == {"knn", "memory_knn", "spread"}
    assert evaluator.memory()["memory"].shape == (50, 4)


def test_a_memory_of_other_images_than_the_banks_does_not_vote(stores):
    evaluator = make_trainer(Stores(store(50), stores.train, stores.test), Remembers()).evaluator
    assert evaluator.memory() == {}
    assert set(evaluator.evaluate(last=True).metrics) == {"knn", "spread"}


def test_a_bank_of_its_own_is_what_knn_compares_with(stores):
    trainer = make_trainer(Stores(store(50), stores.train, stores.test), epochs=1)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert np.isfinite(trainer.history["knn"]).all()
    bank = trainer.evaluator.embedder.embed_images(every=True).bank
    assert all(np.array_equal(embedded.bank[name], bank[name]) for name in bank)
    expected = accuracy(bank["embedding"], stores, embedded.test["embedding"])
    assert trainer.history["knn"].iloc[-1] == pytest.approx(expected)


@pytest.mark.parametrize("case", ["no labels", "no test images", "one class"])
def test_without_two_labelled_classes_there_is_no_knn(stores, case):
    other = {
        "no labels": Stores(store(50), store(50), stores.test),
        "no test images": Stores(stores.train, stores.train, None),
        "one class": Stores(store(50, 1), store(50, 1), stores.test),
    }[case]
    history = fit(make_trainer(other, epochs=1))
    assert history["knn"].isna().all()


@pytest.mark.parametrize("last", [False, True])
def test_unseen_classes_are_retrieved_from_among_the_test_images(stores, last):
    unseen = Stores(stores.train, stores.train, stores.test, unseen=True, recalls=(1, 2))
    evaluator = make_trainer(unseen, Remembers()).evaluator
    found, sizes = None, []
    evaluator.method.encoder.conv.register_forward_hook(lambda *args: sizes.append(len(args[2])))
    found = evaluator.evaluate(last)
    assert sizes == ([50, 20] if last else [20])
    cosines, labels = found.test @ found.test.T - 9 * np.eye(20), stores.test.labels
    for k in (1, 2):
        near = np.argsort(-cosines, axis=1)[:, :k]
        hits = (labels[near] == labels[:, None]).any(1)
        assert found.metrics[f"recall_at_{k}"] == pytest.approx(100 * hits.mean())
    assert (found.embedded is None) is not last
    assert not {"knn", "memory_knn"} & {n for n, v in found.metrics.items() if np.isfinite(v)}
