"""The code that a run was made with, beside its files, and what has changed since."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.runs import store
from methods import Method
from methods.base.code import OWN_PACKAGE, code_of

CODE = "code.json"
"""In a run's folder from its start: MethodFacts' fields of the code, and `configuration`, the run's
key without the code."""


def code_facts(method: type[Method]) -> dict[str, Any]:
    """Return the fields of `records.MethodFacts` that say which code a method is."""
    code = code_of(method)
    return {
        "revision": method.revision,
        "file": code.file,
        "sha256": code.sha256,
        "package": code.package,
        "version": code.version,
    }


def write_code(folder: Path, configuration: str, method: type[Method]) -> None:
    """State a run's code in its folder, so that a later command can tell what has changed.

    Args:
        folder: the run's.
        configuration: the run's key without the code.
        method: the run's.
    """
    content = {**code_facts(method), "configuration": configuration}
    with store.atomic_path(folder / CODE) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def changed_since(folder: Path, configuration: str, method: type[Method]) -> str | None:
    """Say what of a method's code has changed since a run of the same configuration was made.

    Args:
        folder: where the run will be made; the others are beside it.
        configuration: the run's key without the code.
        method: the run's.

    Returns:
        None if there is no run of other code, or the run goes on from a checkpoint of its own.
    """
    try:
        others = [] if _has_results(folder) else list(_others(folder, configuration))
        other, before = max(others, key=lambda other: other[0].stat().st_mtime)
    except (OSError, ValueError):  # not readable, or none
        return None
    now = code_facts(method)
    state = "finished run" if (other / store.RECORD).exists() else "checkpoint"
    return (
        f"{_difference(before, now)} since the {state} {other.name}, which is kept and not used; "
        "this run starts anew"
    )


def with_newest_code(
    runs: Sequence[store.StoredRun], warn: Callable[[str], None]
) -> list[store.StoredRun]:
    """Return the runs without those of a method's earlier code, which must not be averaged in.

    Args:
        runs: finished ones.
        warn: takes a line for each run that is left out.
    """
    newest: dict[str, store.StoredRun] = {}
    for run in sorted(runs, key=_finished):
        newest[_compared(run.record)] = run
    kept = []
    for run in runs:
        latest = newest[_compared(run.record)]
        if _recorded_code(run.record) == _recorded_code(latest.record):
            kept.append(run)
        else:
            warn(
                f"left out: {run.folder.name}: {run.record.method.name} was made with other code "
                f"than its latest run {latest.folder.name}"
            )
    return kept


def _finished(run: store.StoredRun) -> tuple[str, float]:
    """Return when a run finished; of the same second, which record was written later."""
    try:
        return run.record.finished, (run.folder / store.RECORD).stat().st_mtime
    except OSError:  # removed meanwhile
        return run.record.finished, 0.0


def _compared(record: store.RunRecord) -> str:
    """Return what runs share that a report puts side by side."""
    shared = (record.method.name, record.dataset.model_dump(), record.recipe)
    return json.dumps(shared, sort_keys=True, default=str)


def _recorded_code(record: store.RunRecord) -> tuple[Any, ...]:
    """Return what tells a recorded method's code apart: of the suite's own the revision alone."""
    method = record.method
    if method.package == OWN_PACKAGE:
        return method.revision, None, None
    return method.revision, method.sha256, method.version


def _others(folder: Path, configuration: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the folders of runs of the same configuration, with what is known of their code."""
    stem = folder.name.rpartition("-")[0]
    before_digests = f"{stem}-{configuration[:8]}"  # keys had no code then
    for other in folder.parent.glob(f"{_literally(stem)}-????????"):
        if other.name == folder.name or not _has_results(other):
            continue
        stated = _read(other)
        if stated.get("configuration") == configuration or (
            not stated and other.name == before_digests
        ):
            yield other, stated


def _literally(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _has_results(folder: Path) -> bool:
    return any((folder / name).exists() for name in (store.RECORD, store.CHECKPOINT))


def _read(folder: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((folder / CODE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = before.get("sha256"), now["sha256"]
    if before.get("revision", 1) != now["revision"]:
        return f"revision {before.get('revision', 1)} became {now['revision']}"
    if now["version"] != before.get("version") and before:
        return f"{now['package']} {before.get('version')} became {now['version']}"
    if isinstance(old, str) and isinstance(new, str) and old != new:
        return f"{now['file']} has changed ({old[:8]} became {new[:8]})"
    if not before:
        return f"{now['file']} may have changed (no digest was recorded then)"
    return f"the code below {now['file']} has changed"
