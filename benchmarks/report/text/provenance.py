"""How the numbers of a comparison were made: facts of the records, and where they differ."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import Comparison
from benchmarks.runs.record import DatasetFacts, Environment, RunRecord, Slice

COMMIT_LENGTH = 10
_AS_ONE = {"device": "devices", "code": "versions of the suite", "packages": "package versions"}


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return (what, value) pairs; a comparison without runs has only its recipe."""
    records = [run.record for run in comparison.runs]
    found = [("Recipe", comparison.label), *_recipe(comparison)]
    sets = [r.dataset for r in records] or ([comparison.dataset] if comparison.dataset else [])
    if sets:
        found.append(("Images", "; ".join(dict.fromkeys(map(_images, sets)))))
    if not records:
        return found
    train = sum(record.seconds.train for record in records)
    evaluate = sum(record.seconds.evaluate for record in records)
    started, finished = min(r.started for r in records), max(r.finished for r in records)
    found += [
        ("Runs", f"{len(records)} finished, {len(comparison.failures)} failed"),
        ("Seeds", ", ".join(map(str, sorted({r.seed for r in records})))),
        ("Protocols", _protocols(records)),
        *([("Weights", weights)] if (weights := _weights(records)) else []),
        ("Device", "; ".join(dict.fromkeys(name for r in records for name in devices(r)))),
        ("Precision", _distinct(records, lambda r: r.environment.precision)),
        ("Python", _distinct(records, lambda r: r.environment.python)),
        ("Packages", _packages(records)),
        ("Code", _distinct(records, lambda r: code(r.environment))),
        ("Time", f"training {clock(train)}, evaluation {clock(evaluate)}"),
        ("Made", f"{_minute(started)} to {_minute(finished)} UTC"),
        (
            "Methods",
            "; ".join(dict.fromkeys(f"{r.method.name}: {r.method.paper}" for r in records)),
        ),
    ]
    own = _own_metrics(records)
    return [*found, ("Methods' own metrics", own)] if own else found


def _images(data: DatasetFacts) -> str:
    split = f", split {data.split}" if data.split != "train" else ""
    bank = f", {data.bank_images:,} of them labelled" if data.bank_images else ""
    return (
        f"{data.name}{split}: {data.train_images:,} to train on{bank}, {data.test_images:,} to "
        f"test on, {data.classes} classes, {data.image_size} pixels, digest {data.digest[:12]}"
        + (", none of the test classes trained on" if data.unseen else "")
        + (", part of the data set" if data.partial else "")
    )


def _weights(records: Iterable[RunRecord]) -> str:
    found = (record.weights for record in records)
    words = (
        f"{file.file}, SHA-256 {file.sha256[:12]}"
        + ("" if file.published else ", not the published file")
        for file in found
        if file is not None
    )
    return "; ".join(dict.fromkeys(words))


def differences(comparison: Comparison) -> str:
    """Say in what the runs of a comparison differ although they are shown together, or ""."""
    records = [run.record for run in comparison.runs]
    environments = [record.environment for record in records]
    values: dict[str, set[str]] = {
        "device": {name for record in records for name in devices(record)},
        "precision": {e.precision for e in environments},
        "packages": {str(sorted(e.packages.items())) for e in environments},
        "code": {code(e) for e in environments},
    }
    several = [_AS_ONE.get(what, what) for what, found in values.items() if len(found) > 1]
    if not several:
        return ""
    seconds = " Their seconds do not compare." if len(values["device"]) > 1 else ""
    return f"The runs of this comparison differ in {', '.join(several)}; see below.{seconds}"


def devices(record: RunRecord) -> list[str]:
    """Return `device` of every slice of a run, without repeats; more than one if it moved."""
    return list(dict.fromkeys(map(device, record.slices or [record.environment])))


def device(environment: Environment | Slice) -> str:
    """Return the device's name, the threads where the processor computes, and if compiled."""
    compiled = ", compiled" if environment.compiled else ""
    threads = f"{environment.threads} thread{'s' * (environment.threads > 1)}"
    return f"{environment.device} ({environment.platform}, {threads}{compiled})"


def code(environment: Environment) -> str:
    """Return the version and commit of the suite, and whether it had changes beyond the commit."""
    version = environment.packages.get("instbench", "")
    commit = environment.git_commit
    if commit is None:
        return f"version {version}".strip() if version else "not recorded"
    dirty = " with uncommitted changes" if environment.git_dirty else ""
    return f"commit {commit[:COMMIT_LENGTH]}{dirty}"


def clock(seconds: float) -> str:
    """Return a time span in hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _recipe(comparison: Comparison) -> list[tuple[str, str]]:
    fields = recipe_facts.plain(comparison.recipe)
    transforms = fields.pop("augmentation", {})
    methods = fields.pop("methods", {})
    words = [
        f"{k} = {recipe_facts.shown(v, k)}"
        for k, v in fields.items()
        if k not in ("name", "description")
    ]
    found = [("Fields", "; ".join(words))] if words else []
    if transforms:
        drawn = (f"{k} = {recipe_facts.shown(v, k)}" for k, v in transforms.items())
        found.append(("Augmentation", "; ".join(drawn)))
    if methods:
        found.append(("Set by the recipe", recipe_facts.shown(methods)))
    return found


def _distinct(records: Iterable[RunRecord], value: Callable[[RunRecord], str]) -> str:
    return "; ".join(dict.fromkeys(value(record) for record in records))


def _protocols(records: Iterable[RunRecord]) -> str:
    return "; ".join(dict.fromkeys(f"{k}: {v}" for r in records for k, v in r.protocols.items()))


def _packages(records: Iterable[RunRecord]) -> str:
    versions: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        for package, version in record.environment.packages.items():
            versions[package][version] = None
    return ", ".join(f"{package} {' and '.join(found)}" for package, found in versions.items())


def _own_metrics(records: Iterable[RunRecord]) -> str:
    """Return what methods measure of themselves: of no representation, by no protocol."""
    return "; ".join(
        f"{record.method.name} s{record.seed}: {name} = {found.value:.4g}"
        for record in records
        for name, found in record.final.measurements.items()
        if name != "loss" and "@" not in name and not found.protocol
    )
