import pytest
import torch

import methods.mom as module
from helpers.training_set import FlatEncoder, Looked
from methods import Batch, Clock
from methods.base import normalise
from methods.blocks.manifold import Pools, mine
from methods.mom import MOM, starts_of_triplets, weighted_triplet_loss
from methods.testing.toy import Trial

COUNT = 60
torch.manual_seed(0)
PIXELS = FlatEncoder(12, 4)


def points(rows=COUNT, width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalise(torch.randn(rows, width, generator=generator))


def method(instances=COUNT, **options):
    small = {"neighbours": 5, "positive_neighbours": 8, "negative_neighbours": 12, "pool": 6}
    return MOM(PIXELS, instances, **{**small, **options})


def started(seed=0, epoch=0, **options):
    torch.manual_seed(seed)
    mom = method(**options)
    mom.start_epoch(Clock(epoch=epoch, epochs=200), Looked(points))
    return mom


def naive(anchors, positives, negatives, weights, margin):
    losses = []
    for anchor, positive, negative, weight in zip(
        anchors, positives, negatives, weights, strict=True
    ):
        near = sum((a - p) ** 2 for a, p in zip(anchor, positive, strict=True))
        far = sum((a - n) ** 2 for a, n in zip(anchor, negative, strict=True))
        if weight > 0:
            losses.append(weight * torch.relu(margin + near - far))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("weights", [[0.3, 2.0, 0.7], [0.3, 0.0, 0.7]], ids=["all", "one is none"])
def test_value_and_gradient_are_those_of_a_loop(weights):
    weights = torch.tensor(weights, dtype=torch.float64)
    results = []
    for function in (weighted_triplet_loss, naive):
        leaves = [points(3, seed=seed).double().requires_grad_() for seed in range(3)]
        loss = function(*leaves, weights, 1.5)
        results.append((loss, *torch.autograd.grad(loss, leaves)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_distance_is_squared_and_the_margin_a_half():
    rows = [torch.tensor([values]) for values in ([0.0, 0.0], [0.0, 0.3], [0.4, 0.0])]
    loss = weighted_triplet_loss(*rows, torch.tensor([2.0]))
    assert loss.item() == pytest.approx(2 * (0.5 + 0.09 - 0.16))


def test_no_triplet_loses_nothing():
    rows = points(3).requires_grad_()
    loss = weighted_triplet_loss(rows, rows, rows, torch.zeros(3))
    loss.backward()
    assert loss.item() == 0
    assert not rows.grad.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positives": points(2)}, r"positives: expected shape \(3, 4\), got \(2, 4\)"),
        ({"negatives": points(3, 5)}, r"negatives: expected shape \(3, 4\), got \(3, 5\)"),
        ({"weights": torch.ones(3, 1)}, r"weights: expected shape \(3,\), got \(3, 1\)"),
        ({"margin": 0}, "margin: expected"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = dict.fromkeys(("anchors", "positives", "negatives"), points(3))
    with pytest.raises(ValueError, match=message):
        weighted_triplet_loss(**{**arguments, "weights": torch.ones(3), **changes})


def test_it_mines_its_embeddings_with_its_options():
    expected = mine(points(), neighbours=5, positive_neighbours=8, negative_neighbours=12,
                    alpha=0.9, size=6)  # fmt: skip
    found = started(alpha=0.9)
    assert torch.equal(found.positives, expected.positives)
    assert torch.equal(found.positive_weights, expected.weights)
    assert torch.equal(found.negatives, expected.negatives)


@pytest.mark.parametrize(("remine", "mined"), [(None, [0]), (1, [0, 1, 2, 3, 4]), (2, [0, 2, 4])])
def test_it_mines_once_or_when_told(monkeypatch, remine, mined):
    pools, calls = mine(points(), size=6), []
    monkeypatch.setattr(module, "mine", lambda *_, **__: calls.append(epoch) or pools)
    mom = method(remine=remine)
    for epoch in range(5):
        mom.start_epoch(Clock(epoch=epoch, epochs=200), Looked(points))
    assert calls == mined


def test_a_restart_needs_no_mining(monkeypatch):
    before = started()
    after = method()
    after.load_state_dict(before.state_dict())
    monkeypatch.setattr(module, "mine", None)
    for mom in (before, after):
        torch.manual_seed(1)
        mom.start_epoch(Clock(epoch=1, epochs=200), Looked(lambda: points(seed=5)))
    assert torch.equal(before.partners, after.partners)
    assert torch.equal(before.weights, after.weights)


def test_partners_come_from_the_pools_and_every_one_in_time():
    mom = started(hardest=2)
    anchors = points()
    drawn = []
    for epoch in range(1, 150):
        mom.start_epoch(Clock(epoch=epoch, epochs=200), Looked(points))
        drawn.append(mom.partners.clone())
    drawn = torch.stack(drawn)
    for row in range(COUNT):
        positives = [j for j in mom.positives[row].tolist() if j >= 0]
        assert set(drawn[:, row, 0].tolist()) == set(positives)
        pool = [j for j in mom.negatives[row].tolist() if j >= 0]
        if pool:
            closeness = {j: float(anchors[row] @ anchors[j]) for j in pool}
            hardest = sorted(pool, key=lambda j: -closeness[j])[:2]
            assert set(drawn[:, row, 1].tolist()) == set(hardest)


def test_negatives_are_ranked_by_the_current_embedding(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    mom, now = started(hardest=1), points(seed=3)
    mom.start_epoch(Clock(epoch=1, epochs=200), Looked(lambda: now))
    for row in range(COUNT):
        pool = [j for j in mom.negatives[row].tolist() if j >= 0]
        if pool:
            assert mom.partners[row, 1] == max(pool, key=lambda j: float(now[row] @ now[j]))


def test_the_weight_is_the_drawn_positives():
    mom = started()
    column = (mom.positives == mom.partners[:, :1]).int().argmax(1, keepdim=True)
    assert torch.equal(mom.weights, mom.positive_weights.gather(1, column).squeeze(1))


def test_an_anchor_without_negatives_draws_any_other_image(monkeypatch):
    nobody = torch.full((5, 6), -1, dtype=torch.int32)
    positives, weights = nobody.clone(), torch.zeros(5, 6)
    positives[:, 0] = torch.tensor([0, 3, 1, 1, 4])  # two are their own
    weights[:, 0] = 1
    monkeypatch.setattr(module, "mine", lambda *_, **__: Pools(positives, weights, nobody))
    mom, drawn = method(5), []
    for epoch in range(200):
        mom.start_epoch(Clock(epoch=epoch, epochs=200), Looked(lambda: points(5)))
        drawn.append(mom.partners[:, 1].tolist())
    for row, found in enumerate(zip(*drawn, strict=True)):
        assert set(found) == set(range(5)) - {row, int(positives[row, 0])}


def test_an_epoch_visits_every_anchor_with_its_partners():
    mom = started()
    order = mom.sample(torch.Generator().manual_seed(0))
    triplets = order.view(COUNT, 3)
    assert sorted(triplets[:, 0].tolist()) == list(range(COUNT))
    assert torch.equal(triplets[:, 1:].int(), mom.partners[triplets[:, 0]])
    assert torch.equal(order, mom.sample(torch.Generator().manual_seed(0)))
    assert not torch.equal(order, mom.sample(torch.Generator().manual_seed(1)))


def test_draws_follow_the_seed():
    first, again, other = started(1), started(1), started(2)
    assert torch.equal(first.partners, again.partners)
    assert not torch.equal(first.partners, other.partners)


@pytest.mark.parametrize("size", [3, 4, 5, 12, 32])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_loss_is_that_of_the_whole_triplets_wherever_the_batch_starts(size, start):
    mom = started()
    index = mom.sample(torch.Generator().manual_seed(0))[start : start + size]
    batch = Batch(index, (torch.randn(size, 3, 2, 2),))
    rows = mom.embed(batch.views[0]).detach().double()
    first = range(-start % 3, size - 2, 3)
    triplets = [(rows[i], rows[i + 1], rows[i + 2], mom.weights[index[i]].double()) for i in first]
    expected = naive(*zip(*triplets, strict=True), 0.5).item() if triplets else 0.0
    assert mom.loss(batch).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_an_image_that_is_its_own_positive_is_seen_twice(monkeypatch):
    own = Pools(
        torch.tensor([[0], [1], [2], [3]]).int(), torch.ones(4, 1), torch.full((4, 1), -1).int()
    )
    monkeypatch.setattr(module, "mine", lambda *_, **__: own)
    torch.manual_seed(0)
    mom = method(4, pool=1)
    mom.start_epoch(Clock(epoch=0, epochs=200), Looked(lambda: points(4)))
    index = mom.sample(torch.Generator().manual_seed(0))
    assert torch.equal(index[0::3], index[1::3])
    views = torch.randn(12, 3, 2, 2)
    rows = mom.embed(views).detach().double()
    expected = naive(rows[0::3], rows[1::3], rows[2::3], torch.ones(4), 0.5)
    assert mom.loss(Batch(index, (views,))).item() == pytest.approx(
        expected.item(), rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize(
    ("index", "starts"),
    [
        ([0, 1, 2, 2, 0, 1], [0, 3]),
        ([1, 2, 2, 0, 1], [2]),  # the first triplet has lost its anchor
        ([0, 1, 2, 2, 0], [0]),  # the second has lost its negative
        ([0, 2, 1, 1, 0], []),  # positive and negative in the wrong order, or strangers
    ],
)
def test_a_triplet_starts_where_an_anchor_is_followed_by_its_partners(index, starts):
    partners = torch.tensor([[1, 2], [2, 0], [0, 1]])
    found = starts_of_triplets(torch.tensor(index), partners)
    assert found.nonzero().flatten().tolist() == starts


def test_strangers_make_no_triplet():
    mom = started()
    loss = mom.loss(Batch(torch.zeros(6).long(), (torch.randn(6, 3, 2, 2),)))
    assert loss.item() == 0


def test_a_batch_of_two_holds_no_triplet():
    with pytest.raises(ValueError, match="at least 3 images for a triplet, got 2"):
        started().loss(Batch(torch.arange(2), (torch.randn(2, 3, 2, 2),)))


def test_metrics_are_sizes_of_pools(monkeypatch):
    positives = torch.tensor([[1, 2, -1], [1, -1, -1], [2, -1, -1], [0, -1, -1]]).int()
    negatives = torch.tensor([[3, -1, -1], [-1, -1, -1], [3, 0, 1], [-1, -1, -1]]).int()
    pools = Pools(positives, (positives >= 0).float(), negatives)
    monkeypatch.setattr(module, "mine", lambda *_, **__: pools)
    mom = method(4, pool=3)
    mom.start_epoch(Clock(epoch=0, epochs=200), Looked(lambda: points(4)))
    assert mom.metrics() == {
        "positives_mean": 0.75,  # two images are their own
        "positives_none": 0.5,
        "negatives_mean": 1.0,
        "negatives_none": 0.5,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 0}, "neighbours: expected"),
        ({"positive_neighbours": 0}, "positive_neighbours: expected"),
        ({"negative_neighbours": -1}, "negative_neighbours: expected"),
        ({"pool": 0}, "pool: expected"),
        ({"alpha": 1.0}, "alpha: expected a number below 1"),
        ({"hardest": 0}, "hardest: expected"),
        ({"margin": 0}, "margin: expected"),
        ({"remine": 0}, "remine: expected"),
        ({"instances": 1}, "instances: expected at least 2"),
    ],
)
def test_the_constructor_refuses_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        method(**options)


def test_the_rows_must_cover_the_training_set():
    with pytest.raises(
        ValueError, match=r"train.embeddings\(\): expected shape \(60, d\), got \(10, 4\)"
    ):
        method().start_epoch(Clock(epoch=0, epochs=200), Looked(lambda: points(10)))


def test_two_images_are_enough():
    torch.manual_seed(0)
    mom = method(2)
    mom.start_epoch(Clock(epoch=0, epochs=200), Looked(lambda: points(2)))
    assert mom.partners.tolist() == [[0, 1], [1, 0]]


def test_toy_images_are_learned_from_mined_triplets():
    torch.manual_seed(0)
    trial = Trial(MOM, {})
    trial.start_epoch(0)
    assert trial.method.metrics()["positives_none"] < 0.5
    before = trial.loss().item()
    trial.train(20)
    assert trial.loss().item() < before
