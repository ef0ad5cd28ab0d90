"""The command line, end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.commands.cli import main
from benchmarks.training.trainer import Trainer
from methods import get, names
from methods.testing.check import check_method

EXAMPLE_PLUGIN = Path(__file__).parents[2] / "example_plugin"


def knn_of(record):
    return record["final"]["measurements"][f"knn@{record['representation']}"]["value"]


def records_below(results: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(results.glob("runs/*/run.json"))]


def test_every_method_then_the_report(bench, tiny_recipe, tmp_path):
    output = bench("run", "--recipe", str(tiny_recipe), "--epochs", "1").output
    found = records_below(tmp_path / "results")
    assert sorted(record["method"]["name"] for record in found) == names()
    assert all(0 < knn_of(record) <= 100 for record in found)
    assert output.count("done: ") == len(names())

    again = bench("run", "--recipe", str(tiny_recipe), "--epochs", "1").output
    assert again.count("reused: ") == len(names())
    assert "epoch 1" not in again

    bench("report")
    page = (tmp_path / "results" / "report" / "report.html").read_text()
    assert all(name in page for name in names())
    assert bench("list", "runs").output.count("finished") == len(names())


def test_seeds_and_settings_reach_the_records(bench, tiny_recipe, tmp_path):
    bench("run", "--methods", "invaspread", "--recipe", str(tiny_recipe), "--seeds", "2",
          "--epochs", "1", "--set", "invaspread.temperature=0.05",
          "--set", "recipe.augmentation.crop_scale=[0.8, 1.0]")  # fmt: skip
    found = records_below(tmp_path / "results")
    assert sorted(record["seed"] for record in found) == [0, 1]
    for record in found:
        assert record["method"]["changed"] == {"temperature": 0.05}
        assert record["recipe"]["augmentation"]["crop_scale"] == [0.8, 1.0]


def test_recipe_file_states_options_and_the_command_line_wins(bench, tmp_path, tiny_recipe):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        tiny_recipe.read_text().replace("epochs: 3", "epochs: 1")
        + "seeds: 2\nset: {invaspread.temperature: 0.2}\nresults: elsewhere\n"
    )
    bench("run", "--methods", "invaspread", "--recipe", str(mine), "--seeds", "1")
    (record,) = records_below(tmp_path / "elsewhere")
    assert record["method"]["hyper_parameters"]["temperature"] == 0.2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "invaspred"], "Did you mean invaspread"),
        (["--dataset", "cifar"], "Did you mean cifar10"),
        (["--recipe", "papers"], "Did you mean paper"),
        (["--recipe", "nowhere.yaml"], "nowhere.yaml"),
        (["--set", "nce.tau=1"], "Unknown hyper-parameter of nce 'tau'"),
        (["--set", "nce"], "METHOD.HYPER_PARAMETER=VALUE"),
        (["--set", "recipe.batch_size=99999"], "batch_size"),
        (["--table", "77"], "Unknown table"),
        (["--table", "1", "--dataset", "digits"], "table 1 is on cifar10"),
        (["--table", "1,x"], "Unknown table 'x'"),
        (["--table", ","], "expected names joined by commas"),
        (["--table", "7", "--table", "2"], "run them by two commands"),
        (["--table", "7", "--methods", "nce"], "table 7 has no row of nce"),
        (["--split", "unlabeled"], "Unknown split of digits"),
        (["--for", "0"], "--for"),
        (["--seeds", "0"], "--seeds"),
        (["--epochs", "0"], "--epochs"),
        (["--device", "gpu7"], "--device"),
        (["--precision", "fp8"], "--precision"),
        (["--plugin", "nowhere.py"], "nowhere.py"),
        (["--dataset", "folder"], "--data DIR"),
        (["--unknown"], "--unknown"),
        (["--methods", ""], "--methods"),
        (["--methods", ","], "--methods"),
        (["--methods", "all,invaspred"], "Did you mean invaspread"),
        (["--dataset", ""], "--dataset"),
        (["--recipe", ""], "--recipe"),
        (["--for", "nan"], "--for"),
        (["--for", "inf"], "--for"),
        (["--set", "invaspread.temperature=.nan"], "NaN"),
        (["--set", "recipe.name=../../x"], "name"),
        (["--set", "recipe.methods={invaspred: {temperature: 1}}"], "Did you mean invaspread"),
        (["--set", "recipe.methods={invaspread: {temprature: 1}}"], "Did you mean temperature"),
        (["--set", "recipe.image_size=1000000"], "the memory here"),
        (["--set", "recipe.embedding_size=1000000000"], "the memory here"),
    ],
)
def test_usage_errors_are_one_line_with_status_2(bench, tmp_path, words, message):
    output = bench("run", *words, status=2).output
    assert message in output
    assert not (tmp_path / "results" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--dataset", "cifar10", "--data", "empty"], "bench data cifar10"),
        (["run", "--dataset", "folder", "--data", "nowhere"], "nowhere"),
        (["run", "--dataset", "folder", "--data", "empty"], "empty"),
    ],
)
def test_data_problems_have_status_1(bench, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    assert message in bench(*words, status=1).output


def test_a_folder_of_results_that_is_not_there_is_told(bench, tmp_path):
    for words in (["list", "runs"], ["report"], ["collect", "copy"]):
        assert "no such folder" in bench(*words, "--results", "resluts", status=2).output
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_speed_refuses_networks_before_it_measures(bench):
    assert "--backbones" in bench("speed", "--backbones", "", status=2).output
    assert "Did you mean resnet18" in bench("speed", "--backbones", "resnet8", status=2).output


def test_all_stands_beside_other_names(bench, tiny_recipe, monkeypatch):
    output = bench("run", "--recipe", str(tiny_recipe), "--methods", "all,invaspread",
                   "--for", "0.000001").output  # fmt: skip
    assert f"{len(names())} of {len(names())} runs are left" in output


def test_home_folder_is_found_in_options(bench, tmp_path, tiny_recipe, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    words = ["run", "--methods", "random-cnn", "--recipe", str(tiny_recipe)]
    bench(*words, "--results=~/out")
    assert len(records_below(tmp_path / "home" / "out")) == 1
    tiny_recipe.write_text(tiny_recipe.read_text() + "results: ~/other\n")
    bench(*words)
    assert len(records_below(tmp_path / "home" / "other")) == 1
    assert "no home folder" in bench("list", "runs", "--results=~nobody-here/x", status=2).output


def test_no_home_folder_is_needed_for_the_digits_alone(bench, tiny_recipe, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", "~nobody-here/x")
    bench("run", "--methods", "random-cnn", "--recipe", str(tiny_recipe))
    words = ["run", "--methods", "random-cnn", "--dataset", "cifar10"]
    assert "--data" in bench(*words, status=2).output


@pytest.mark.parametrize(
    "line",
    ["seeds: [1]", "seeds: null", "data: 5", "results: [a]", "for: [9]", "partial: 1",
     "weights: true", "device: null", "methods: null", "for: .nan", "methods: []", "seeds: 1.5"],
)  # fmt: skip
def test_options_of_another_type_in_a_recipe_file_are_refused(bench, tiny_recipe, line):
    tiny_recipe.write_text(tiny_recipe.read_text().replace("seeds", "").strip() + f"\n{line}\n")
    if line.startswith("methods"):
        tiny_recipe.write_text(f"base: digits\n{line}\n")
    output = bench("run", "--recipe", str(tiny_recipe), status=2).output
    assert line.partition(":")[0] in output
    assert len(output.splitlines()) == 1


def test_report_and_list_refuse_unknown_words(bench):
    assert "html, md" in bench("report", "--format", "pdf", status=2).output
    assert "methods" in bench("list", "method", status=2).output
    assert "Unknown data set" in bench("data", "cifar11", status=2).output


def test_failing_run_does_not_stop_the_others(bench, tmp_path, tiny_recipe):
    plugin = tmp_path / "explode.py"
    plugin.write_text(
        "import torch\nfrom methods import Method\n\n"
        "class Explode(Method):\n    name = 'a-explode'\n    paper = 'none'\n"
        "    def loss(self, batch):\n"
        "        return self.embed(batch.views[0]).sum() * torch.tensor(float('nan'))\n"
    )
    words = ["run", "--plugin", str(plugin), "--methods", "a-explode,random-cnn",
             "--recipe", str(tiny_recipe)]  # fmt: skip
    output = bench(*words, status=1).output
    assert "a-explode" in output
    assert "loss is nan at epoch 1, step 1" in output
    assert "done: random-cnn" in output
    assert "failed: loss is nan" in bench("list", "runs").output


def test_list_names_everything(bench):
    output = bench("list", "methods").output
    assert all(name in output for name in names())
    assert "temperature=0.1" in output
    assert "paper" in bench("list", "recipes").output
    assert "cifar10" in bench("list", "datasets").output
    assert "resnet18 " in bench("list", "backbones").output
    assert "googlenet.h5" in bench("list", "backbones").output
    listed = bench("list", "tables").output
    assert [line.split()[0] for line in listed.splitlines()] == list("12345678")
    assert "10 rows, 4 of them quoted" in listed
    assert bench("list", "runs").output == ""


def test_list_shows_each_method_below_its_family(bench):
    shown, family = {}, ""
    for line in bench("list", "methods").output.splitlines():
        if line.startswith("  "):
            shown[line.split()[0]] = family
        else:
            family = line.removesuffix(":")
    assert shown == {name: get(name).family for name in names(labelled=True)}


def test_list_shows_backbones_of_plugins_and_those_that_fail(bench, tmp_path):
    (tmp_path / "broken.py").write_text("raise OSError('gone')")
    example = Path(__file__).parents[2] / "examples" / "own_backbone.py"
    words = ["--plugin", str(example), "--plugin", str(tmp_path / "broken.py")]
    listed = bench("list", "backbones", *words).output
    assert "three-layers" in listed
    assert "broken.py: not available: " in listed


def test_unreadable_k_larger_than_the_bank_is_clipped(bench, tiny_recipe, tmp_path):
    bench("run", "--methods", "random-cnn", "--recipe", str(tiny_recipe),
          "--set", "recipe.knn_k=5000")  # fmt: skip
    (record,) = records_below(tmp_path / "results")
    assert knn_of(record) > 0
    images = record["dataset"]["train_images"]
    protocol = record["final"]["measurements"]["knn@embedding"]["protocol"]
    assert protocol == f"knn-{images}-0.1@embedding"
    assert f"{images} neighbours vote instead of 5000" in record["caveats"]["knn@embedding"]


def test_unlabelled_folder_is_trained_and_embedded_without_a_claim(bench, tiny_recipe, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(40):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    output = bench("run", "--methods", "invaspread", "--dataset", "folder", "--data", "images",
                   "--recipe", str(tiny_recipe), "--set", "recipe.train_images=null",
                   "--set", "recipe.image_size=16").output  # fmt: skip
    assert "broken.png" in output
    (record,) = records_below(tmp_path / "results")
    assert "knn@embedding" not in record["final"]["measurements"]
    assert record["dataset"]["train_images"] == 40
    assert record["dataset"]["image_size"] == 16
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    with np.load(folder / "embeddings.npz") as arrays:
        assert arrays["bank"].shape == (40, 16)
        assert set(arrays) <= {"bank", "classes"}  # no labels, no test images
    bench("report")


def test_interrupted_command_says_how_to_go_on(bench, tiny_recipe, monkeypatch):
    def interrupted(trainer, epoch):
        raise KeyboardInterrupt

    words = ["run", "--methods", "nce", "--recipe", str(tiny_recipe)]
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_epoch", interrupted)
        assert "the same command goes on" in bench(*words, status=130).output
    assert "done: nce" in bench(*words).output


def test_time_that_is_up_leaves_runs_for_the_same_command(bench, tiny_recipe):
    words = ["run", "--methods", "random-cnn,nce", "--recipe", str(tiny_recipe)]
    output = bench(*words, "--for", "0.000001").output
    assert "Time is up: 2 of 2 runs are left; the same command goes on" in output
    assert "Time is up" not in bench(*words, "--for", "60").output
    assert bench("list", "runs").output.count("finished") == 2


def test_help_explains_every_command():
    for words in ([], ["run"], ["report"], ["list"], ["data"]):
        result = CliRunner().invoke(main, [*words, "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output


@pytest.mark.slow
def test_two_processes_share_a_plan_without_repeating_a_run(tmp_path, tiny_recipe):
    words = [sys.executable, "-m", "benchmarks", "run", "--recipe", str(tiny_recipe),
             "--results", str(tmp_path / "r")]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "".join(outputs).count("done: ") == len(names())  # each run was made once
    assert "".join(outputs).count("reused: ") == len(names())
    assert len(records_below(tmp_path / "r")) == len(names())
    assert not list((tmp_path / "r").rglob("*.part"))


@pytest.mark.slow
def test_plug_in_package_is_installed_and_run(tmp_path, tiny_recipe):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
         "--no-build-isolation", "--disable-pip-version-check", "--target", str(site),
         str(EXAMPLE_PLUGIN)],
        check=True,
    )  # fmt: skip
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def call(*words: str) -> str:
        command = [sys.executable, "-m", "benchmarks", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = call("list", "methods")
    assert "alignment" in listed
    assert "broken: not available: alignment_broken:Nothing: RuntimeError" in listed
    call("run", "--methods", "alignment,invaspread", "--recipe", str(tiny_recipe),
         "--set", "alignment.weight=0.5", "--results", str(tmp_path / "r"))  # fmt: skip
    found = records_below(tmp_path / "r")
    assert [r["method"]["changed"] for r in found] == [{"weight": 0.5}, {}]
    call("report", "--results", str(tmp_path / "r"))
    assert "alignment" in (tmp_path / "r" / "report" / "report.html").read_text()


def test_example_plug_in_passes_the_conformance_suite():
    sys.path.insert(0, str(EXAMPLE_PLUGIN))
    try:
        from alignment import Alignment
    finally:
        sys.path.pop(0)
    check_method(Alignment)


def write_pictures(root, *places, count=6):
    rng = np.random.default_rng(1)
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / place / f"{number}.png")


FEW = ("--recipe", "digits", "--set", "recipe.batch_size=4", "--epochs", "1")


def test_a_folder_is_told_before_training_and_in_the_record(bench, tmp_path):
    write_pictures(tmp_path / "pics", "Train/a", "Train/b", "Test/a", "Test/b")
    (tmp_path / "pics" / "notes.txt").write_text("no image")
    output = bench("run", "--methods", "random-cnn", "--data", "pics", *FEW).output
    first, second, *rest = output.splitlines()
    assert "12 training and 12 test images, 2 classes (a, b)" in first
    assert "left out: 1 (unknown kind of file: notes.txt)" in second
    assert rest[-1].startswith("done: random-cnn")
    (record,) = records_below(tmp_path / "results")
    assert record["dataset"]["understood"] == [first, second]
    assert record["dataset"]["left_out"] == {"unknown kind of file": 1}
    assert record["dataset"]["path"] == str(tmp_path / "pics")


def test_a_run_is_reused_wherever_its_folder_lies_and_whatever_lies_beside(bench, tmp_path):
    write_pictures(tmp_path / "pics", "train/a", "train/b", "test/a", "test/b")
    words = ("run", "--methods", "random-cnn", *FEW, "--results", "results", "--dataset", "folder")
    assert "done: random-cnn" in bench(*words, "--data", "pics").output
    (tmp_path / "pics" / "notes.txt").write_text("no image")
    (tmp_path / "pics").rename(tmp_path / "moved")
    assert "reused: random-cnn" in bench(*words, "--data", "moved").output
    bench("report")


def test_test_images_that_are_trained_on_are_told_and_recorded(bench, tmp_path):
    write_pictures(tmp_path / "pics", "train/a", "train/b", "test/a", "test/b")
    whole = (tmp_path / "pics/train/a/0.png").read_bytes()
    (tmp_path / "pics/test/a/0.png").write_bytes(whole)
    output = bench("run", "--methods", "random-cnn", "--data", "pics", *FEW).output
    assert "1 of 12 test images are copies of training images" in output
    (record,) = records_below(tmp_path / "results")
    assert record["dataset"]["notes"][0].startswith("1 of 12 test images are copies")


def test_results_inside_the_folder_are_no_images(bench, tmp_path):
    write_pictures(tmp_path, "train", "test")
    words = ("run", "--methods", "random-cnn", *FEW, "--data", ".", "--dataset", "folder")
    assert "done: random-cnn s0: no labels" in bench(*words).output
    output = bench(*words).output
    assert "reused: random-cnn" in output
    assert "results of this suite: results/" in output


def test_labelled_images_without_a_test_image_are_not_called_unlabelled(bench, tmp_path):
    write_pictures(tmp_path / "pics", *"abcdefgh", count=1)
    output = bench("run", "--methods", "random-cnn", "--data", "pics", *FEW).output
    assert "labelled, but there is no test image" in output
    assert "done: random-cnn s0: no test images" in output
    assert "no labels" not in output


def test_own_images_are_verified_only_where_the_user_says_they_are(bench):
    assert "--data DIR" in bench("data", "folder", status=2).output
