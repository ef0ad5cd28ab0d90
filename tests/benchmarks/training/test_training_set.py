import numpy as np
import torch
import torch.nn.functional as F

from helpers.training import Probe, fit, labelled_stores, make_trainer


def counted(trainer):
    """Return a list that grows by the images of each pass through the convolution."""
    sizes = []
    trainer.method.encoder.conv.register_forward_hook(lambda *args: sizes.append(len(args[2])))
    return sizes


def test_a_pass_is_made_when_it_is_asked_for_and_once():
    trainer = make_trainer(labelled_stores())
    sizes, train = counted(trainer), trainer.training_set()
    assert sizes == []
    features = train.features()
    assert sizes == [50]
    assert train.features() is features
    embeddings = train.embeddings()
    assert train.embeddings() is embeddings
    assert train.features() is features
    assert sum(sizes) <= 100
    assert trainer.method.training


def test_rows_are_in_the_order_of_the_index():
    trainer = make_trainer(labelled_stores())
    train, method = trainer.training_set(), trainer.method
    pixels = next(trainer.images.train.batches(50))
    method.eval()
    with torch.no_grad():
        features = method.encoder.features(pixels)
        torch.testing.assert_close(train.features(), features)
        torch.testing.assert_close(
            train.embeddings(), F.normalize(method.encoder.head(features), dim=1)
        )
    assert not train.features().requires_grad


def test_embeddings_are_the_methods_headline():
    class Other(Probe):
        def representations(self, images):
            features = F.normalize(self.encoder.features(images), dim=1)
            return {"features": features, "twice": torch.cat([features, features], 1)}

    train = make_trainer(labelled_stores(), Other()).training_set()
    torch.testing.assert_close(train.embeddings(), F.normalize(train.features(), dim=1))


def test_hooks_see_the_network_as_it_is_before_their_epoch():
    class Looks(Probe):
        def start_epoch(self, clock, train):
            super().start_epoch(clock, train)
            self.kept = [*getattr(self, "kept", []), self.embedded]

    trainer = make_trainer(labelled_stores(), Looks(), epochs=2)
    expected = trainer.evaluator.embedder.embed_images(every=False).bank["embedding"]
    fit(trainer)
    first, second = trainer.method.kept
    assert np.allclose(first.numpy(), expected)
    assert not torch.allclose(first, second)


def test_a_method_that_asks_for_nothing_costs_no_pass():
    class Blind(Probe):
        def start_epoch(self, clock, train):
            """Ask for nothing."""

    trainer = make_trainer(labelled_stores(), Blind(), epochs=1)
    sizes = counted(trainer)
    trainer.start(0)
    assert sizes == []
