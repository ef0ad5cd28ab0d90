from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.embed import Embedded
from benchmarks.evaluator.final import VIEWED_IMAGES, evaluate_final
from benchmarks.evaluator.settings import EvaluationSettings
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
    """Return the embeddings alone, of which the bank's or the test images' may be given."""
    bank, test = parts.get("bank"), parts.get("test")
    if bank is None:
        bank = unit_embeddings(data.labelled_bank.labels, seed=1)
    if test is None and data.test is not None:
        test = unit_embeddings(data.test.labels, seed=2)
    return Embedded({"embedding": bank}, None if test is None else {"embedding": test})


def with_features(data, seed=8, noise=0.1):
    """Return embeddings and, of the same images, features."""
    found = embedded(data)
    bank, test = data.labelled_bank.labels, data.test.labels
    return Embedded(
        {**found.bank, "features": unit_embeddings(bank, seed, noise)},
        {**found.test, "features": unit_embeddings(test, seed + 1, noise)},
    )


def evaluated(data, found=None, k=5, views=None, memory=None, heads=None, **settings):
    """Evaluate what a trainer hands over; two views are given or made up.

    Args:
        heads: predicted classes by "test" and "train".
    """
    found = embedded(data) if found is None else found
    counts, stores = [], SimpleNamespace(bank="train", test="test")
    usual = ({n: unit_embeddings([0, 1, 2] * 9, s) for n in found.bank} for s in (3, 4))
    evaluator = SimpleNamespace(
        embedder=SimpleNamespace(
            embed_two_views=lambda count: counts.append(count) or views or tuple(usual),
            predict=lambda store: None if heads is None else heads[store],
        ),
        memory=lambda: {} if memory is None else {"memory": memory},
        settings=EvaluationSettings(knn_k=k, **settings),
        images=stores,
    )
    evaluation = evaluate_final(evaluator, found, data)
    assert counts == [VIEWED_IMAGES]
    return evaluation


def at(metrics, *representations):
    """Return the names of metrics of each representation."""
    return {f"{name}@{of}" for name in metrics for of in representations or ("embedding",)}


def of(values, representation="embedding"):
    """Return what stands under the names of a representation, by metric."""
    parts = {tuple(name.split("@")): value for name, value in values.items()}
    return {name: value for (name, which), value in parts.items() if which == representation}


BANK, TEST = [0, 1, 2] * 20, [0, 1, 2, 2] * 10


def alike_and_others(rows, labels):
    """Return each image's similarities to its 5 nearest alike and not alike, all together."""
    sides = naive.class_similarities(rows, labels, 5)
    return [side[~np.isnan(side)].tolist() for side in sides]


def naive_assignment(classes, clusters):
    """Return the percentage that the best one-to-one matching gets right, of all matchings."""
    labels, most = sorted(set(classes)), max(len(set(classes)), max(clusters) + 1)
    best = 0
    for order in permutations(range(most), len(labels)):
        named = dict(zip(order, labels, strict=True))
        right = sum(named.get(c) == k for k, c in zip(classes, clusters, strict=True))
        best = max(best, right)
    return 100 * best / len(classes)


def naive_auc(alike, others):
    return roc_auc_score([1] * len(alike) + [0] * len(others), alike + others)


def naive_overlap(alike, others):
    one, other = (np.histogram(side, EDGES)[0] / len(side) for side in (alike, others))
    return np.minimum(one, other).sum()


def test_every_metric_is_there_and_says_by_which_protocol():
    found = evaluated(dataset(BANK, TEST))
    metrics = LABEL_FREE | RETRIEVED | CLUSTERED | SIMILAR | {"linear", "knn"}
    assert set(found.metrics) == at(metrics)
    assert found.representation == "embedding"
    assert set(found.protocols) == set(found.metrics)
    assert all(protocol.endswith("@embedding") for protocol in found.protocols.values())
    assert np.isfinite(list(found.metrics.values())).all()
    free = of(found.protocols)
    assert all(free[name].endswith(f"-{VIEWED_IMAGES}@embedding") for name in LABEL_FREE)


def test_metrics_are_those_of_the_test_images():
    data = dataset(BANK, TEST)
    rows, labels = unit_embeddings(TEST, seed=2), np.array(TEST)
    metrics = of(evaluated(data).metrics)
    cosines = rows @ rows.T - 9 * np.eye(len(rows))
    assert metrics["recall_at_1"] == pytest.approx(
        100 * (labels[cosines.argmax(1)] == labels).mean()
    )
    machine = LinearSVC(dual="auto", random_state=0).fit(unit_embeddings(BANK, seed=1), BANK)
    assert metrics["linear"] == pytest.approx(100 * machine.score(rows, labels))
    apart = of(evaluated(data, embedded(data, test=unit_embeddings(TEST, noise=0.01))).metrics)
    assert [apart[name] for name in sorted(RETRIEVED | CLUSTERED)] == pytest.approx([100] * 9)
    assert (apart["similarity_overlap"], apart["similarity_auc"]) == (0, 1)


@pytest.mark.parametrize("k", [1, 5, 200])
def test_predictions_are_those_of_a_naive_vote(k):
    evaluation = evaluated(dataset(BANK, TEST), k=k)
    found = evaluation.predictions
    assert list(found.columns) == ["label", "knn"]
    assert found["label"].tolist() == TEST
    bank, queries = unit_embeddings(BANK, seed=1), unit_embeddings(TEST, seed=2)
    assert found["knn"].tolist() == naive.knn_labels(bank, BANK, queries, k, 0.1)
    right = (found["label"] == found["knn"]).mean()
    assert 0 < right < 1
    assert evaluation.metrics["knn@embedding"] == pytest.approx(100 * right)


def test_class_numbers_of_more_than_16_bits_stay_as_they_are():
    names = tuple(f"class {number}" for number in range(70_000))
    numbers = np.array([32_767, 32_768, 69_999])
    data = dataset(numbers[BANK], numbers[TEST], classes=names)
    rows = {"bank": unit_embeddings(BANK, seed=1), "test": unit_embeddings(TEST, noise=0.01)}
    found = evaluated(data, embedded(data, **rows)).predictions
    assert found["label"].tolist() == numbers[TEST].tolist()
    assert found["knn"].tolist() == [
        numbers[label] for label in naive.knn_labels(rows["bank"], BANK, rows["test"], 5, 0.1)
    ]


def test_similarities_are_those_of_a_naive_loop_for_the_class_and_each_attribute():
    found = evaluated(dataset(BANK, TEST, name="cifar10"))
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
    assert {name: found.metrics[f"{name}@embedding"] for name in expected} == pytest.approx(
        expected
    )


def test_an_attribute_that_all_test_images_share_is_left_out():
    classes = ("airplane", "automobile")
    found = evaluated(dataset([0, 1] * 10, [0, 1] * 10, "cifar10", classes))
    assert set(found.similarities["attribute"]) == {"class", "can_fly"}
    metrics = of(found.metrics)
    assert metrics["attribute_auc"] == metrics["attribute_auc_can_fly"]
    assert "attribute_auc_animal" not in metrics


def test_the_gallery_shows_the_nearest_images_of_the_bank():
    data = dataset(BANK, TEST)
    shown = evaluated(data).gallery
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
    found = evaluated(data)
    bank, queries = unit_embeddings(BANK, seed=1), unit_embeddings(TEST, seed=2)
    assert found.predictions["knn"].tolist() == naive.knn_labels(bank, BANK, queries, 5, 0.1)
    nearest = (unit_embeddings(BANK, seed=1) @ unit_embeddings(TEST, seed=2)[0]).argmax()
    np.testing.assert_array_equal(found.gallery["neighbours"][0, 0], data.bank.images[nearest])


def test_every_representation_is_evaluated_by_a_protocol_that_names_it():
    data = dataset(BANK, TEST)
    found = evaluated(data, with_features(data))
    each = LABEL_FREE | RETRIEVED | CLUSTERED | {"knn"}
    headline = at(SIMILAR | {"linear"})
    assert set(found.metrics) == at(each, "embedding", "features") | headline
    assert found.representation == "embedding"
    bank, queries = (unit_embeddings(x, s, 0.1) for x, s in ((BANK, 8), (TEST, 9)))
    votes = naive.knn_labels(bank, BANK, queries, 5, 0.1)
    assert found.metrics["knn@features"] == pytest.approx(100 * np.mean(np.equal(votes, TEST)))
    for name, protocol in found.protocols.items():
        assert protocol.endswith("@" + name.partition("@")[2])
    # the other way round, metrics of each stay as they are and the headline is another
    swapped = with_features(data)
    other = evaluated(
        data,
        Embedded(dict(reversed(swapped.bank.items())), dict(reversed(swapped.test.items()))),
    )
    assert other.representation == "features"
    assert {n: other.metrics[n] for n in at(each, "embedding", "features")} == {
        n: found.metrics[n] for n in at(each, "embedding", "features")
    }
    assert set(other.metrics) - set(found.metrics) == at(SIMILAR | {"linear"}, "features")


def test_the_views_are_compared_for_each_representation():
    data = dataset(BANK, TEST)
    rows = [unit_embeddings(TEST, seed) for seed in (3, 4, 5)]
    views = (
        {"embedding": rows[0], "features": rows[2]},
        {"embedding": rows[1], "features": rows[2]},
    )
    found = evaluated(data, with_features(data), views=views).metrics
    assert found["alignment@embedding"] == pytest.approx(
        np.square(rows[0] - rows[1]).sum(1).mean(), rel=1e-5
    )
    assert found["alignment@features"] == pytest.approx(0, abs=1e-6)


def test_a_memory_bank_votes_on_the_headline():
    data = dataset(BANK, TEST)
    memory, queries = unit_embeddings(BANK, seed=11), unit_embeddings(TEST, seed=2)
    found = evaluated(data, with_features(data), memory=memory)
    votes = naive.knn_labels(memory, BANK, queries, 5, 0.1)
    assert found.metrics["knn@memory"] == pytest.approx(100 * np.mean(np.equal(votes, TEST)))
    assert found.protocols["knn@memory"] == "knn-5-0.1@memory"
    assert set(of(found.metrics, "memory")) == {"knn"}
    assert found.predictions.equals(evaluated(data).predictions)
    assert "knn@memory" not in evaluated(data).metrics


def test_predicted_classes_are_matched_with_the_true_ones_head_by_head():
    data, draw = dataset(BANK, TEST), np.random.default_rng(3)
    heads = {
        part: torch.from_numpy(np.stack([draw.integers(0, many, len(truth)) for many in (3, 4, 5)]))
        for part, truth in (("train", BANK), ("test", TEST))
    }
    heads["test"][1] = (torch.tensor(TEST) + 1) % 3  # right but for the names
    found = evaluated(data, heads=heads)
    for part, truth in (("train", BANK), ("test", TEST)):
        expected = [naive_assignment(truth, head.tolist()) for head in heads[part]]
        mean, best = (f"assignment_{part}_{name}@predictions" for name in ("mean", "best"))
        assert found.metrics[mean] == pytest.approx(np.mean(expected))
        assert found.metrics[best] == pytest.approx(max(expected))
        assert found.protocols[mean] == f"hungarian-on-{part}-mean-of-3-heads@predictions"
        assert found.protocols[best] == f"hungarian-on-{part}-best-of-3-heads@predictions"
    assert found.metrics["assignment_test_best@predictions"] == 100
    assert len(of(found.metrics, "predictions")) == 4
    assert not of(evaluated(data).metrics, "predictions")


def test_unseen_classes_are_retrieved_and_never_classified():
    classes = (*CLASSES, "car", "dog", "ship")
    data = dataset(BANK, [3, 4, 5] * 8, classes=classes, unseen=True)
    rows = unit_embeddings(BANK)
    found = evaluated(data, with_features(data), memory=rows)
    each = LABEL_FREE | RETRIEVED | CLUSTERED
    assert set(found.metrics) == at(each, "embedding", "features") | at(SIMILAR)
    assert set(found.protocols) == set(found.metrics)
    assert found.predictions is None
    assert not found.gallery
    assert set(found.similarities["attribute"]) == {"class"}


@pytest.mark.parametrize("test", [None, [1] * 12], ids=["no test images", "one class"])
def test_with_nothing_to_tell_apart_only_the_views_are_evaluated(test):
    found = evaluated(dataset(BANK, test))
    assert set(found.metrics) == set(found.protocols) == at(LABEL_FREE)
    assert (found.predictions, found.similarities, dict(found.gallery)) == (None, None, {})


def test_a_bank_of_one_class_has_no_linear_classifier():
    found = evaluated(dataset([2] * 9, TEST))
    assert not at({"linear", "knn"}) & set(found.metrics)
    assert set(found.predictions["knn"]) == {2}


def test_fewer_images_than_neighbours_are_all_taken():
    data = dataset([0, 1, 1], [0, 1, 0, 1])
    found = evaluated(data, k=200)
    assert np.isfinite(list(found.metrics.values())).all()
    assert found.metrics["recall_at_4@embedding"] == found.metrics["recall_at_8@embedding"] == 100
    bank, queries = (unit_embeddings(x, s) for x, s in (([0, 1, 1], 1), ([0, 1, 0, 1], 2)))
    assert found.predictions["knn"].tolist() == naive.knn_labels(bank, [0, 1, 1], queries, 3, 0.1)
    assert found.gallery["neighbours"].shape[:2] == (2, 3)
    counts = found.similarities.groupby("kind")["count"].sum()
    assert counts.to_dict() == {"positive": 4, "negative": 8}


def test_of_collapsed_embeddings_what_needs_no_labels_is_undefined():
    data = dataset(BANK, TEST)
    same = {"bank": np.ones((60, 6), np.float32), "test": np.ones((40, 6), np.float32)}
    found = evaluated(data, embedded(data, **same), views=({"embedding": same["test"]},) * 2)
    assert np.isfinite(list(found.metrics.values())).all()
    metrics = of(found.metrics)
    assert (metrics["similarity_overlap"], metrics["similarity_auc"]) == (1, 0.5)
    assert found.undefined.keys() == at(LABEL_FREE)
    assert not at(LABEL_FREE) & (found.metrics.keys() | found.protocols.keys())
    # chance: the shares of the classes are 1/4, 1/4 and 1/2
    assert metrics["recall_at_1"] == pytest.approx(100 * 3 / 8, abs=20)
    assert metrics["nmi"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("part", ["bank", "test", "views"])
def test_embeddings_that_are_not_finite_are_refused(part):
    data = dataset(BANK, TEST)
    broken = unit_embeddings(BANK if part == "bank" else TEST)
    broken[4, 2] = np.nan
    found = embedded(data) if part == "views" else embedded(data, **{part: broken})
    with pytest.raises(ValueError, match="expected finite values, found 1 rows with NaN"):
        evaluated(data, found, views=({"embedding": broken},) * 2 if part == "views" else None)


@pytest.mark.parametrize("unseen", [False, True])
def test_one_test_image_a_class_has_nothing_alike(unseen):
    classes = (*CLASSES, "car", "dog", "ship")
    data = dataset(BANK, [3, 4, 5] if unseen else [0, 1, 2], classes=classes, unseen=unseen)
    found = evaluated(data, with_features(data))
    assert found.similarities is None
    missing = at(RETRIEVED | CLUSTERED, "embedding", "features") | at(SIMILAR)
    assert found.undefined.keys() == missing
    assert not missing & (found.metrics.keys() | found.protocols.keys())
    assert all("alone in its class" in reason for reason in found.undefined.values())
    assert ("linear@embedding" in found.metrics) is not unseen


def test_lone_queries_are_left_out_and_counted():
    classes = (*CLASSES, "car", "dog")
    data = dataset(BANK, [0, 1, 2, 1, 2, 3, 0, 4], classes=classes)
    found = evaluated(data)
    assert found.protocols["recall_at_1@embedding"].endswith("-2-lone-queries-left-out@embedding")
    assert "2 of 8 images are alone" in found.caveats["map_at_r@embedding"]
    assert not found.undefined
    assert "lone" not in evaluated(dataset(BANK, TEST)).protocols["recall_at_1@embedding"]


@pytest.mark.parametrize("unseen", [False, True])
def test_one_test_class_leaves_reasons(unseen):
    labels = [3] * 9 if unseen else [1] * 9
    data = dataset(BANK, labels, classes=(*CLASSES, "car"), unseen=unseen)
    found = evaluated(data, with_features(data), memory=unit_embeddings(BANK))
    each = RETRIEVED | CLUSTERED | (set() if unseen else {"knn"})
    headline = SIMILAR | (set() if unseen else {"linear"})
    missing = at(each, "embedding", "features") | at(headline)
    if not unseen:
        missing |= {"knn@memory"}
    assert found.undefined.keys() == missing
    assert all("one class" in reason for reason in found.undefined.values())


def test_a_bank_of_one_class_leaves_reasons():
    data = dataset([2] * 9, TEST)
    found = evaluated(data, with_features(data))
    assert found.undefined.keys() == at({"knn"}, "embedding", "features") | at({"linear"})
    assert all("of the bank are of one class" in reason for reason in found.undefined.values())


@pytest.mark.parametrize(("k", "clipped"), [(59, False), (60, False), (61, True), (200, True)])
def test_a_bank_smaller_than_k_is_said(k, clipped):
    data = dataset(BANK, TEST)
    found = evaluated(data, with_features(data), k=k, memory=unit_embeddings(BANK))
    for name in ("embedding", "features", "memory"):
        assert found.protocols[f"knn@{name}"] == f"knn-{60 if clipped else k}-0.1@{name}"
        caveat = found.caveats.get(f"knn@{name}", "")
        assert (f"60 neighbours vote instead of {k}" in caveat) is clipped


def test_an_attribute_without_a_value_says_why():
    classes = ("airplane", "automobile")
    found = evaluated(dataset([0, 1] * 10, [0, 1] * 10, "cifar10", classes))
    assert "nothing to tell apart" in found.undefined["attribute_auc_animal@embedding"]


def test_many_classes_do_not_wrap_around():
    names = tuple(map(str, range(40_001)))
    data = dataset([0, 1, 40_000] * 4, [0, 1, 40_000, 40_000], classes=names)
    rows = {"bank": unit_embeddings([0, 1, 2] * 4), "test": unit_embeddings([0, 1, 2, 2])}
    found = evaluated(data, embedded(data, **rows), k=1).predictions
    assert found["label"].tolist() == [0, 1, 40_000, 40_000]
    assert set(found["knn"]) <= {0, 1, 40_000}


def test_the_linear_classifier_chooses_c_and_features_as_the_recipe_says():
    data = dataset(BANK, TEST)
    found = with_features(data)
    usual = evaluated(data, found)
    assert usual.protocols["linear@embedding"] == "linear-svm-c1@embedding"
    assert "linear_c@embedding" not in usual.metrics
    for c, features, chosen in (
        (10.0, "embedding", "c10"),
        ("cross-validated", "embedding", "cross-validated"),
        ("cross-validated", "pooled", "cross-validated"),
    ):
        name = "features" if features == "pooled" else features
        evaluation = evaluated(data, found, linear_c=c, linear_features=features)
        assert evaluation.protocols[f"linear@{name}"] == f"linear-svm-{chosen}@{name}"
        bank, test = found.bank[name], found.test[name]
        best = cross_validated_c(bank, BANK) if c == "cross-validated" else c
        accuracy = linear_accuracy(bank, BANK, test, TEST, best)
        assert evaluation.metrics[f"linear@{name}"] == accuracy
        assert evaluation.metrics.get(f"linear_c@{name}", best) == best
        assert [n for n in evaluation.metrics if n.startswith("linear@")] == [f"linear@{name}"]


def test_c_is_1_where_a_class_has_a_single_image():
    data = dataset([0, 0, 0, 1, 1, 2], TEST)
    found = evaluated(data, k=3, linear_c="cross-validated")
    assert found.protocols["linear@embedding"] == "linear-svm-c1@embedding"
    assert "not cross-validated" in found.caveats["linear@embedding"]
    folds = evaluated(dataset([0, 0, 0, 1, 1, 1], TEST), k=3, linear_c="cross-validated")
    assert "3 folds instead of 5" in folds.caveats["linear@embedding"]


def test_a_method_without_features_is_probed_on_its_embedding():
    found = evaluated(dataset(BANK, TEST), linear_features="pooled")
    assert found.protocols["linear@embedding"] == "linear-svm-c1@embedding"
    assert "no pooled features" in found.caveats["linear@embedding"]
