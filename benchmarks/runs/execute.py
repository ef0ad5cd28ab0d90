"""The life of one run: from its checkpoint, through training and evaluation, to its record."""

import copy
import json
import os
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks import backbones
from benchmarks.common.errors import BenchError, RunFailed, UsageProblem
from benchmarks.common.memory_errors import out_of_memory
from benchmarks.common.seeds import derive_seed
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.data.loader import ImageStore, Stores
from benchmarks.evaluator.embed import Embedded
from benchmarks.runs import store as records
from benchmarks.runs.code_changes import write_code
from benchmarks.runs.gallery_log import GalleryLog
from benchmarks.runs.provenance import describe, slice_of
from benchmarks.runs.record_maker import make_record
from benchmarks.runs.spec import RunSpec
from benchmarks.training import checkpoint as checkpoints
from benchmarks.training.loggers.console import Progress
from benchmarks.training.recipe.overrides import declared
from benchmarks.training.recipe.reader import asdict_recipe
from benchmarks.training.slices import Slice, SliceLog
from benchmarks.training.trainer import Trainer
from methods.base.registry import in_one_line

if TYPE_CHECKING:
    from benchmarks.evaluator.final import FinalEvaluation

TRACEBACK = "traceback.txt"


@dataclass(frozen=True)
class RunContext:
    """Where runs are executed and written, and until when."""

    results: Path
    device: torch.device
    progress: Progress
    deadline: float | None = None
    """In seconds of `time.monotonic`; see `Trainer.fit`."""
    compiled: bool = False
    """Whether encoders are compiled for training."""
    force: bool = False
    """Whether finished runs are made anew."""

    def folder(self, run: RunSpec) -> Path:
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


def execute(run: RunSpec, context: RunContext, folder: Path | None = None) -> records.RunRecord:
    """Train and evaluate one run, going on from its checkpoint, and write its record last.

    Args:
        run: what to do.
        context: where and until when.
        folder: what to write to instead of the run's own folder.

    Raises:
        RunFailed: if training stops (an infinite loss, an error in the method, memory); the
            reason is kept in failed.json, the traceback of a foreign error in traceback.txt.
        OutOfTime: if the context's deadline comes first; the run can go on from its checkpoint.
    """
    folder = folder or context.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        record = _train_and_evaluate(run, context, folder)
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


def _train_and_evaluate(run: RunSpec, context: RunContext, folder: Path) -> records.RunRecord:
    started = datetime.now(UTC)
    environment = describe(context.device, run.precision, context.compiled)
    data = run.data.load()
    write_code(folder, run.key_without_code, run.method)
    checkpoint = _load_checkpoint(run, context, folder)
    trainer = build_trainer(run, context)
    history, earlier = pd.DataFrame(), tuple[Slice, ...]()
    if checkpoint is not None:
        try:
            checkpoints.restore(checkpoint, trainer.method, trainer.optimizer)
            history, earlier = checkpoint.history, checkpoint.slices
        except checkpoints.DamagedCheckpoint as error:
            _set_checkpoint_aside(folder, error, context.progress)
            trainer = build_trainer(run, context)

    slices = SliceLog(earlier, slice_of(environment), history)
    if slices.change:
        context.progress.note(f"{run.title}: {slices.change}")

    def save_epoch(history: pd.DataFrame) -> None:
        made = slices.until(history)
        checkpoints.save(folder, run.key, trainer.method, trainer.optimizer, history, made)
        records.write_epochs(folder, history)

    keep_gallery = GalleryLog(folder, data, trainer.epochs, run.recipe.evaluate_every)
    embedded = trainer.fit(history, save_epoch, context.deadline, keep_gallery)
    # Imported when training is done: scikit-learn and SciPy take a second before the first step.
    from benchmarks.evaluator.final import evaluate_final

    evaluated = evaluate_final(trainer.evaluator, embedded, data)
    records.write_epochs(folder, trainer.history)
    _write_arrays(folder, embedded, evaluated, data)
    made = slices.until(trainer.history)
    record = make_record(run, trainer.history, evaluated, environment, made, started)
    records.write_record(folder, record)
    return record


def _load_checkpoint(
    run: RunSpec, context: RunContext, folder: Path
) -> checkpoints.Checkpoint | None:
    try:
        return checkpoints.load(folder, run.key, context.device)
    except checkpoints.DamagedCheckpoint as error:
        _set_checkpoint_aside(folder, error, context.progress)
        return None


def _set_checkpoint_aside(folder: Path, error: BenchError, progress: Progress) -> None:
    progress.note(f"{error}; {_set_aside(folder / records.CHECKPOINT)}the run starts anew")


def build_trainer(run: RunSpec, context: RunContext, kind: type[Trainer] = Trainer) -> Trainer:
    """Return the trainer of a run at its start; `kind` may be a subclass that measures it."""
    data, recipe = run.data.load(), run.recipe
    images = _stores(data, context.device)
    # Every method of a seed starts from the same encoder, whatever it draws afterwards.
    torch.manual_seed(derive_seed(run.seed, "encoder"))
    normalisation = (data.mean, data.std)
    weights = run.weights.path if run.weights else None
    encoder = backbones.get(recipe.backbone)(recipe.embedding_size, weights, normalisation)
    torch.manual_seed(derive_seed(run.seed, "method"))
    # Copies: what a constructor does to a list must not change what the record states.
    hyper_parameters = copy.deepcopy(dict(run.hyper_parameters))
    method = run.method(encoder, instances=len(images.train), **hyper_parameters)
    if method.uses_labels:
        method.set_labels(_labels(run, data))
    method = method.to(context.device)
    return kind(
        method,
        recipe,
        images,
        run.seed,
        context.device,
        run.precision,
        context.progress,
        compiled=context.compiled,
    )


def _labels(run: RunSpec, data: ImageData) -> Tensor:
    if data.train.labels is None:
        raise UsageProblem(
            f"{run.method.name} learns from labels: expected labelled training images, found none; "
            "choose another method"
        )
    return torch.from_numpy(data.train.labels)


@lru_cache(maxsize=1)
def _stores(data: ImageData, device: torch.device) -> Stores:
    """Return the images on the device; the runs of a plan use the same ones in turn."""

    def store(split: Split) -> ImageStore:
        return ImageStore(split, device, data.mean, data.std)

    train = store(data.train)
    bank = train if data.bank is None else store(data.bank)
    test = None if data.test is None else store(data.test)
    return Stores(train, bank, test, data.unseen, data.recalls)


def _write_arrays(
    folder: Path, embedded: Embedded, evaluated: "FinalEvaluation", data: ImageData
) -> None:
    headline = embedded.headline
    arrays = {"bank": embedded.bank[headline], "bank_labels": data.labelled_bank.labels}
    if data.test is not None:
        test = embedded.test[headline] if embedded.test is not None else None
        arrays |= {"test": test, "test_labels": data.test.labels}
    arrays["classes"] = np.asarray(data.classes)
    records.write_embeddings(folder, **{k: v for k, v in arrays.items() if v is not None})
    if evaluated.predictions is not None:
        records.write_frame(folder, records.PREDICTIONS, evaluated.predictions)
    if evaluated.similarities is not None:
        records.write_frame(folder, records.SIMILARITIES, evaluated.similarities)
    if evaluated.gallery:
        records.write_arrays(folder, records.GALLERY, evaluated.gallery)


def _write_failure(run: RunSpec, folder: Path, message: str) -> None:
    content = {
        "key": run.key,
        "method": run.method.name,
        "hyper_parameters": run.declared_hyper_parameters,
        "changed": declared(run.method, run.changed),
        "dataset": run.data.facts(),
        "recipe": asdict_recipe(run.recipe),
        "recipe_changed": dict(run.recipe_changed),
        "recipe_own": dict(run.recipe_own),
        "seed": run.seed,
        "message": message,
    }
    with records.atomic_path(folder / records.FAILED) as part:
        part.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
