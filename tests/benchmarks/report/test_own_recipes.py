"""Runs of one recipe stand together although it gives single methods fields of their own."""

import json

import yaml


def test_methods_with_fields_of_their_own_stand_in_one_comparison(bench, tiny_recipe, tmp_path):
    tiny = yaml.safe_load(tiny_recipe.read_text())
    own = {"simclr": {"lr": 0.05, "schedule": "cosine", "augmentation": {"grayscale": 0.5}}}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**tiny, "for_method": own}))
    words = ["--dataset", "digits", "--recipe", str(file), "--epochs", "1", "--results", "r"]
    bench("run", "--methods", "random-cnn,simclr", *words)
    records = [json.loads(path.read_text()) for path in (tmp_path / "r").glob("runs/*/run.json")]
    simclr = next(r for r in records if r["method"]["name"] == "simclr")
    other = next(r for r in records if r["method"]["name"] == "random-cnn")
    assert simclr["recipe"]["lr"] == 0.05
    assert simclr["recipe_own"]["lr"] == other["recipe"]["lr"]
    shared = {**simclr["recipe"], **simclr["recipe_own"]}
    assert {k: v for k, v in shared.items() if k != "schedule"} == other["recipe"]
    assert (shared["schedule"], other["recipe_own"]) == (None, {})
    bench("report", "--results", "r", "--format", "md")
    page = (tmp_path / "r" / "report" / "report.md").read_text()
    assert page.count("\n## digits, recipe mine") == 1
