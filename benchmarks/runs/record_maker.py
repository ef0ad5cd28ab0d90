"""From a trained and evaluated run to its record: one function for each part of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import backbones
from benchmarks.evaluator import metric_names
from benchmarks.runs import record as schema
from benchmarks.runs import upgrade
from benchmarks.runs.code_changes import code_facts
from benchmarks.runs.spec import RunSpec
from benchmarks.training.recipe.overrides import declared
from benchmarks.training.recipe.reader import asdict_recipe
from benchmarks.training.slices import Slice

if TYPE_CHECKING:
    from benchmarks.evaluator.final import FinalEvaluation

_TOTALS = frozenset(
    {"epoch", "lr", "images_per_second", "images_seen", "train_seconds", "evaluate_seconds"}
)
"""Columns of the history that are no measurements of the last epoch."""


def make_record(
    run: RunSpec,
    history: pd.DataFrame,
    evaluated: "FinalEvaluation",
    environment: schema.Environment,
    slices: Sequence[Slice],
    started: datetime,
) -> schema.RunRecord:
    """Return the record of a run whose last epoch has been evaluated.

    Args:
        run: what was asked for.
        history: a row per epoch, as epochs.parquet holds it.
        evaluated: what was measured once, after the last epoch.
        environment: of this process.
        slices: of all processes that worked on the run.
        started: when this one began.
    """
    last = history.iloc[-1]
    measured = _measurements(last, evaluated)
    return schema.RunRecord(
        schema_version=2,
        key=run.key,
        method=_method(run),
        dataset=schema.DatasetFacts(**upgrade.dataset({**run.data.facts(), **run.data.reading()})),
        recipe=asdict_recipe(run.recipe),
        recipe_changed=dict(run.recipe_changed),
        recipe_own=dict(run.recipe_own),
        seed=run.seed,
        representation=evaluated.representation,
        final=schema.Final(epoch=int(last["epoch"]), measurements=measured),
        best=_best(history, run.data.unseen, evaluated),
        undefined=dict(evaluated.undefined),
        caveats={name: text for name, text in evaluated.caveats.items() if name in measured},
        notes=_notes(run.recipe.backbone),
        weights=run.weights.facts if run.weights else None,
        images_seen=int(last["images_seen"]),
        seconds=schema.Seconds(
            train=float(last["train_seconds"]), evaluate=float(last["evaluate_seconds"])
        ),
        environment=environment,
        slices=tuple(slices),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _method(run: RunSpec) -> schema.MethodFacts:
    return schema.MethodFacts(
        name=run.method.name,
        paper=run.method.paper,
        hyper_parameters=run.declared_hyper_parameters,
        changed=declared(run.method, run.changed),
        uses_labels=run.method.uses_labels,
        **code_facts(run.method),
    )


def _measurements(
    last: "pd.Series[Any]", evaluated: "FinalEvaluation"
) -> dict[str, schema.Measurement]:
    """Return what was measured at the last epoch, in training and after it.

    What was measured in vain (NaN: no labels, nothing trained) is left out. The history's metrics
    of embeddings are the headline's; those that were measured again after the last epoch stand
    with their protocol, and those that have no value on this data set are left out.
    """
    trained = {str(k): float(v) for k, v in last.items() if k not in _TOTALS}
    values = {_named(name, evaluated.representation): value for name, value in trained.items()}
    values |= {name: float(value) for name, value in evaluated.metrics.items()}
    return {
        name: schema.Measurement(
            value=value,
            unit=metric_names.unit(name),
            protocol=evaluated.protocols.get(name, ""),
        )
        for name, value in values.items()
        if np.isfinite(value) and name not in evaluated.undefined
    }


def _named(column: str, representation: str) -> str:
    """Return the name by which a record has a column of the history."""
    if column == "memory_knn":
        return metric_names.of("knn", metric_names.MEMORY)
    known = metric_names.of_embeddings(column)
    return metric_names.of(column, representation) if known else column


def _best(history: pd.DataFrame, unseen: bool, evaluated: "FinalEvaluation") -> schema.Best | None:
    """Return the epoch with the highest headline, or None if it has no value on this data set."""
    metric = metric_names.headline(unseen)
    name = metric.of(evaluated.representation)
    column = name if name in history else metric.name
    if column not in history or history[column].isna().all() or name in evaluated.undefined:
        return None
    row = history.loc[history[column].idxmax()]
    return schema.Best(epoch=int(row["epoch"]), metric=name, value=float(row[column]))


def _notes(backbone: str) -> tuple[str, ...]:
    """Return what a reader of any of the values must know."""
    known = backbones.find(backbone)
    return (f"The backbone {backbone} is {known.caveat}",) if known and known.caveat else ()
