import threading
from dataclasses import replace

import pytest
import torch
from filelock import FileLock

from benchmarks import datasets, plan
from benchmarks.errors import UsageProblem
from benchmarks.plan import carry_out_all, choose, make_plan
from benchmarks.progress import PlainProgress
from benchmarks.recipes import read
from benchmarks.run import Workplace
from methods import names


@pytest.fixture(scope="module")
def digits():
    return datasets.get("digits").load(datasets.default_root())


def planned(digits, tiny_recipe, words=("invaspread",), seeds=1, settings=None, table=None):
    recipe = read(str(tiny_recipe)).recipe
    return make_plan(choose(words, table), digits, recipe, seeds, settings or {}, "fp32")


def test_all_is_every_method_and_repeats_count_once():
    assert [choice.method.name for choice in choose(["all"])] == names()
    assert len(choose(["nce", "nce"])) == 1


def test_table_1_has_both_cluster_numbers():
    rows = choose(["all"], table=1)
    clusters = [c.hyper_parameters.get("clusters") for c in rows if c.method.name == "deepcluster"]
    assert clusters == [10, 1000]
    assert len(rows) == 9
    assert len(choose(["deepcluster"], table=1)) == 2


def test_seeds_come_one_after_the_other(digits, tiny_recipe):
    runs = planned(digits, tiny_recipe, ["nce", "triplet"], seeds=2)
    assert [(run.method.name, run.seed) for run in runs] == [
        ("nce", 0), ("triplet", 0), ("nce", 1), ("triplet", 1),
    ]  # fmt: skip


def test_key_follows_what_is_declared_and_nothing_else(digits, tiny_recipe):
    (run,) = planned(digits, tiny_recipe)
    (again,) = planned(digits, tiny_recipe)
    assert run.key == again.key
    renamed = replace(run, recipe=run.recipe.model_copy(update={"name": "x", "description": "y"}))
    assert renamed.key == run.key
    different = [
        replace(run, seed=1),
        replace(run, precision="bf16"),
        replace(run, recipe=run.recipe.model_copy(update={"epochs": 4})),
        replace(run, recipe=run.recipe.model_copy(update={"knn_k": 7})),
        replace(run, data=replace(run.data, digest="other")),
        planned(digits, tiny_recipe, settings={"invaspread": {"temperature": 0.2}})[0],
        planned(digits, tiny_recipe, ["nce"])[0],
    ]
    assert len({run.key, *(other.key for other in different)}) == 8


def test_changed_hyper_parameters_are_told(digits, tiny_recipe):
    (run,) = planned(digits, tiny_recipe, ["nce"], settings={"nce": {"momentum": 0.9}})
    assert run.changed == {"noise": 64, "momentum": 0.9}  # 64 is the recipe's
    assert run.hyper_parameters["temperature"] == 0.1


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (["invaspred"], {}, "Did you mean invaspread"),
        (["nce"], {"nce": {"tau": 1}}, "Unknown hyper-parameter of nce 'tau'"),
        (["nce"], {"npsoftmax": {"momentum": 0.1}}, "not among the methods"),
        (["nce"], {"nec": {"momentum": 0.1}}, "Did you mean nce"),
        (["nce"], {"recipe": {"epoch": 1}}, "Did you mean epochs"),
        (["triplet"], {"recipe": {"batch_size": 5000}}, "batch_size: expected at most 200"),
        (["triplet"], {"recipe": {"train_images": 5000}}, "train_images: expected at most 1347"),
        (["deepcluster"], {"deepcluster": {"clusters": 201}}, "clusters"),
        (["invaspread"], {"invaspread": {"temperature": 0}}, "temperature"),
        (["invaspread"], {"invaspread": {"temperature": "warm"}}, "temperature"),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(
    digits, tiny_recipe, words, settings, message
):
    with pytest.raises(UsageProblem, match=message):
        planned(digits, tiny_recipe, words, settings=settings)


def test_table_without_that_method():
    with pytest.raises(UsageProblem, match="Unknown method"):
        choose(["nothing"], table=1)


def test_run_of_another_process_is_waited_for_and_reused(
    digits, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(plan, "POLL_SECONDS", 0.05)
    said: list[str] = []
    place = Workplace(tmp_path, torch.device("cpu"), PlainProgress(said.append))
    first, second = planned(digits, tiny_recipe, ["random-cnn", "triplet"])
    folder = place.folder(first)
    folder.mkdir(parents=True)
    lock = FileLock(folder / plan.LOCK, thread_local=False)
    lock.acquire()  # as another process would

    def other_process() -> None:
        while not any("waiting" in line for line in said):
            threading.Event().wait(0.02)
        plan.carry_out(first, replace(place, progress=PlainProgress(lambda line: None)))
        lock.release()

    thread = threading.Thread(target=other_process)
    thread.start()
    outcome = carry_out_all([first, second], place)
    thread.join()
    assert [run.method.name for run in outcome.done] == ["triplet"]
    assert [run.method.name for run in outcome.reused] == ["random-cnn"]
    assert any("waiting for another process that works on: random-cnn" in line for line in said)
