import pytest
from pydantic import ValidationError

from benchmarks.runs.record import DatasetFacts, Final, Part, RunRecord
from helpers.records import DATASET, make_record, measured


def test_a_record_survives_json():
    record = make_record(weights={"file": "x.h5", "sha256": "ab" * 32, "published": True})
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def fields_of(kind):
    return [kind, *(k for part in kind.__subclasses__() for k in fields_of(part))]


@pytest.mark.parametrize("kind", fields_of(Part), ids=lambda kind: kind.__name__)
def test_no_part_takes_a_field_that_is_not_stated(kind):
    with pytest.raises(ValidationError, match="unstated"):
        kind.model_validate({"unstated": 1})


def test_a_record_cannot_be_changed():
    with pytest.raises(ValidationError):
        make_record().seed = 1


@pytest.mark.parametrize("lacking", ["undefined", "caveats", "slices", "weights", "best"])
def test_a_record_states_every_field(lacking):
    content = make_record().model_dump()
    del content[lacking]
    with pytest.raises(ValidationError, match=lacking):
        RunRecord.model_validate(content)


def values(**by_name):
    return {name: {"value": v, "unit": "", "protocol": ""} for name, v in by_name.items()}


def test_a_bare_name_means_the_headline_representation_else_a_value_of_none():
    measurements = {
        **values(loss=3.0),
        "knn@embedding": {"value": 50.0, "unit": "percent", "protocol": "a@embedding"},
        "knn@features": {"value": 60.0, "unit": "percent", "protocol": "a@features"},
    }
    final = Final(epoch=2, measurements=measurements)
    assert [final.value("knn"), final.value("knn", "features")] == [50.0, 60.0]
    assert [final.value("knn@features"), final.value("knn@memory")] == [60.0, None]
    assert [final.value("loss", "features"), final.value("nmi")] == [3.0, None]
    record = make_record(final=final.model_dump(), representation="features")
    assert record.value("knn") == 60.0
    assert record.protocols == {"knn@embedding": "a@embedding", "knn@features": "a@features"}


@pytest.mark.parametrize(
    ("changes", "facts", "expected"),
    [
        ({}, {}, "kNN 50.0"),
        ({"representation": "features"}, {}, "kNN not measured"),
        ({"undefined": {"knn@embedding": "one class"}}, {}, "kNN undefined: one class"),
        ({}, {"labelled": False}, "no labels"),
        ({}, {"test_images": 0}, "no test images"),
        ({}, {}, "kNN not measured"),
    ],
)
def test_the_headline_is_a_value_or_why_there_is_none(changes, facts, expected):
    record = make_record()
    content = record.model_dump() | changes
    content["dataset"] |= facts
    if expected != "kNN 50.0":
        content["final"] = {"epoch": 2, "measurements": measured(loss=1.0)}
    assert RunRecord.model_validate(content).headline == expected


def test_the_headline_names_another_representation_and_the_recall_of_unseen_classes():
    content = make_record(representation="features").model_dump()
    content["dataset"]["unseen"] = True
    name = "recall_at_1@features"
    content["final"]["measurements"] = {name: {"value": 7.25, "unit": "percent", "protocol": "p"}}
    assert RunRecord.model_validate(content).headline == "R@1 (features) 7.2"


def test_how_images_were_read_does_not_tell_them_apart():
    facts = {"name": "folder", "digest": "ab", "train_images": 5, "test_images": 2, "classes": 2,
             "image_size": 32, "labelled": True, **DATASET}  # fmt: skip
    plain = DatasetFacts(**facts)
    reading = {"understood": ("x",), "notes": ("y",), "left_out": {"empty": 1}, "path": "/a"}
    assert plain.identity() == DatasetFacts(**facts | reading).identity()
    assert plain.identity() != DatasetFacts(**facts | {"partial": True}).identity()
