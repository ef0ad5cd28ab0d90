from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.final import VIEWED_IMAGES, judge
from benchmarks.evaluator.per_epoch import Embedded
from benchmarks.training.recipe import Recipe
from evaluation.metrics.linear_probe import cross_validated_c, linear_accuracy
from helpers import naive

CLASSES = ("airplane", "bird", "cat")
LABEL_FREE = {"alignment", "uniformity", "effective_rank", "view_agreement"}
RETRIEVED = {f"recall_at_{k}" for k in (1, 2, 4, 8)} | {"map_at_r"}
CLUSTERED = {"nmi", "nmi_geometric", "ari", "clustering_accuracy"}
SIMILAR = {"similarity_overlap", "similarity_auc"}
EDGES = np.linspace(-1, 1, 81)


def split(labels, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    return Split(pixels, np.asarray(labels, np.int64))


def dataset(trained, test, name="made-up", classes=CLASSES, **fields):
    """Return images with these labels; the test images are others."""
    tests = None if test is None else split(test, 1)
    return ImageData(
        name, split(trained), tests, classes, (0.5,) * 3, (0.2,) * 3, "0" * 16, **fields
    )


def unit_embeddings(labels, seed=0, noise=1.0):
    """Return one fp32 unit row an image, around one centre a class."""
    centres = np.random.default_rng(7).standard_normal((8, 6))
    draws = np.random.default_rng(seed).standard_normal((len(labels), 6))
    rows = centres[np.asarray(labels)] + noise * draws
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def embedded(data, **parts):
    bank, test = data.labelled_bank, data.test
    return Embedded(
        **{
            "bank": unit_embeddings(bank.labels, seed=1),
            "test": None if test is None else unit_embeddings(test.labels, seed=2),
            **parts,
        }
    )


def embedded_as(rows):
    return Embedded(rows["bank"], rows["test"])


def judged(data, found=None, k=5, views=None, pooled=None, **recipe):
    """Judge embeddings as a trainer hands them over; two views are given or made up."""
    counts = []
    usual = (unit_embeddings([0, 1, 2] * 9, seed) for seed in (3, 4))
    trainer = SimpleNamespace(
        recipe=Recipe(name="made-up", epochs=1, batch_size=8, knn_k=k, **recipe),
        embed_two_views=lambda count: counts.append(count) or views or tuple(usual),
        pooled_knn=lambda _: pooled,
    )
    judgement = judge(trainer, embedded(data) if found is None else found, data)
    assert counts == [VIEWED_IMAGES]
    return judgement


BANK, TEST = [0, 1, 2] * 20, [0, 1, 2, 2] * 10


def alike_and_others(rows, labels):
    """Return each image's similarities to its 5 nearest alike and not alike, all together."""
    sides = naive.class_similarities(rows, labels, 5)
    return [side[~np.isnan(side)].tolist() for side in sides]


def naive_auc(alike, others):
    return roc_auc_score([1] * len(alike) + [0] * len(others), alike + others)


def naive_overlap(alike, others):
    one, other = (np.histogram(side, EDGES)[0] / len(side) for side in (alike, others))
    return np.minimum(one, other).sum()


def test_every_figure_is_there_and_says_by_which_protocol():
    found = judged(dataset(BANK, TEST))
    assert set(found.figures) == LABEL_FREE | RETRIEVED | CLUSTERED | SIMILAR | {"linear"}
    assert set(found.protocols) == set(found.figures)
    assert np.isfinite(list(found.figures.values())).all()
    assert all(found.protocols[name].endswith(f"-{VIEWED_IMAGES}") for name in LABEL_FREE)


def test_figures_are_those_of_the_test_images():
    data = dataset(BANK, TEST)
    rows, labels = unit_embeddings(TEST, seed=2), np.array(TEST)
    figures = judged(data).figures
    cosines = rows @ rows.T - 9 * np.eye(len(rows))
    assert figures["recall_at_1"] == pytest.approx(
        100 * (labels[cosines.argmax(1)] == labels).mean()
    )
    machine = LinearSVC(dual="auto", random_state=0).fit(unit_embeddings(BANK, seed=1), BANK)
    assert figures["linear"] == pytest.approx(100 * machine.score(rows, labels))
    apart = judged(data, embedded(data, test=unit_embeddings(TEST, noise=0.01))).figures
    assert [apart[name] for name in sorted(RETRIEVED | CLUSTERED)] == pytest.approx([100] * 9)
    assert (apart["similarity_overlap"], apart["similarity_auc"]) == (0, 1)


@pytest.mark.parametrize("k", [1, 5, 200])
def test_predictions_are_those_of_a_naive_vote(k):
    found = judged(dataset(BANK, TEST), k=k).predictions
    assert list(found.columns) == ["label", "knn"]
    assert found["label"].tolist() == TEST
    bank, queries = unit_embeddings(BANK, seed=1), unit_embeddings(TEST, seed=2)
    assert found["knn"].tolist() == naive.knn_labels(bank, BANK, queries, k, 0.1)
    assert 0 < (found["label"] == found["knn"]).mean() < 1


def test_class_numbers_of_more_than_16_bits_stay_as_they_are():
    names = tuple(f"class {number}" for number in range(70_000))
    numbers = np.array([32_767, 32_768, 69_999])
    data = dataset(numbers[BANK], numbers[TEST], classes=names)
    rows = {"bank": unit_embeddings(BANK, seed=1), "test": unit_embeddings(TEST, noise=0.01)}
    found = judged(data, Embedded(**rows)).predictions
    assert found["label"].tolist() == numbers[TEST].tolist()
    assert found["knn"].tolist() == [
        numbers[label] for label in naive.knn_labels(rows["bank"], BANK, rows["test"], 5, 0.1)
    ]


def test_similarities_are_those_of_a_naive_loop_for_the_class_and_each_attribute():
    found = judged(dataset(BANK, TEST, name="cifar10"))
    rows, labels = unit_embeddings(TEST, seed=2), np.array(TEST)
    has = attributes("cifar10", CLASSES)
    sides = {name: alike_and_others(rows, own[labels]) for name, own in has.items()}
    sides["class"] = alike_and_others(rows, labels)
    drawn = found.similarities
    assert set(drawn["attribute"]) == set(sides)
    for (name, kind), part in drawn.groupby(["attribute", "kind"]):
        np.testing.assert_allclose(part["low"], EDGES[:-1], atol=1e-12)
        side = sides[name][("positive", "negative").index(kind)]
        assert part["count"].tolist() == np.histogram(side, EDGES)[0].tolist()
    of_class = sides.pop("class")
    expected = {
        "similarity_auc": naive_auc(*of_class),
        "similarity_overlap": naive_overlap(*of_class),
        "attribute_auc": np.mean([naive_auc(*pair) for pair in sides.values()]),
        "attribute_overlap": np.mean([naive_overlap(*pair) for pair in sides.values()]),
        **{f"attribute_auc_{name}": naive_auc(*pair) for name, pair in sides.items()},
    }
    assert {name: found.figures[name] for name in expected} == pytest.approx(expected)


def test_an_attribute_that_all_test_images_share_is_left_out():
    classes = ("airplane", "automobile")
    found = judged(dataset([0, 1] * 10, [0, 1] * 10, "cifar10", classes))
    assert set(found.similarities["attribute"]) == {"class", "can_fly"}
    assert found.figures["attribute_auc"] == found.figures["attribute_auc_can_fly"]
    assert "attribute_auc_animal" not in found.figures


def test_the_gallery_shows_the_nearest_images_of_the_bank():
    data = dataset(BANK, TEST)
    shown = judged(data).gallery
    np.testing.assert_array_equal(shown["queries"], data.test.images[:3])
    assert shown["query_classes"].tolist() == list(CLASSES)
    bank, queries = unit_embeddings(BANK, seed=1), unit_embeddings(TEST, seed=2)[:3]
    for row, query in enumerate(queries):
        nearest = np.argsort(-bank @ query)[: shown["neighbours"].shape[1]]
        np.testing.assert_array_equal(shown["neighbours"][row], data.train.images[nearest])
        np.testing.assert_allclose(shown["similarities"][row], (bank @ query)[nearest], atol=1e-6)
        names = [CLASSES[BANK[image]] for image in nearest]
        assert shown["neighbour_classes"][row].tolist() == names
        assert shown["correct"][row].tolist() == [name == CLASSES[row] for name in names]


def test_a_bank_of_its_own_stands_in_for_the_training_images():
    data = dataset([0] * 7, TEST, bank=split(BANK, 2))
    found = judged(data)
    bank, queries = unit_embeddings(BANK, seed=1), unit_embeddings(TEST, seed=2)
    assert found.predictions["knn"].tolist() == naive.knn_labels(bank, BANK, queries, 5, 0.1)
    nearest = (unit_embeddings(BANK, seed=1) @ unit_embeddings(TEST, seed=2)[0]).argmax()
    np.testing.assert_array_equal(found.gallery["neighbours"][0, 0], data.bank.images[nearest])


def test_pooled_features_are_judged_where_the_encoder_has_them():
    data = dataset(BANK, TEST)
    assert judged(data, pooled=61.5).figures["pooled_knn"] == 61.5
    assert "pooled_knn" not in judged(data).figures


def test_unseen_classes_are_retrieved_and_never_classified():
    classes = (*CLASSES, "car", "dog", "ship")
    data = dataset(BANK, [3, 4, 5] * 8, classes=classes, unseen=True)
    found = judged(data, pooled=61.5)
    assert set(found.figures) == LABEL_FREE | RETRIEVED | CLUSTERED | SIMILAR
    assert set(found.protocols) == set(found.figures)
    assert found.predictions is None
    assert not found.gallery
    assert set(found.similarities["attribute"]) == {"class"}


@pytest.mark.parametrize("test", [None, [1] * 12], ids=["no test images", "one class"])
def test_with_nothing_to_tell_apart_only_the_views_are_judged(test):
    found = judged(dataset(BANK, test))
    assert set(found.figures) == set(found.protocols) == LABEL_FREE
    assert (found.predictions, found.similarities, dict(found.gallery)) == (None, None, {})


def test_a_bank_of_one_class_has_no_linear_classifier():
    found = judged(dataset([2] * 9, TEST))
    assert "linear" not in found.figures
    assert set(found.predictions["knn"]) == {2}


def test_fewer_images_than_neighbours_are_all_taken():
    data = dataset([0, 1, 1], [0, 1, 0, 1])
    found = judged(data, k=200)
    assert np.isfinite(list(found.figures.values())).all()
    assert found.figures["recall_at_4"] == found.figures["recall_at_8"] == 100
    bank, queries = (unit_embeddings(x, s) for x, s in (([0, 1, 1], 1), ([0, 1, 0, 1], 2)))
    assert found.predictions["knn"].tolist() == naive.knn_labels(bank, [0, 1, 1], queries, 3, 0.1)
    assert found.gallery["neighbours"].shape[:2] == (2, 3)
    counts = found.similarities.groupby("kind")["count"].sum()
    assert counts.to_dict() == {"positive": 4, "negative": 8}


def test_of_collapsed_embeddings_what_needs_no_labels_is_undefined():
    data = dataset(BANK, TEST)
    same = {"bank": np.ones((60, 6), np.float32), "test": np.ones((40, 6), np.float32)}
    found = judged(data, embedded(data, **same), views=(same["test"], same["test"]))
    assert np.isfinite(list(found.figures.values())).all()
    assert (found.figures["similarity_overlap"], found.figures["similarity_auc"]) == (1, 0.5)
    assert found.undefined.keys() == LABEL_FREE
    assert not LABEL_FREE & (found.figures.keys() | found.protocols.keys())
    # chance: the shares of the classes are 1/4, 1/4 and 1/2
    assert found.figures["recall_at_1"] == pytest.approx(100 * 3 / 8, abs=20)
    assert found.figures["nmi"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("part", ["bank", "test", "views"])
def test_embeddings_that_are_not_finite_are_refused(part):
    data = dataset(BANK, TEST)
    broken = unit_embeddings(BANK if part == "bank" else TEST)
    broken[4, 2] = np.nan
    found = embedded(data) if part == "views" else embedded(data, **{part: broken})
    with pytest.raises(ValueError, match="expected finite values, found 1 rows with NaN"):
        judged(data, found, views=(broken, broken) if part == "views" else None)


@pytest.mark.parametrize("unseen", [False, True])
def test_one_test_image_a_class_has_nothing_alike(unseen):
    classes = (*CLASSES, "car", "dog", "ship")
    data = dataset(BANK, [3, 4, 5] if unseen else [0, 1, 2], classes=classes, unseen=unseen)
    pooled = {"test_pooled": unit_embeddings([3, 4, 5], seed=5)} if unseen else {}
    found = judged(data, embedded(data, **pooled))
    assert found.similarities is None
    missing = RETRIEVED | CLUSTERED
    if unseen:
        missing |= {f"pooled_{name}" for name in missing}
    missing |= SIMILAR
    assert found.undefined.keys() == missing
    assert not missing & (found.figures.keys() | found.protocols.keys())
    assert all("alone in its class" in reason for reason in found.undefined.values())
    assert ("linear" in found.figures) is not unseen


def test_lone_queries_are_left_out_and_counted():
    classes = (*CLASSES, "car", "dog")
    data = dataset(BANK, [0, 1, 2, 1, 2, 3, 0, 4], classes=classes)
    found = judged(data)
    assert found.protocols["recall_at_1"].endswith("-2-lone-queries-left-out")
    assert "2 of 8 images are alone" in found.caveats["map_at_r"]
    assert not found.undefined
    assert "lone" not in judged(dataset(BANK, TEST)).protocols["recall_at_1"]


@pytest.mark.parametrize("unseen", [False, True])
def test_one_test_class_leaves_reasons(unseen):
    labels = [3] * 9 if unseen else [1] * 9
    found = judged(dataset(BANK, labels, classes=(*CLASSES, "car"), unseen=unseen))
    missing = RETRIEVED | CLUSTERED | SIMILAR | (set() if unseen else {"linear"})
    assert found.undefined.keys() == missing
    assert all("one class" in reason for reason in found.undefined.values())


def test_a_bank_of_one_class_leaves_reasons():
    found = judged(dataset([2] * 9, TEST))
    assert found.undefined.keys() == {"knn", "linear"}
    assert all("of the bank are of one class" in reason for reason in found.undefined.values())


@pytest.mark.parametrize(("k", "clipped"), [(59, False), (60, False), (61, True), (200, True)])
def test_a_bank_smaller_than_k_is_said(k, clipped):
    found = judged(dataset(BANK, TEST), k=k)
    if clipped:
        assert found.protocols["knn"] == "knn-60-0.1"
        assert found.protocols["memory_knn"] == "knn-60-0.1-memory-bank"
        assert found.protocols["pooled_knn"] == "knn-60-0.1-pooled-features"
        assert f"60 neighbours vote instead of {k}" in found.caveats["knn"]
    else:
        assert not {"knn", "memory_knn"} & (found.protocols.keys() | found.caveats.keys())


def test_an_attribute_without_a_value_says_why():
    classes = ("airplane", "automobile")
    found = judged(dataset([0, 1] * 10, [0, 1] * 10, "cifar10", classes))
    assert "nothing to tell apart" in found.undefined["attribute_auc_animal"]


def test_many_classes_do_not_wrap_around():
    names = tuple(map(str, range(40_001)))
    data = dataset([0, 1, 40_000] * 4, [0, 1, 40_000, 40_000], classes=names)
    rows = {"bank": unit_embeddings([0, 1, 2] * 4), "test": unit_embeddings([0, 1, 2, 2])}
    found = judged(data, embedded_as(rows), k=1).predictions
    assert found["label"].tolist() == [0, 1, 40_000, 40_000]
    assert set(found["knn"]) <= {0, 1, 40_000}


def test_the_linear_classifier_chooses_c_and_features_as_the_recipe_says():
    data = dataset(BANK, TEST)
    pooled = {
        "bank_pooled": unit_embeddings(BANK, seed=8, noise=0.1),
        "test_pooled": unit_embeddings(TEST, seed=9, noise=0.1),
    }
    found = embedded(data, **pooled)
    usual = judged(data, found)
    assert usual.protocols["linear"] == "linear-svm-c1-embedding"
    assert "linear_c" not in usual.figures
    for c, features, protocol in (
        (10.0, "embedding", "linear-svm-c10-embedding"),
        ("cross-validated", "embedding", "linear-svm-cross-validated-embedding"),
        ("cross-validated", "pooled", "linear-svm-cross-validated-pooled"),
    ):
        judgement = judged(data, found, linear_c=c, linear_features=features)
        assert judgement.protocols["linear"] == protocol
        bank, test = (
            (pooled["bank_pooled"], pooled["test_pooled"])
            if features == "pooled"
            else (found.bank, found.test)
        )
        best = cross_validated_c(bank, BANK) if c == "cross-validated" else c
        assert judgement.figures["linear"] == linear_accuracy(bank, BANK, test, TEST, best)
        assert judgement.figures.get("linear_c", best) == best


def test_c_is_1_where_a_class_has_a_single_image():
    data = dataset([0, 0, 0, 1, 1, 2], TEST)
    found = judged(data, k=3, linear_c="cross-validated")
    assert found.protocols["linear"] == "linear-svm-c1-embedding"
    assert "not cross-validated" in found.caveats["linear"]
    folds = judged(dataset([0, 0, 0, 1, 1, 1], TEST), k=3, linear_c="cross-validated")
    assert "3 folds instead of 5" in folds.caveats["linear"]


def test_an_encoder_without_pooled_features_is_judged_by_its_embedding():
    found = judged(dataset(BANK, TEST), linear_features="pooled")
    assert found.protocols["linear"] == "linear-svm-c1-embedding"
    assert "no pooled features" in found.caveats["linear"]
