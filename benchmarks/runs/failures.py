"""Runs that stopped: the content of failed.json, and reading those of a results folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.common.files import Unreadable, one_line, read_whole
from benchmarks.runs import upgrade
from benchmarks.runs.record import DatasetFacts
from benchmarks.runs.store import FAILED, RECORD, DamagedRecord, checked, run_folders


class Failure(BaseModel):
    """The content of failed.json: a run that stopped, for instance at an infinite loss."""

    model_config = ConfigDict(frozen=True)

    method: str
    hyper_parameters: dict[str, Any]
    changed: dict[str, Any]
    """The hyper-parameters that differ from the method's defaults."""
    dataset: DatasetFacts
    recipe: dict[str, Any]
    recipe_changed: dict[str, Any]
    recipe_own: dict[str, Any] = Field(default_factory=dict)
    seed: int
    message: str


def read_failures(results: Path, warn: Callable[[str], None]) -> list[Failure]:
    """Read every failed run below `results`; a run that finished after all is not among them.

    Args:
        results: the folder that `bench run` wrote to.
        warn: called with a line on each failure that cannot be read, or is damaged.
    """
    found = []
    for folder in run_folders(results):
        path = folder / FAILED
        if os.path.lexists(folder / RECORD):
            continue
        try:
            text = read_whole(path)
            if text is not None:
                found.append(_failure(path, text))
        except (DamagedRecord, Unreadable) as error:
            warn(f"left out: {error}")
    return found


def _failure(path: Path, text: bytes) -> Failure:
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = one_line(error)
        raise DamagedRecord(f"{path}: not the record of a failed run ({reason})") from error
    facts = content.get("dataset") if isinstance(content, dict) else None
    if isinstance(facts, dict):  # it leaves out what is as usual
        content = {**content, "dataset": upgrade.dataset(facts)}
    return checked(Failure, content, path)
