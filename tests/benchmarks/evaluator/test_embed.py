import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from benchmarks.common.errors import RunFailed
from benchmarks.data.loader import Stores
from benchmarks.data.transforms.augment import prepare
from benchmarks.evaluator import embed
from helpers.training import STILL, Probe, labelled_stores, make_trainer, store


@pytest.fixture
def stores():
    return labelled_stores()


def embedder_of(stores, method=None, **options):
    return make_trainer(stores, method, **options).evaluator.embedder


def small_batches(monkeypatch, images=7):
    monkeypatch.setattr(embed, "EVALUATION_PIXELS", images * 8 * 8)


def test_evaluation_leaves_batch_statistics_alone(stores):
    trainer = make_trainer(stores)
    before = trainer.method.encoder.bn.running_mean.clone()
    first, second = (trainer.evaluator.embedder.embed_images(every=True) for _ in range(2))
    assert torch.equal(trainer.method.encoder.bn.running_mean, before)
    assert all(np.array_equal(first.bank[name], second.bank[name]) for name in first.bank)
    assert trainer.method.training


def test_rows_cover_every_image_once_in_order(stores, monkeypatch):
    embedder = embedder_of(stores)
    whole = embedder.embed_images(every=True)
    small_batches(monkeypatch)
    parts = embedder.embed_images(every=True)
    pixels = prepare(stores.test.gather(torch.arange(20)), (0.5,) * 3, (0.2,) * 3)
    embedder.method.eval()
    with torch.no_grad():
        expected = F.normalize(embedder.method.encoder(pixels), dim=1).numpy()
    for found in (whole, parts):
        assert found.bank["embedding"].shape == (50, 4)
        assert np.allclose(found.test["embedding"], expected, atol=1e-6)


def test_every_representation_comes_with_the_last_embeddings(stores):
    trainer = make_trainer(stores, epochs=1)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert embedded.headline == "embedding"
    assert list(embedded.bank) == list(embedded.test) == ["embedding", "features"]
    assert embedded.bank["features"].shape == (50, 6)
    pixels = next(stores.test.batches(20))
    trainer.method.eval()
    with torch.no_grad():
        features = trainer.method.encoder.features(pixels)
    assert np.allclose(embedded.test["features"], F.normalize(features, dim=1), atol=1e-6)
    assert list(trainer.evaluator.embedder.embed_images(every=False).bank) == ["embedding"]


def test_rows_are_fp32_whatever_the_precision(stores):
    rows = embedder_of(stores, precision="bf16").embed_images(every=True).bank
    assert {values.dtype for values in rows.values()} == {np.dtype(np.float32)}


def test_without_test_images_the_bank_alone_is_embedded(stores):
    found = embedder_of(Stores(stores.train, stores.train, None)).embed_images(every=True)
    assert found.test is None
    assert found.bank["embedding"].shape == (50, 4)


def test_a_bank_of_its_own_is_embedded_in_place_of_the_training_images(stores):
    embedder = embedder_of(Stores(store(50), stores.test, stores.test))
    found = embedder.embed_images(every=True)
    assert np.array_equal(found.bank["embedding"], found.test["embedding"])
    assert embedder.training_embeddings().shape == (50, 4)


def test_two_views_are_drawn_anew_the_same_for_every_recipe(stores):
    first, second = embedder_of(stores).embed_two_views(8)
    other, _ = embedder_of(stores, augmentation=STILL).embed_two_views(8)
    for name, width in (("embedding", 4), ("features", 6)):
        assert first[name].shape == second[name].shape == (7, width)  # every third of 20
        assert not np.allclose(first[name], second[name])
        assert np.array_equal(first[name], other[name])


def test_test_images_are_cropped(stores):
    embedder = embedder_of(stores, crop_size=6)
    embedder.method.eval()
    with torch.no_grad():
        expected = embedder.method.embed(next(stores.test.batches(20, 6)))
    assert np.allclose(embedder.embed_images(every=False).test["embedding"], expected, atol=1e-6)
    assert embedder.embed_two_views(20)[0]["embedding"].shape == (20, 4)


def test_fewer_large_images_are_embedded_at_a_time(stores, monkeypatch):
    small_batches(monkeypatch)
    embedder, sizes = embedder_of(stores), []
    embedder.method.encoder.conv.register_forward_hook(lambda *args: sizes.append(len(args[2])))
    embedder.embed_images(every=True)
    assert sizes == [7] * 7 + [1] + [7, 7, 6]


class Broken(Probe):
    """Gives its rows through a function of them and of their number."""

    change = None

    def representations(self, images):
        rows = F.normalize(self.encoder(images), dim=1)
        return self.change(rows)


CASES = {
    "names that change": (
        lambda rows: {"a" if len(rows) == 7 else "b": rows}, "the same names for every batch"),
    "another order": (
        lambda rows: dict.fromkeys("ab" if len(rows) == 7 else "ba", rows), "the same names"),
    "one more name": (
        lambda rows: dict.fromkeys("ab" if len(rows) == 7 else "a", rows), "the same names"),
    "no rows": (lambda rows: {"a": rows[:, 0]}, r"representation a: expected \(7, d\).*\(7,\)"),
    "cube": (lambda rows: {"a": rows[None]}, r"representation a: .*found \(1, 7, 4\)"),
    "too few": (lambda rows: {"a": rows[1:]}, r"representation a: .*found \(6, 4\)"),
    "second": (lambda rows: {"a": rows, "b": rows[:, 0]}, "representation b: expected"),
    "widths": (lambda rows: {"a": rows[:, : len(rows) - 4]}, r"representation a: .* width"),
    "not finite": (lambda rows: {"a": rows / 0}, "representation a is not finite"),
    "none": (lambda rows: {}, "representations: expected at least one, found none"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rows_that_cannot_be_evaluated_end_the_run_with_the_reason(stores, monkeypatch, case):
    small_batches(monkeypatch)
    change, message = CASES[case]
    method = Broken()
    method.__dict__["change"] = change
    embedder = embedder_of(stores, method)
    with pytest.raises(RunFailed, match=message):
        embedder.embed_images(every=True)
    with pytest.raises(RunFailed, match=message):
        embedder.embed_two_views(20)
    assert method.training


def test_classes_are_predicted_for_all_images_head_by_head(stores, monkeypatch):
    class Predicts(Probe):
        def predict(self, images):
            rows = self.encoder(images)
            return torch.stack([rows, -rows])

    small_batches(monkeypatch)
    embedder = embedder_of(stores, Predicts())
    found = embedder.predict(stores.test)
    pixels = next(stores.test.batches(20))
    embedder.method.eval()
    with torch.no_grad():
        rows = embedder.method.encoder(pixels)
    assert torch.equal(found, torch.stack([rows.argmax(1), rows.argmin(1)]))
    assert embedder_of(stores).predict(stores.test) is None
