"""Schema 1 in the words of schema 2; that all committed records read: see report/test_measured."""

import copy

import pytest

from benchmarks.runs.record import RunRecord
from benchmarks.runs.upgrade import key, upgrade
from helpers.old_records import RECORD_1


def upgraded(**changes) -> RunRecord:
    return RunRecord.model_validate(upgrade({**RECORD_1, **changes}))


def test_values_get_their_representation_unit_and_protocol():
    found = {
        name: (m.value, m.unit, m.protocol) for name, m in upgraded().final.measurements.items()
    }
    assert found == {
        "knn@embedding": (50.0, "percent", "knn-200-0.1@embedding"),
        "knn@memory": (40.0, "percent", "knn-200-0.1@memory"),
        "knn@features": (60.0, "percent", "knn-200-0.1@features"),
        "linear@embedding": (55.0, "percent", "linear-svm-c1@embedding"),
        "nmi@features": (30.0, "percent", "kmeans-10-restarts-on-test@features"),
        "alignment@embedding": (0.5, "squared distance", "two-views@embedding"),
        "loss": (2.0, "", ""),
        "own": (3.0, "", ""),
    }


def test_a_linear_probe_of_the_pooled_features_is_one_of_features():
    protocols = {**RECORD_1["protocols"], "linear": "linear-svm-cross-validated-pooled"}
    record = upgraded(protocols=protocols)
    assert record.value("linear@embedding") is None
    assert record.protocols["linear@features"] == "linear-svm-cross-validated@features"


@pytest.mark.parametrize(
    ("judged", "representation"), [(None, "embedding"), ("embedding", "embedding"), ("own", "own")]
)
def test_what_was_evaluated_becomes_the_representation(judged, representation):
    record = upgraded(judged=judged)
    assert record.representation == representation
    assert record.value("knn") == record.value(f"knn@{representation}") == 50.0
    assert record.value("knn@features") == 60.0
    assert (record.best.metric, record.best.value) == (f"knn@{representation}", 51.0)


def test_texts_are_keyed_as_values_are():
    record = upgraded(undefined={"nmi": "one class"}, caveats={"memory_knn": "8 vote"})
    assert record.undefined == {"nmi@embedding": "one class"}
    assert record.caveats == {"knn@memory": "8 vote"}


def test_unseen_classes_have_their_best_recall():
    final = {"epoch": 2, "knn": None, "figures": {"recall_at_1": 20.0}}
    record = upgraded(final=final, best={"epoch": 2, "knn": None, "recall_at_1": 20.0})
    assert record.best.metric == "recall_at_1@embedding"
    assert record.final.measurements.keys() == {"recall_at_1@embedding"}
    assert upgraded(best=None).best is None


def test_what_was_not_recorded_is_stated():
    record = upgraded()
    assert (record.method.revision, record.method.uses_labels, record.slices) == (1, False, ())
    assert (record.method.file, record.method.sha256) == (None, None)
    assert (record.dataset.split, record.dataset.unseen) == ("train", False)
    record = upgraded(recipe={"name": "tiny", "backbone": "googlenet-torchvision"})
    assert any("another network" in note for note in record.notes)


def test_the_content_given_is_left_as_it_is_and_this_schema_is_not_touched():
    before = copy.deepcopy(RECORD_1)
    content = upgrade(RECORD_1)
    assert before == RECORD_1
    assert upgrade(content) == content


def test_names_that_have_a_representation_keep_it():
    assert key("knn@tokens", "embedding") == "knn@tokens"
    assert key("recall_at_10", "tokens") == "recall_at_10@tokens"
    assert key("pooled_size", "embedding") == "pooled_size"  # a method's own
