"""From a trained and evaluated run to its record: one function for each part of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.backbones import BACKBONES
from benchmarks.evaluator import metric_names
from benchmarks.evaluator.final import KNN_PROTOCOLS, Judgement
from benchmarks.evaluator.metric_names import EMBEDDING
from benchmarks.runs import record as schema
from benchmarks.runs import upgrade
from benchmarks.runs.code_changes import code_facts
from benchmarks.training.recipe.overrides import declared
from benchmarks.training.recipe.reader import asdict_recipe
from benchmarks.training.slices import Slice
from methods import Method

if TYPE_CHECKING:
    from benchmarks.runs.execute import Run

_TOTALS = frozenset(
    {"epoch", "lr", "images_per_second", "images_seen", "train_seconds", "evaluate_seconds"}
)
"""Columns of the history that are no measurements of the last epoch."""


def make_record(
    run: "Run",
    history: pd.DataFrame,
    evaluated: Judgement,
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
    representation = headline_representation(run.method)
    protocols = _protocols(run, evaluated)
    measured = _measurements(last, evaluated, protocols, representation)
    caveats = upgrade.renamed(evaluated.caveats, protocols, representation)
    return schema.RunRecord(
        schema_version=2,
        key=run.key,
        method=_method(run),
        dataset=schema.DatasetFacts(**upgrade.dataset({**run.data.facts(), **run.data.reading()})),
        recipe=asdict_recipe(run.recipe),
        recipe_changed=dict(run.recipe_changed),
        seed=run.seed,
        representation=representation,
        final=schema.Final(epoch=int(last["epoch"]), measurements=measured),
        best=_best(history, run.data.unseen, representation),
        undefined=upgrade.renamed(evaluated.undefined, protocols, representation),
        caveats={name: text for name, text in caveats.items() if name in measured},
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


def headline_representation(method: type[Method]) -> str:
    """Return what a method's curve and headline are of: the encoder's embedding, or its own."""
    return EMBEDDING if method.embed is Method.embed else upgrade.OWN


def _method(run: "Run") -> schema.MethodFacts:
    return schema.MethodFacts(
        name=run.method.name,
        paper=run.method.paper,
        hyper_parameters=run.declared_hyper_parameters,
        changed=declared(run.method, run.changed),
        uses_labels=run.method.uses_labels,
        **code_facts(run.method),
    )


def _protocols(run: "Run", evaluated: Judgement) -> dict[str, str]:
    """Return the protocol of every metric that may have been measured, by the evaluation's name."""
    knn = run.recipe.knn_protocol
    return {**{name: knn + suffix for name, suffix in KNN_PROTOCOLS.items()}, **evaluated.protocols}


def _measurements(
    last: "pd.Series[Any]",
    evaluated: Judgement,
    protocols: Mapping[str, str],
    representation: str,
) -> dict[str, schema.Measurement]:
    """Return what was measured at the last epoch, in training and after it.

    What was measured in vain (NaN: no labels, nothing trained) is left out.
    """
    values = {str(k): float(v) for k, v in last.items() if k not in _TOTALS}
    values |= {name: float(value) for name, value in evaluated.figures.items()}
    finite = {name: value for name, value in values.items() if np.isfinite(value)}
    found = upgrade.measurements(finite, protocols, representation)
    return {name: schema.Measurement(**content) for name, content in found.items()}


def _best(history: pd.DataFrame, unseen: bool, representation: str) -> schema.Best | None:
    """Return the epoch with the highest headline, or None if it was never measured."""
    metric = metric_names.headline(unseen)
    name = metric.of(representation)
    column = name if name in history else metric.name
    if column not in history or history[column].isna().all():
        return None
    row = history.loc[history[column].idxmax()]
    return schema.Best(epoch=int(row["epoch"]), metric=name, value=float(row[column]))


def _notes(backbone: str) -> tuple[str, ...]:
    """Return what a reader of any of the values must know."""
    known = BACKBONES.get(backbone)
    return (f"The backbone {backbone} is {known.remark}",) if known and known.remark else ()
