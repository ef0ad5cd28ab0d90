"""One run: a method on a data set by a recipe with a seed. Its key, its folder, its life cycle."""

import copy
import hashlib
import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.backbones import BACKBONES
from benchmarks.backbones.weights import WeightsFile
from benchmarks.common.device import describe, slice_of
from benchmarks.common.errors import BenchError, RunFailed, UsageProblem
from benchmarks.common.memory_errors import out_of_memory
from benchmarks.common.seeds import derive_seed
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.data.loader import ImageStore
from benchmarks.evaluator.final import Judgement, judge
from benchmarks.evaluator.gallery import gallery_keeper
from benchmarks.evaluator.per_epoch import Embedded, Stores
from benchmarks.runs import store as records
from benchmarks.runs.code_changes import write_code
from benchmarks.runs.record_maker import make_record
from benchmarks.training import checkpoint as checkpoints
from benchmarks.training.loggers.console import Progress
from benchmarks.training.recipe import Recipe
from benchmarks.training.recipe.overrides import declared
from benchmarks.training.recipe.reader import asdict_recipe
from benchmarks.training.slices import Slice, SliceLog
from benchmarks.training.trainer import Trainer
from methods import Method
from methods.base.code import code_of, foreign_digests
from methods.base.registry import in_one_line

TRACEBACK = "traceback.txt"


@dataclass(frozen=True)
class Run:
    """The unit of work, of caching, of resuming and of scheduling."""

    method: type[Method]
    hyper_parameters: Mapping[str, Any]
    """All of them, defaults included."""
    changed: Mapping[str, Any]
    """Those that differ from the method's defaults."""
    data: ImageData
    recipe: Recipe
    recipe_changed: Mapping[str, Any]
    seed: int
    precision: str
    weights: WeightsFile | None = None
    """What the network starts from; None for random weights."""
    notes: tuple[str, ...] = ()
    """What is worth saying of the method before it is trained."""

    @cached_property
    def key(self) -> str:
        """SHA-256 over the declared configuration and the code, never over pickled objects."""
        return self._digest(self.code)

    @cached_property
    def key_without_code(self) -> str:
        """What runs of one configuration have in common, whatever their code."""
        return self._digest({})

    @cached_property
    def code(self) -> dict[str, Any]:
        """What the key states of the code; empty for the suite's own methods at revision 1.

        Stated only where it differs from that, so that runs made before keep their keys. The
        suite's own code is told apart by `revision` alone: most edits of it change no result.
        """
        stated: dict[str, Any] = {}
        if self.method.revision != 1:
            stated["revision"] = self.method.revision
        files = foreign_digests(self.method, Method)
        if files:
            stated["code"] = files
        facts = code_of(self.method)
        if facts.package is not None and not facts.own:
            stated["package"] = f"{facts.package} {facts.version}"
        return stated

    @cached_property
    def declared_hyper_parameters(self) -> dict[str, Any]:
        """All hyper-parameters as JSON values."""
        return declared(self.method, self.hyper_parameters)

    def _digest(self, code: Mapping[str, Any]) -> str:
        recipe = asdict_recipe(self.recipe)
        for name in ("name", "description", "methods"):  # how it is called is not what it does
            recipe.pop(name)
        configuration = {
            "schema": records.KEY_SCHEMA,
            "method": self.method.name,
            "hyper_parameters": self.declared_hyper_parameters,
            "dataset": self.data.facts(),
            "recipe": recipe,
            "seed": self.seed,
            "precision": self.precision,
            **code,
        }
        if self.weights is not None:
            configuration["weights"] = self.weights.facts.sha256
        text = json.dumps(configuration, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the run's folder below results/runs."""
        return records.folder_name(
            self.data.name, self.method.name, self.recipe.name, self.seed, self.key
        )

    @property
    def title(self) -> str:
        """Short name for progress lines."""
        settings = {
            **self.changed,
            **{k: v for k, v in self.recipe_changed.items() if k.startswith("augmentation.")},
            **({"split": self.data.split} if self.data.split != "train" else {}),
        }
        changes = ", ".join(f"{k}={v}" for k, v in settings.items())
        return f"{self.method.name}{f' ({changes})' if changes else ''} s{self.seed}"


@dataclass(frozen=True)
class Workplace:
    """Where runs are carried out and written, and until when."""

    results: Path
    device: torch.device
    progress: Progress
    deadline: float | None = None
    """In seconds of `time.monotonic`; see `Trainer.fit`."""
    compiled: bool = False
    """Whether encoders are compiled for training."""
    force: bool = False
    """Whether finished runs are made anew."""

    def folder(self, run: Run) -> Path:
        """Return the run's folder."""
        return records.runs_folder(self.results) / run.folder_name


def finished_record(folder: Path, progress: Progress) -> records.RunRecord | None:
    """Return the record of a finished run; a damaged file is named, set aside and counts as none.

    Raises:
        NewerRecord: if a newer version of the suite made it.
        Unreadable: if it cannot be read just now.
    """
    for name, read in ((records.RECORD, records.read_record), (records.EPOCHS, _curve_too)):
        try:
            record = read(folder)
        except records.DamagedRecord as error:
            moved = _set_aside(folder / name)
            progress.note(f"{error}; {moved}the run is completed anew")
            return None
        if record is None:
            return None
    return record


def _curve_too(folder: Path) -> records.RunRecord | None:
    """Return the record of a finished run if its learning curve can be read as well."""
    records.read_epochs(folder)
    return records.read_record(folder)


def _set_aside(path: Path) -> str:
    """Set a damaged file aside and say so; a missing one needs nothing."""
    return f"set aside as {records.set_aside(path).name}, " if os.path.lexists(path) else ""


def reusable_record(folder: Path) -> records.RunRecord | None:
    """Return the record of a finished run without changing anything; None if that cannot do.

    It needs no lock, since a record is written last and at once, nor a folder that may be written.

    Raises:
        NewerRecord: if a newer version of the suite made it.
        Unreadable: if it cannot be read just now.
    """
    try:
        return _curve_too(folder) if os.path.lexists(folder / records.RECORD) else None
    except records.DamagedRecord:
        return None


def carry_out(run: Run, place: Workplace, folder: Path | None = None) -> records.RunRecord:
    """Train and judge one run, going on from its checkpoint, and write its record last.

    Args:
        run: what to do.
        place: where.
        folder: what to write to instead of the run's own folder.

    Raises:
        RunFailed: if training stops (an infinite loss, an error in the method, memory); the
            reason is kept in failed.json, the traceback of a foreign error in traceback.txt.
        OutOfTime: if the place's deadline comes first; the run can go on from its checkpoint.
    """
    folder = folder or place.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        record = _carry_out(run, place, folder)
    except BenchError as error:
        if isinstance(error, RunFailed):
            _write_failure(run, folder, str(error))
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a method's own mistake, or sys.exit, stops this run alone
        if message := out_of_memory(error):
            _write_failure(run, folder, message)
            raise RunFailed(message) from error
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = (
            f"{in_one_line(error)} ({Path(where.filename).name}:{where.lineno}); "
            f"see {folder / TRACEBACK}"
        )
        (folder / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
        _write_failure(run, folder, message)
        raise RunFailed(message) from error
    for stale in (records.FAILED, TRACEBACK):
        (folder / stale).unlink(missing_ok=True)
    return record


def _carry_out(run: Run, place: Workplace, folder: Path) -> records.RunRecord:
    started, environment = datetime.now(UTC), describe(place.device, run.precision, place.compiled)
    write_code(folder, run.key_without_code, run.method)
    checkpoint = _load_checkpoint(run, place, folder)
    trainer = build_trainer(run, place)
    history, earlier = pd.DataFrame(), tuple[Slice, ...]()
    if checkpoint is not None:
        try:
            checkpoints.restore(checkpoint, trainer.method, trainer.optimizer)
            history, earlier = checkpoint.history, checkpoint.slices
        except checkpoints.DamagedCheckpoint as error:
            _set_checkpoint_aside(folder, error, place.progress)
            trainer = build_trainer(run, place)

    slices = SliceLog(earlier, slice_of(environment), history)
    if slices.change:
        place.progress.note(f"{run.title}: {slices.change}")

    def save_epoch(history: pd.DataFrame) -> None:
        made = slices.until(history)
        checkpoints.save(folder, run.key, trainer.method, trainer.optimizer, history, made)
        records.write_epochs(folder, history)

    keep_gallery = gallery_keeper(folder, run.data, run.recipe, trainer.epochs)
    embedded = trainer.fit(history, save_epoch, place.deadline, keep_gallery)
    judgement = judge(trainer.evaluator, embedded, run.data)
    records.write_epochs(folder, trainer.history)
    _write_arrays(folder, embedded, judgement, run.data)
    made = slices.until(trainer.history)
    record = make_record(run, trainer.history, judgement, environment, made, started)
    records.write_record(folder, record)
    return record


def _load_checkpoint(run: Run, place: Workplace, folder: Path) -> checkpoints.Checkpoint | None:
    try:
        return checkpoints.load(folder, run.key, place.device)
    except checkpoints.DamagedCheckpoint as error:
        _set_checkpoint_aside(folder, error, place.progress)
        return None


def _set_checkpoint_aside(folder: Path, error: BenchError, progress: Progress) -> None:
    progress.note(f"{error}; {_set_aside(folder / records.CHECKPOINT)}the run starts anew")


def build_trainer(run: Run, place: Workplace, kind: type[Trainer] = Trainer) -> Trainer:
    """Return the trainer of a run at its start; `kind` may be a subclass that measures it."""
    data, recipe = run.data, run.recipe
    images = _stores(data, place.device)
    # Every method of a seed starts from the same encoder, whatever it draws afterwards.
    torch.manual_seed(derive_seed(run.seed, "encoder"))
    normalisation = (data.mean, data.std)
    weights = run.weights.path if run.weights else None
    encoder = BACKBONES[recipe.backbone](recipe.embedding_size, weights, normalisation)
    torch.manual_seed(derive_seed(run.seed, "method"))
    # Copies: what a constructor does to a list must not change what the record states.
    hyper_parameters = copy.deepcopy(dict(run.hyper_parameters))
    method = run.method(encoder, instances=len(images.train), **hyper_parameters)
    if method.uses_labels:
        method.set_labels(_labels(run))
    method = method.to(place.device)
    return kind(
        method,
        recipe,
        images,
        run.seed,
        place.device,
        run.precision,
        place.progress,
        compiled=place.compiled,
    )


def _labels(run: Run) -> Tensor:
    if run.data.train.labels is None:
        raise UsageProblem(
            f"{run.method.name} learns from labels: expected labelled training images, found none; "
            "choose another method"
        )
    return torch.from_numpy(run.data.train.labels)


@lru_cache(maxsize=1)
def _stores(data: ImageData, device: torch.device) -> Stores:
    """Return the images on the device; the runs of a plan use the same ones in turn."""

    def store(split: Split) -> ImageStore:
        return ImageStore(split, device, data.mean, data.std)

    train = store(data.train)
    bank = train if data.bank is None else store(data.bank)
    test = None if data.test is None else store(data.test)
    return Stores(train, bank, test, data.unseen, data.recalls)


def _write_arrays(folder: Path, embedded: Embedded, judgement: Judgement, data: ImageData) -> None:
    arrays = {"bank": embedded.bank, "bank_labels": data.labelled_bank.labels}
    if data.test is not None:
        arrays |= {"test": embedded.test, "test_labels": data.test.labels}
    arrays["classes"] = np.asarray(data.classes)
    records.write_embeddings(folder, **{k: v for k, v in arrays.items() if v is not None})
    if judgement.predictions is not None:
        records.write_frame(folder, records.PREDICTIONS, judgement.predictions)
    if judgement.similarities is not None:
        records.write_frame(folder, records.SIMILARITIES, judgement.similarities)
    if judgement.gallery:
        records.write_arrays(folder, records.GALLERY, judgement.gallery)


def _write_failure(run: Run, folder: Path, message: str) -> None:
    content = {
        "key": run.key,
        "method": run.method.name,
        "hyper_parameters": run.declared_hyper_parameters,
        "changed": declared(run.method, run.changed),
        "dataset": run.data.facts(),
        "recipe": asdict_recipe(run.recipe),
        "recipe_changed": dict(run.recipe_changed),
        "seed": run.seed,
        "message": message,
    }
    with records.atomic_path(folder / records.FAILED) as part:
        part.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
