import pytest

from benchmarks.report.data.compare import planned
from benchmarks.report.text import provenance
from benchmarks.runs.provenance import slice_of


def test_the_facts_of_the_records_are_all_there(results):
    results.add("nce", [20.0, 30.0], figures={"noise_norm": 1.5, "memory_knn": 9.0})
    results.add("nce", [20.0, 30.0], seed=1, environment={"git_dirty": True})
    found = dict(provenance.facts(results.comparison()))
    assert found["Recipe"] == "quick"
    assert "backbone = resnet10-16" in found["Fields"]
    assert "hue = 0.4" in found["Augmentation"]
    assert "50,000 to train on, 10,000 to test on" in found["Images"]
    assert found["Seeds"] == "0, 1"
    assert found["Protocols"] == "knn@embedding: knn-200-0.1@embedding"
    assert found["Device"] == "A processor (Linux x86_64, 2 threads)"
    assert found["Precision"] == "fp32"
    assert found["Packages"] == "instbench 0.1.0, torch 2.6.0"
    assert found["Code"] == "commit 0123456789; commit 0123456789 with uncommitted changes"
    assert found["Time"] == "training 0:00:40, evaluation 0:00:06"
    assert found["Made"] == "2026-11-21 10:00 to 2026-11-21 10:01 UTC"
    assert found["Methods"] == "nce: A. Author, 2020"
    assert found["Methods' own metrics"] == "nce s0: noise_norm = 1.5"


def test_what_the_recipe_sets_for_methods_is_told(results):
    results.add("deepcluster", [20.0], recipe="digits", dataset="digits")
    found = dict(provenance.facts(results.comparison()))
    assert found["Set by the recipe"].startswith("deepcluster: clusters: 100, nce: normaliser: ")


def test_before_any_run_there_is_only_the_recipe():
    names = [name for name, _ in provenance.facts(planned("cifar10", "paper"))]
    assert names == ["Recipe", "Fields", "Augmentation"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"device": "A GPU"}, ["devices", "seconds do not compare"]),
        ({"packages": {"torch": "2.7"}}, ["package versions"]),
        ({"git_commit": "fedcba"}, ["versions of the suite"]),
        ({"precision": "bf16"}, ["precision"]),
    ],
)
def test_runs_made_differently_are_told(results, environment, words):
    results.add("nce", [20.0])
    assert provenance.differences(results.comparison()) == ""
    results.add("invaspread", [20.0], environment=environment)
    told = provenance.differences(results.comparison())
    assert all(word in told for word in words)
    assert ("seconds" in told) is ("device" in environment)


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"git_commit": None}, "version 0.1.0"),
        ({"git_commit": None, "packages": {}}, "not recorded"),
        ({"git_dirty": True}, "commit 0123456789 with uncommitted changes"),
    ],
)
def test_the_code_is_named_as_well_as_the_record_can(results, environment, text):
    results.add("nce", [20.0], environment=environment)
    assert provenance.code(results.comparison().runs[0].record.environment) == text


def test_weights_and_what_the_images_are_is_told(results):
    weights = {"file": "googlenet.h5", "sha256": "ab" * 32, "published": False}
    results.add("nce", [20.0], dataset="cub200", recipe="cub200", partial=True, weights=weights,
                figures={"pooled_nmi": 40.0})  # fmt: skip
    found = dict(provenance.facts(results.comparison()))
    assert found["Weights"] == "googlenet.h5, SHA-256 abababababab, not the published file"
    assert found["Images"].endswith("none of the test classes trained on, part of the data set")
    assert "Methods' own metrics" not in found
    results.add("nce", [20.0])
    assert "Weights" not in dict(provenance.facts(results.comparisons()[0]))


def test_a_run_that_moved_lists_every_device_once(results):
    results.add("nce", [20.0])
    record = results.comparison().runs[0].record
    assert provenance.devices(record) == [provenance.device(record.environment)]
    here = slice_of(record.environment)
    there = here.model_copy(update={"device": "A GPU", "threads": 4})
    moved = record.model_copy(update={"slices": (here, there, here)})
    first, second = provenance.devices(moved)
    assert first == provenance.device(record.environment)
    assert second.startswith("A GPU (")
    assert "4 threads" in second
