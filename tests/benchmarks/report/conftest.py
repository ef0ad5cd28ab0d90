"""Made-up results folders, written the way `bench run` writes them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.build import Content, build
from benchmarks.report.data.compare import compare
from benchmarks.report.data.comparison import Comparison
from benchmarks.report.data.recipe_facts import plain
from benchmarks.runs import store
from benchmarks.runs.failures import Failure, read_failures
from benchmarks.runs.record import RunRecord
from benchmarks.runs.upgrade import upgrade
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.reader import asdict_recipe

DATASETS = {
    "cifar10": {"train_images": 50_000, "test_images": 10_000, "classes": 10, "image_size": 32},
    "digits": {"train_images": 1437, "test_images": 360, "classes": 10, "image_size": 8},
    "folder": {"train_images": 120, "test_images": 0, "classes": 0, "image_size": 32},
    "stl10": {"train_images": 5000, "test_images": 8000, "classes": 10, "image_size": 96},
    "cub200": {"train_images": 5864, "test_images": 5924, "classes": 200, "image_size": 256},
    "cars196": {"train_images": 8054, "test_images": 8131, "classes": 196, "image_size": 256},
    "products": {
        "train_images": 59_551,
        "test_images": 60_502,
        "classes": 22_634,
        "image_size": 256,
    },
}
UNSEEN = ("cub200", "cars196", "products")
"""The data sets whose test classes are not trained on."""
NO_TOTALS = {"images_seen": 0, "train_seconds": 0.0, "evaluate_seconds": 0.0}


@dataclass(frozen=True)
class Results:
    """A results folder that runs are put into."""

    path: Path

    def add(
        self,
        method: str,
        knn: Sequence[float | None],
        *,
        seed: int = 0,
        recipe: str = "quick",
        recipe_changed: Mapping[str, Any] | None = None,
        dataset: str = "cifar10",
        digest: str = "0123456789abcdef",
        split: str = "train",
        hyper_parameters: Mapping[str, Any] | None = None,
        changed: Mapping[str, Any] | None = None,
        figures: Mapping[str, float] | None = None,
        seconds_per_epoch: float = 10.0,
        views: int = 2,
        environment: Mapping[str, Any] | None = None,
        partial: bool = False,
        uses_labels: bool = False,
        representation: str = "embedding",
        measurements: Mapping[str, Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> Path:
        """Put a finished run; `knn` is the figure after each epoch, None where not evaluated.

        It is R@1 on data sets of unseen classes. A single figure makes a network that was never
        trained.
        """
        unseen = dataset in UNSEEN
        epochs = self._epochs(knn, dataset, views, seconds_per_epoch)
        content = upgrade(
            {
                "schema_version": 1,
                **self._setting(seed, recipe, recipe_changed, dataset, digest, split, partial),
                "method": {
                    "name": method,
                    "paper": "A. Author, 2020",
                    "hyper_parameters": {**(hyper_parameters or {}), **(changed or {})},
                    "changed": dict(changed or {}),
                    "uses_labels": uses_labels,
                },
                "final": {
                    "epoch": int(epochs["epoch"].iloc[-1]),
                    "knn": None if unseen else knn[-1],
                    "figures": {**({"recall_at_1": knn[-1]} if unseen else {}), **(figures or {})},
                },
                "best": self._best(epochs),
                "images_seen": int(epochs["images_seen"].iloc[-1]),
                "seconds": {"train": float(epochs["train_seconds"].iloc[-1]), "evaluate": 3.0},
                "environment": {
                    "python": "3.12.1",
                    "platform": "Linux x86_64",
                    "device": "A processor",
                    "precision": "fp32",
                    "threads": 2,
                    "packages": {"instbench": "0.1.0", "torch": "2.6.0"},
                    "git_commit": "0123456789abcdef",
                    "git_dirty": False,
                    **(environment or {}),
                },
                **self._weights(recipe),
                **fields,
            }
        )
        if representation != "embedding":
            content = {**content, "representation": representation}
            content["final"] = {**content["final"], "measurements": dict(measurements or {})}
            metric = content["best"]["metric"].split("@")[0]
            content["best"] = {**content["best"], "metric": f"{metric}@{representation}"}
        record = RunRecord.model_validate(content)
        folder = store.runs_folder(self.path) / record.folder
        store.write_record(folder, record)
        store.write_epochs(folder, epochs)
        return folder

    def fail(
        self,
        method: str,
        message: str,
        *,
        seed: int = 0,
        recipe: str = "quick",
        recipe_changed: Mapping[str, Any] | None = None,
        dataset: str = "cifar10",
        hyper_parameters: Mapping[str, Any] | None = None,
        changed: Mapping[str, Any] | None = None,
    ) -> Path:
        """Put a run that stopped, as benchmarks.runs.execute leaves it."""
        setting = self._setting(seed, recipe, recipe_changed, dataset, "0123456789abcdef")
        keys = ("dataset", "recipe", "recipe_changed", "seed")
        content = {
            **{key: setting[key] for key in keys},
            "method": method,
            "hyper_parameters": dict(hyper_parameters or {}),
            "changed": dict(changed or {}),
            "message": message,
        }
        folder = store.runs_folder(self.path) / f"{dataset}-{method}-{recipe}-s{seed}-failed"
        folder.mkdir(parents=True)
        (folder / "failed.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    def read(self) -> tuple[list[store.StoredRun], list[Failure]]:
        """Return the finished and the failed runs."""
        return (
            store.read_all(self.path, warn=pytest.fail),
            read_failures(self.path, warn=pytest.fail),
        )

    def content(self, problems: Sequence[str] = ()) -> Content:
        """Return the report on all runs."""
        return build(*self.read(), problems, self.path)

    def comparisons(self) -> list[Comparison]:
        """Return all runs as the report compares them."""
        return compare(*self.read())

    def comparison(self) -> Comparison:
        """Return the comparison that all runs belong to."""
        (comparison,) = self.comparisons()
        return comparison

    def _setting(
        self,
        seed: int,
        recipe: str,
        recipe_changed: Mapping[str, Any] | None,
        dataset: str,
        digest: str,
        split: str = "train",
        partial: bool = False,
    ) -> dict[str, Any]:
        used = recipes.resolve(recipes.read(recipe).recipe, recipe_changed or {})
        facts = {"name": dataset, "digest": digest, "labelled": dataset != "folder", "split": split}
        facts |= {"unseen": dataset in UNSEEN, "partial": partial}
        recalled = {"recall_at_1": "test-against-test-self-excluded"}
        count = len(list(store.runs_folder(self.path).glob("*")))
        return {
            "key": f"{count:08x}" * 8,
            "dataset": {**facts, **DATASETS[dataset]},
            "recipe": plain(asdict_recipe(used)),
            "recipe_changed": dict(recipe_changed or {}),
            "seed": seed,
            "protocols": recalled if dataset in UNSEEN else {"knn": used.knn_protocol},
            "started": f"2026-11-21T10:{count:02}:00+00:00",
            "finished": f"2026-11-21T10:{count:02}:30+00:00",
        }

    def _epochs(
        self, knn: Sequence[float | None], dataset: str, views: int, seconds: float
    ) -> pd.DataFrame:
        values = np.array(knn, dtype=float)
        figures = {"knn": values}
        if dataset in UNSEEN:
            figures = {"knn": np.full(len(values), np.nan), "recall_at_1": values}
        if len(values) == 1:
            return pd.DataFrame({"epoch": 0, "loss": np.nan, **figures, **NO_TOTALS})
        epoch = np.arange(1, len(values) + 1)
        return pd.DataFrame(
            {
                "epoch": epoch,
                "loss": 6.0 / epoch,
                "lr": 0.03,
                **figures,
                "images_seen": epoch * DATASETS[dataset]["train_images"] * views,
                "train_seconds": epoch * seconds,
                "evaluate_seconds": epoch * 0.5,
            }
        )

    def _weights(self, recipe: str) -> dict[str, Any]:
        """Return the weights that every run by a recipe of pre-trained networks starts from."""
        file = {"file": "googlenet.h5", "sha256": "ab" * 32, "published": True}
        pretrained = recipes.read(recipe).recipe.backbone == "googlenet"
        return {"weights": file} if pretrained else {}

    def _best(self, epochs: pd.DataFrame) -> dict[str, float] | None:
        figure = "recall_at_1" if "recall_at_1" in epochs else "knn"
        if epochs[figure].isna().all():
            return None
        row = epochs.loc[epochs[figure].idxmax()]
        return {"epoch": int(row["epoch"]), figure: float(row[figure])}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Return an empty results folder, ./results of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return Results(Path("results"))


@pytest.fixture
def texts() -> Callable[[str], list[str | None]]:
    """Return what lists the texts of an SVG."""

    def of(svg: str) -> list[str | None]:
        return [e.text for e in ET.fromstring(svg).iter() if e.tag.endswith("text")]

    return of


@pytest.fixture(
    params=[None, b"", b"PK\x03\x04 nothing", b"PAR1 nothing"],
    ids=["absent", "empty", "cut archive", "cut table"],
)
def put_damaged(request: pytest.FixtureRequest, results: Results) -> Callable[[str], None]:
    """Return what puts a run whose file of a name is absent or cannot be read."""

    def put(name: str) -> None:
        folder = results.add("nce", [20.0])
        if request.param is not None:
            (folder / name).write_bytes(request.param)

    return put
