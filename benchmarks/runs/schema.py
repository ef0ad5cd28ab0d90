"""The schema of run.json as JSON Schema, for readers in other languages; made from the models."""

import json
from pathlib import Path

from benchmarks.runs.record import SCHEMA_VERSION, RunRecord


def text() -> str:
    """Return the JSON Schema that the models state, as results/schema/ holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= RunRecord.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def path() -> Path:
    """Return the file that holds it: in the repository, or where the wheel carries it."""
    here = Path(__file__).parents[1]
    installed = here / "schema"
    folder = installed if installed.is_dir() else here.parent / "results" / "schema"
    return folder / f"run-{SCHEMA_VERSION}.json"


def write() -> None:
    """Write the file anew after the models have changed."""
    path().parent.mkdir(exist_ok=True)
    path().write_text(text(), encoding="utf-8")
