import pytest
import torch
import torch.nn.functional as F
from torch import nn

import methods.deepcluster as module
from helpers.training_set import FlatEncoder, Looked
from methods import Batch, Clock
from methods.base import normalise
from methods.deepcluster import DeepCluster
from methods.testing.toy import Trial, toy_encoder

CENTRES = torch.eye(3, 4)
CLASSES = torch.arange(90) % 3


def blobs(seed=0):
    noise = torch.randn(90, 4, generator=torch.Generator().manual_seed(seed))
    return normalise(CENTRES[CLASSES] + 0.05 * noise)


def method_on_blobs(**options):
    options = {"clusters": 3, "pca": 2, **options}
    return DeepCluster(FlatEncoder(12, 4), 90, **options)


def same_partition(first, second):
    return torch.equal(first[:, None] == first, second[:, None] == second)


def test_pseudo_labels_find_well_separated_groups():
    found = []
    for seed in range(5):  # k-means from one start may end in a local optimum
        torch.manual_seed(seed)
        method = method_on_blobs()
        method.start_epoch(Clock(epoch=0, epochs=3), Looked(blobs))
        found.append(same_partition(method.pseudo_labels, CLASSES))
    assert any(found)


def test_kmeans_gets_whitened_unit_rows_and_a_seed_of_the_random_state(monkeypatch):
    calls = []

    def kmeans(points, clusters, seed, iterations):
        calls.append((points, clusters, seed, iterations))
        return None, CLASSES.numpy()

    monkeypatch.setattr(module, "kmeans", kmeans)
    method = method_on_blobs(iterations=7)
    for start in (1, 1, 2):
        torch.manual_seed(start)
        method.start_epoch(Clock(epoch=0, epochs=3), Looked(blobs))
    points, clusters, seed, iterations = calls[0]
    assert (clusters, iterations, points.shape) == (3, 7, (90, 2))
    torch.testing.assert_close(points.norm(dim=1), torch.ones(90))
    assert calls[1][2] == seed
    assert calls[2][2] != seed


def test_metrics_compare_with_the_last_epoch(monkeypatch):
    assignments = iter(
        [CLASSES.numpy(), ((CLASSES + 1) % 3).numpy(), torch.zeros(90).long().numpy()]
    )
    monkeypatch.setattr(module, "kmeans", lambda *_: (None, next(assignments)))
    method = method_on_blobs()
    assert method.metrics() == {}
    method.start_epoch(Clock(epoch=0, epochs=3), Looked(blobs))
    assert method.metrics() == pytest.approx({"clusters_empty": 0, "cluster_largest": 1 / 3})
    method.start_epoch(Clock(epoch=1, epochs=3), Looked(blobs))
    assert method.metrics()["nmi_previous"] == pytest.approx(1)
    method.start_epoch(Clock(epoch=2, epochs=3), Looked(blobs))
    assert method.metrics() == {"clusters_empty": 2, "cluster_largest": 1, "nmi_previous": 0}


def test_each_epoch_starts_a_new_classifier_in_the_same_tensors():
    torch.manual_seed(0)
    method = DeepCluster(toy_encoder(), 1024, clusters=50)
    pointers = [p.data_ptr() for p in method.classifier.parameters()]
    embeddings = normalise(torch.randn(1024, 32))
    method.start_epoch(Clock(epoch=0, epochs=2), Looked(lambda: embeddings))
    first = method.classifier.weight.clone()
    nn.init.ones_(method.classifier.bias)
    method.start_epoch(Clock(epoch=1, epochs=2), Looked(lambda: embeddings))
    assert not torch.equal(first, method.classifier.weight)
    assert method.classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not method.classifier.bias.any()
    assert [p.data_ptr() for p in method.classifier.parameters()] == pointers


def test_the_classifier_has_no_momentum():
    method = method_on_blobs()
    body, head = method.parameter_groups()
    assert "momentum" not in body
    assert head["momentum"] == 0
    assert {id(p) for p in head["params"]} == {id(p) for p in method.classifier.parameters()}


@pytest.mark.parametrize("autocast", [False, True])
def test_loss_is_the_cross_entropy_of_the_raw_embedding(autocast):
    torch.manual_seed(0)
    trial = Trial(DeepCluster, {"clusters": 5})
    trial.start_epoch(0)
    method, batch = trial.method, trial.batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        features = method.encoder(batch.views[0])
        loss = method.loss(batch)
    logits = features.float() @ method.classifier.weight.T + method.classifier.bias
    labels = method.pseudo_labels[batch.index]
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels))
    assert loss.dtype == torch.float32


def test_uniform_order_visits_clusters_alike_and_scrambled_takes_positions_for_numbers():
    labels = torch.tensor([1] * 60 + [0] * 30)
    orders = {}
    for sampler in ("uniform", "scrambled"):
        method = method_on_blobs(sampler=sampler)
        method.pseudo_labels.copy_(labels)
        orders[sampler] = method.sample(torch.Generator().manual_seed(0))
    assert abs((labels[orders["uniform"]] == 0).sum() - 45) <= 1
    by_cluster = [i for c in (0, 1) for i in range(90) if labels[i] == c]
    assert orders["scrambled"].tolist() == [by_cluster[i] for i in orders["uniform"]]
    assert (labels[orders["scrambled"]] == 0).sum() < 35


def test_pca_defaults_to_the_width_of_the_embedding_at_most_256():
    assert DeepCluster(toy_encoder(), 1024).pca == 32
    assert DeepCluster(FlatEncoder(4, 300), 1024).pca == 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 91}, "clusters: expected at most the 90 training images, got 91"),
        ({"clusters": 0}, "clusters: expected"),
        ({"iterations": 0}, "iterations: expected"),
        ({"pca": 5}, "pca: expected at most the embedding's width 4, got 5"),
        ({"sampler": "x"}, "sampler: expected 'uniform' or 'scrambled', got 'x'"),
    ],
)
def test_the_constructor_refuses_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        method_on_blobs(**options)


def test_the_rows_must_cover_the_training_set():
    with pytest.raises(
        ValueError, match=r"train.embeddings\(\): expected shape \(90, d\), got \(10, 4\)"
    ):
        method_on_blobs().start_epoch(Clock(), Looked(lambda: torch.randn(10, 4)))


def test_labels_are_looked_up_by_image_number():
    torch.manual_seed(0)
    method = method_on_blobs()
    method.pseudo_labels.copy_(CLASSES)
    with torch.no_grad():
        method.classifier.weight.zero_()
        method.classifier.bias.copy_(torch.tensor([50.0, 0.0, 0.0]))
    images = (torch.randn(2, 3, 2, 2),)
    assert method.loss(Batch(torch.tensor([0, 3]), images)).item() == pytest.approx(0, abs=1e-6)
    assert method.loss(Batch(torch.tensor([1, 2]), images)).item() == pytest.approx(50)
