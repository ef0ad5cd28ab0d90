import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import evaluation

MODULES = [
    "evaluation",
    *(m.name for m in pkgutil.walk_packages(evaluation.__path__, "evaluation.")),
]


@pytest.mark.parametrize("name", evaluation.__all__)
def test_a_public_name_is_that_of_its_module(name):
    public = getattr(evaluation, name)
    assert public is getattr(importlib.import_module(public.__module__), name)


def test_names_are_listed_and_others_refused():
    assert set(evaluation.__all__) <= set(dir(evaluation))
    assert evaluation.__all__ == sorted(set(evaluation.__all__))
    with pytest.raises(AttributeError, match="has no attribute 'knn_acuracy'"):
        evaluation.knn_acuracy  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'knn_acuracy'"):
        exec("from evaluation import knn_acuracy")


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"torch", "numpy", "faiss", "sklearn", "scipy"}
    code = f"import sys, evaluation; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_are_right(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_there_are_examples_of_the_main_metrics():
    finder = doctest.DocTestFinder()
    examples = {
        test.name.split(".")[-1]
        for module in MODULES
        for test in finder.find(importlib.import_module(module))
        if test.examples
    }
    assert {"knn_predict", "recall_at_k", "clustering_accuracy", "view_agreement"} <= examples
