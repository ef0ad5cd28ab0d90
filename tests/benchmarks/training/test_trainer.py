import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common.errors import OutOfTime, RunFailed, UsageProblem
from benchmarks.common.profiler import Stopwatch
from benchmarks.common.seeds import derive_seed
from benchmarks.data.datasets.base import Split
from benchmarks.data.loader import ImageStore
from benchmarks.data.transforms.augment import Augmentation
from benchmarks.evaluator import per_epoch as evaluator_module
from benchmarks.evaluator.per_epoch import Stores
from benchmarks.training import trainer as trainer_module
from benchmarks.training.loggers.console import PlainProgress
from benchmarks.training.recipe import Recipe
from benchmarks.training.trainer import Trainer, _last_finite
from methods import Batch, Method

CPU = torch.device("cpu")


class Encoder(nn.Module):
    embedding_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, images):
        return self.head(F.relu(self.bn(self.conv(images))).mean(dim=(2, 3)))


class Probe(Method):
    """Records what the trainer does with it."""

    paper = "none"

    def __init__(self, encoder, instances, views=2, loss_at=None):
        super().__init__(encoder, instances)
        self.__dict__["views"] = views
        self.seen: list[torch.Tensor] = []
        self.shapes: list[int] = []
        self.modes: list[tuple[str, bool]] = []
        self.steps_after = 0
        self.loss_at = loss_at or {}

    def start_epoch(self, epoch, embed_all):
        self.embedded = embed_all()
        self.modes.append(("start", self.training))

    def loss(self, batch: Batch):
        self.modes.append(("loss", self.training))
        self.seen.append(batch.index)
        self.shapes.append(len(batch.views))
        value = self.embed(batch.views[0]).square().sum(0).var()
        return value * self.loss_at.get(len(self.seen), 1.0)

    def after_step(self, batch):
        self.steps_after += 1

    def figures(self):
        return {"steps": float(self.steps_after)}


@pytest.fixture
def stores():
    rng = np.random.default_rng(0)
    splits = [
        Split(rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, n))
        for n in (50, 20)
    ]
    train, test = (ImageStore(split, CPU, (0.5,) * 3, (0.2,) * 3) for split in splits)
    return Stores(train, train, test)


def make(stores, method=None, precision="fp32", compiled=False, **fields) -> Trainer:
    defaults = {"name": "t", "epochs": 3, "batch_size": 16, "knn_k": 5, "lr_factors": {2: 0.1}}
    recipe = Recipe(**{**defaults, **fields})
    torch.manual_seed(0)
    method = method or Probe(Encoder(), 50)
    progress = PlainProgress(lambda line: None)
    return Trainer(method, recipe, stores, 0, CPU, precision, progress, compiled=compiled)


def fit(trainer: Trainer) -> pd.DataFrame:
    trainer.fit(pd.DataFrame(), lambda history: None)
    return trainer.history


def test_history_has_a_row_per_epoch_with_the_schedule(stores):
    history = fit(make(stores))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["lr"].tolist() == pytest.approx([0.03, 0.03, 0.003])
    assert history["images_seen"].tolist() == [96, 192, 288]  # 3 whole batches of 16, 2 views
    assert history["steps"].tolist() == [3, 6, 9]
    assert np.isfinite(history[["loss", "knn", "train_seconds", "evaluate_seconds"]]).all(axis=None)
    assert history["train_seconds"].is_monotonic_increasing


def test_each_epoch_visits_distinct_images_in_a_new_order(stores):
    trainer = make(stores)
    fit(trainer)
    epochs = torch.cat(trainer.method.seen).split(48)
    for visited in epochs:
        assert len(visited.unique()) == 48
    assert not torch.equal(epochs[0], epochs[1])


def test_last_batch_is_kept_if_the_method_asks(stores):
    method = Probe(Encoder(), 50)
    method.__dict__["drop_last"] = False
    fit(make(stores, method, epochs=1))
    assert [len(index) for index in method.seen] == [16, 16, 16, 2]


def test_modes(stores):
    trainer = make(stores, epochs=1)
    fit(trainer)
    assert all(training for stage, training in trainer.method.modes if stage == "loss")
    assert trainer.method.embedded.shape == (50, 4)


def test_evaluation_leaves_batch_statistics_alone(stores):
    trainer = make(stores)
    before = trainer.method.encoder.bn.running_mean.clone()
    first, second = trainer.evaluator.embed_images(), trainer.evaluator.embed_images()
    assert torch.equal(trainer.method.encoder.bn.running_mean, before)
    assert np.array_equal(first.bank, second.bank)
    assert trainer.method.training


def test_embed_all_is_in_the_order_of_the_index(stores):
    trainer = make(stores, epochs=1)
    expected = trainer.evaluator.embed_images().bank
    fit(trainer)
    assert np.allclose(trainer.method.embedded.numpy(), expected)


def test_evaluate_every_skips_but_keeps_first_and_last(stores):
    history = fit(make(stores, epochs=5, evaluate_every=3))
    assert history["knn"].notna().tolist() == [True, False, True, False, True]
    assert history["steps"].notna().all()  # a method's own figures are there for every epoch


def test_views_are_augmented_independently(stores):
    kept = []

    class Keep(Probe):
        def loss(self, batch):
            kept.append(batch)
            return super().loss(batch)

    fit(make(stores, Keep(Encoder(), 50, views=3), epochs=1))
    assert len(kept[0].views) == 3
    assert not torch.equal(kept[0].views[0], kept[0].views[1])
    fit(make(stores, Keep(Encoder(), 50), epochs=1, augmentation=Augmentation().without(
        "crop", "jitter", "grayscale", "flip")))  # fmt: skip
    assert torch.equal(kept[-1].views[0], kept[-1].views[1])


def test_same_seed_same_bits(stores):
    first, second = make(stores), make(stores)
    columns = ["loss", "knn", "steps"]
    assert fit(first)[columns].equals(fit(second)[columns])
    for one, other in zip(first.method.parameters(), second.method.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_loss_that_is_not_finite_names_epoch_and_step(stores, value):
    method = Probe(Encoder(), 50, loss_at={5: value})  # 3 steps an epoch: epoch 2, step 2
    saved = []
    trainer = make(stores, method)
    with pytest.raises(RunFailed, match=r"epoch 2, step 2.*checkpoint of epoch 1 is kept"):
        trainer.fit(pd.DataFrame(), lambda history: saved.append(len(history)))
    assert saved == [1]


def test_batch_larger_than_the_data(stores):
    with pytest.raises(UsageProblem, match=r"at most 50.*recipe.batch_size"):
        make(stores, batch_size=51)


def test_method_without_training_is_evaluated_once(stores):
    class Untrained(Probe):
        def epochs(self, planned):
            return 0

    history = fit(make(stores, Untrained(Encoder(), 50)))
    assert history["epoch"].tolist() == [0]
    assert np.isfinite(history["knn"]).all()


def test_parameter_groups_override_momentum(stores):
    class Groups(Probe):
        def parameter_groups(self):
            conv = list(self.encoder.conv.parameters())
            return [
                {"params": conv, "momentum": 0.0, "lr_scale": 0.5},
                {"params": [p for p in self.parameters() if all(p is not c for c in conv)]},
            ]

    trainer = make(stores, Groups(Encoder(), 50), epochs=1)
    fit(trainer)
    first, second = trainer.optimizer.param_groups
    assert (first["momentum"], second["momentum"]) == (0.0, 0.9)
    assert first["lr"] == pytest.approx(second["lr"] / 2)


def test_unlabelled_images_give_no_knn(stores):
    train = ImageStore(Split(np.zeros((50, 8, 8, 3), np.uint8), None), CPU, (0.5,) * 3, (0.2,) * 3)
    history = fit(make(Stores(train, train, None), epochs=1))
    assert history["knn"].isna().all()


def test_bf16_trains_to_finite_losses(stores):
    assert np.isfinite(fit(make(stores, precision="bf16"))["loss"]).all()


def test_pooled_features_come_with_the_last_embeddings(stores):
    trainer = make(stores, epochs=1)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert embedded.bank_pooled.shape == (50, 6)
    head = trainer.method.encoder.head
    expected = F.normalize(head(torch.from_numpy(embedded.test_pooled)), dim=1)
    assert np.allclose(embedded.test, expected.detach().numpy(), atol=1e-5)
    assert 0 <= trainer.evaluator.pooled_knn(embedded) <= 100


def test_a_bank_of_its_own_is_what_knn_compares_with(stores):
    unlabelled = ImageStore(
        Split(np.zeros((50, 8, 8, 3), np.uint8), None), CPU, (0.5,) * 3, (0.2,) * 3
    )
    trainer = make(Stores(unlabelled, stores.train, stores.test), epochs=1)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert np.isfinite(trainer.history["knn"]).all()
    assert np.array_equal(embedded.bank, trainer.evaluator.embed_images().bank)
    alone = make(Stores(stores.train, stores.train, None)).evaluator.embed_images()
    assert embedded.bank.shape == alone.bank.shape


def test_a_deadline_stops_between_epochs_and_loses_nothing(stores):
    saved, trainer = [], make(stores)
    with pytest.raises(OutOfTime, match="epoch 1 of 3"):
        trainer.fit(pd.DataFrame(), saved.append, deadline=0.0)
    assert [len(history) for history in saved] == [1]
    with pytest.raises(OutOfTime, match="epoch 2 of 3"):
        trainer.fit(trainer.history, saved.append, deadline=0.0)
    trainer.fit(trainer.history, saved.append, deadline=0.0)  # the last epoch is in time
    whole = fit(make(stores))
    assert trainer.history[["loss", "knn"]].equals(whole[["loss", "knn"]])


def test_two_views_are_drawn_anew_the_same_for_every_recipe(stores):
    plain = Augmentation().without("crop", "jitter", "grayscale", "flip")
    first, second = make(stores).evaluator.embed_two_views(8)
    other, _ = make(stores, augmentation=plain).evaluator.embed_two_views(8)
    assert first.shape == second.shape == (7, 4)  # every third of 20
    assert not np.allclose(first, second)
    assert np.array_equal(first, other)


def test_a_compiled_encoder_trains_to_the_same_figures(stores, monkeypatch):
    """With a backend that only traces; code generation is torch's own affair."""
    expected = fit(make(stores))
    compiled, torch_compile = [], torch.compile

    def traced(*arguments, **options):
        compiled.append(options["backend"])
        return torch_compile(*arguments, **options)

    monkeypatch.setattr(trainer_module, "COMPILER", "eager")
    monkeypatch.setattr(torch, "compile", traced)
    trainer = make(stores, compiled=True)
    embedded = trainer.fit(pd.DataFrame(), lambda history: None)
    assert compiled == ["eager"]
    assert np.allclose(trainer.history[["loss", "knn"]], expected[["loss", "knn"]])
    assert embedded.bank_pooled.shape == (50, 6)


def test_phases_add_up_to_the_epoch(stores):
    trainer = make(stores, epochs=1)
    trainer.stopwatch = Stopwatch(CPU)
    history = fit(trainer)
    phases = trainer.stopwatch.seconds()
    assert {"sampling", "augmentation", "loss", "backward", "optimiser"} <= set(phases)
    assert sum(phases.values()) <= history["train_seconds"].iloc[-1]


def test_derived_seeds_differ():
    assert derive_seed(0, 1) != derive_seed(1, 0)
    assert derive_seed(0, "order") == derive_seed(0, "order") >= 0


class Onlooker(Probe):
    """Keeps the views as they are shown."""

    def loss(self, batch: Batch):
        self.shown = getattr(self, "shown", [])
        self.shown.append((batch.index, *batch.views))
        return super().loss(batch)


def test_by_one_coin_an_epoch_the_second_view_is_of_the_nearest_neighbour(stores):
    method = Onlooker(Encoder(), 50)
    still = Augmentation().without("crop", "jitter", "grayscale", "flip")
    trainer = make(stores, method, epochs=2, positive="neighbour", augmentation=still, lr=1e-12)
    _, pooled = trainer.evaluator._embed_store(trainer.images.train, pooled=True)
    rows = pooled.astype(np.float64)
    cosines = rows @ rows.T / np.outer(*[np.linalg.norm(rows, axis=1)] * 2)
    np.fill_diagonal(cosines, -np.inf)
    nearest = torch.from_numpy(cosines.argmax(1))
    fit(trainer)
    pixels = next(trainer.images.train.batches(50))

    def kept(epoch):
        """Return the images that the coin has left as they are, of those seen in the epoch."""
        index, first, second = (torch.cat(parts) for parts in zip(*epoch, strict=True))
        assert torch.equal(first, pixels[index])
        itself = (second == pixels[index]).flatten(1).all(1)
        return index, second, itself

    index, second, itself = kept(method.shown[:3])
    assert torch.equal(second[~itself], pixels[nearest[index[~itself]]])
    assert 10 < int(itself.sum()) < 38  # of 48; outside once in 30,000 draws
    again, _, later = kept(method.shown[3:])
    assert set(index[itself].tolist()) != set(again[later].tolist())
    assert [len(views) for views in method.shown[0]] == [16] * 3


def test_methods_with_one_view_have_no_positive_of_the_recipe(stores):
    method = Onlooker(Encoder(), 50, views=1)
    still = Augmentation().without("crop", "jitter", "grayscale", "flip")
    fit(make(stores, method, epochs=1, positive="neighbour", augmentation=still))
    pixels = next(stores.train.batches(50))
    for index, only in method.shown:
        assert torch.equal(only, pixels[index])


def test_views_and_test_images_are_cropped(stores):
    method = Onlooker(Encoder(), 50)
    trainer = make(stores, method, epochs=1, crop_size=6)
    fit(trainer)
    assert method.shown[0][1].shape[2:] == (6, 6)
    with torch.no_grad():
        method.eval()
        expected = method.embed(next(stores.test.batches(20, 6)))
    assert np.allclose(trainer.evaluator.embed_images().test, expected, atol=1e-6)
    assert trainer.evaluator.embed_two_views(20)[0].shape == (20, 4)


def test_fewer_large_images_are_embedded_at_a_time(stores, monkeypatch):
    monkeypatch.setattr(evaluator_module, "EVALUATION_PIXELS", 7 * 8 * 8)
    trainer = make(stores)
    sizes = []
    trainer.method.encoder.register_forward_hook(lambda *args: sizes.append(len(args[2])))
    trainer.evaluator.embed_images()
    assert sizes == [7] * 7 + [1] + [7, 7, 6]


@pytest.mark.parametrize(("size", "sizes"), [(49, [50]), (7, [7] * 6 + [8]), (16, [16] * 3 + [2])])
def test_a_single_image_left_over_joins_the_last_batch_and_is_said_once(stores, size, sizes):
    method = Probe(Encoder(), 50, views=1)
    method.__dict__["drop_last"] = False
    trainer = make(stores, method, batch_size=size, epochs=2)
    lines: list[str] = []
    trainer.progress.note = lines.append
    history = fit(trainer)
    assert [len(index) for index in method.seen] == sizes * 2
    assert history["images_seen"].tolist() == [50, 100]
    assert len(lines) == (sizes[-1] > size)
    assert all(f"{sizes[-1]} images" in line for line in lines)


def test_a_single_view_of_a_single_image_is_refused_before_training(stores):
    single = ImageStore(
        Split(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, int)), CPU, (0.5,) * 3, (0.2,) * 3
    )
    method = Probe(Encoder(), 1, views=1)
    method.__dict__["drop_last"] = False
    with pytest.raises(UsageProblem, match="at least 2 training images"):
        make(Stores(single, single, stores.test), method)


@pytest.mark.parametrize(
    ("epoch", "words"), [(0, "no epoch was finished"), (2, "the checkpoint of epoch 2 is kept")]
)
def test_a_failure_says_truly_which_checkpoint_there_is(epoch, words):
    with pytest.raises(RunFailed, match=rf"loss is nan at epoch {epoch + 1}, step 2; {words}"):
        _last_finite(torch.tensor([1.0, float("nan")]), 0, 2, epoch)
