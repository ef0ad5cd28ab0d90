"""What the runs do on a pretended CUDA device, as JSON: `python pretended_runs.py FOLDER`.

A process of its own, see `pretended_device.py`. The tests that read the answer are in
`test_pretended.py`.
"""

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretended_device
import torch

from benchmarks.common.device import choose_device
from benchmarks.common.errors import OutOfTime
from benchmarks.data import datasets, loader
from benchmarks.data.datasets.base import Split
from benchmarks.runs import store
from benchmarks.runs.execute import RunContext, execute
from benchmarks.runs.images import ImageRequest
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import DatasetSpec, RunSpec
from benchmarks.training import recipe as recipes
from benchmarks.training.loggers.console import PlainProgress
from helpers.small_methods import SMALL
from methods import names

SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {
        "train_images": 64,
        "batch_size": 24,
        "epochs": 2,
        "embedding_size": 16,
        "knn_k": 5,
        "linear_c": 1.0,
    },
    **SMALL,
}


def runs(precision: str = "fp32", **recipe: Any) -> dict[str, RunSpec]:
    """Return a small run on the digits of every method, with changes of the recipe."""
    digits = datasets.get("digits")
    wanted = choose(names(labelled=True))
    settings = {**SETTINGS, "recipe": {**SETTINGS["recipe"], **recipe}}
    plan = make_plan(
        wanted,
        lambda size, split: digits.load(Path(), size, split),
        recipes.read("digits").recipe,
        1,
        settings,
        precision,
    )
    return {run.method.name: run for run in plan}


def answer(question: Callable[[], Any]) -> dict[str, Any]:
    """Return what a function returns, or the error that it raises with its traceback."""
    try:
        return {"value": question()}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def place(folder: Path, device: torch.device, deadline: float | None = None) -> RunContext:
    """Return where runs are made, silently."""
    return RunContext(folder, device, PlainProgress(lambda text: None), deadline)


def made(run: RunSpec, where: RunContext) -> dict[str, Any]:
    """Carry a run out and return what its record and its files say."""
    record = execute(run, where)
    folder = where.folder(run)
    arrays = store.read_arrays(folder, store.EMBEDDINGS) or {}
    return {
        "epoch": record.final.epoch,
        "knn": record.value("knn"),
        "metrics": sorted(record.final.measurements),
        "losses": store.read_epochs(folder)["loss"].tolist(),
        "device": record.environment.device,
        "slices": [(part.first_epoch, part.last_epoch, part.device) for part in record.slices],
        "bank": arrays["bank"].astype(float).round(3).tolist(),
    }


def resumed(run: RunSpec, folder: Path, device: torch.device) -> dict[str, Any]:
    """Carry a run out that is stopped after its first epoch, if it has several."""
    try:
        execute(run, place(folder, device, deadline=0.0))
    except OutOfTime:
        return made(run, place(folder, device))
    return made(run, place(folder, device))


def rules(device: torch.device) -> dict[str, dict[str, Any]]:
    """Return what becomes of mistakes that CUDA refuses."""
    ours, host = torch.ones(3, 4, device=device), torch.ones(4)
    index = torch.zeros(2, dtype=torch.long, device=device)
    draws, host_draws = torch.Generator(device), torch.Generator()
    host_draws.manual_seed(5)
    return {
        "mixed devices": answer(lambda: ours + host),
        "gathering on the host": answer(lambda: host[index]),
        "numpy": answer(lambda: ours.numpy()),
        "array": answer(lambda: np.asarray(ours)),
        "pinning": answer(lambda: ours.pin_memory()),
        "generator of the host": answer(lambda: torch.rand(3, generator=host_draws, device=device)),
        "generator of the device": answer(lambda: torch.rand(3, generator=draws)),
    }


def too_large(run: RunSpec, folder: Path, device: torch.device) -> dict[str, Any]:
    """Carry a run out whose images do not fit on the device."""
    share, loader.FREE_MEMORY_SHARE = loader.FREE_MEMORY_SHARE, 0.0
    try:
        return made(run, place(folder, device))
    finally:
        loader.FREE_MEMORY_SHARE = share


def on_disk(run: RunSpec, folder: Path, device: torch.device) -> dict[str, Any]:
    """Carry a run out whose training images are a memory-mapped file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = run.data.load()
    np.save(folder / "images.npy", data.train.images)
    mapped = Split(np.load(folder / "images.npy", mmap_mode="r"), data.train.labels)
    on_disk = replace(data, train=mapped)
    spec = DatasetSpec.of(ImageRequest(lambda *_: on_disk), on_disk)
    return made(replace(run, data=spec), place(folder, device))


def main(folder: Path) -> None:
    """Print the answers."""
    torch.set_num_threads(1)
    plan, host = runs(), torch.device("cpu")
    low = runs(precision="bf16", epochs=1)
    cropped = runs(crop_size=6, positive="neighbour", linear_features="pooled")["invaspread"]
    found: dict[str, Any] = {
        "host": {
            name: answer(lambda run=run: made(run, place(folder / "host", host)))
            for name, run in plan.items()
        }
    }
    with pretended_device.pretended_cuda():
        device = choose_device("auto")
        found["chosen"] = [str(choose_device(name)) for name in ("auto", "cuda", "cuda:0", "cpu")]
        found["rules"] = rules(device)
        found["resumed"] = {
            name: answer(lambda run=run: resumed(run, folder / "device", device))
            for name, run in plan.items()
        }
        found["bf16"] = {
            name: answer(lambda run=run: made(run, place(folder / "bf16", device)))
            for name, run in low.items()
        }
        found["variants"] = {
            "pinned": answer(lambda: too_large(plan["nce"], folder / "pinned", device)),
            "on disk": answer(lambda: on_disk(plan["nce"], folder / "disk", device)),
            "cropped": answer(lambda: made(cropped, place(folder / "cropped", device))),
        }
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
