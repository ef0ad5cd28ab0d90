"""Values that other papers and code bases publish, each with the protocol it was measured by.

A value of another protocol is never returned without words for what differs. The values are data:
results/published/*.csv, whose `protocol` column states each setting as `key=value`; an empty value
says that the source does not state it. `names.csv` says which method of the suite a published name
is, or why it is only quoted. The tables of Ye et al. are `paper_tables`'.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.errors import DataProblem, UsageProblem, shown, unknown_name

FILES = ("super_and.csv", "tsuc.csv", "moco_cifar10.csv", "lightly_cifar10.csv")
NAMES = "names.csv"
COLUMNS = ("source", "table", "dataset", "method", "metric", "protocol", "value", "note")
NAME_COLUMNS = ("file", "published", "method", "variant", "quoted")
DATASETS = {
    "CIFAR-10": "cifar10",
    "CIFAR-100": "cifar100",
    "CIFAR-100-20": "cifar100-20",
    "STL-10": "stl10",
    "SVHN": "svhn",
}
"""The suite's name of each published data set."""
KNN, CLUSTERING = "kNN", "clustering accuracy"
_TRAINING = {"network": "network", "epochs": "training epochs", "batch": "batch size"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    KNN: {
        "k": "k",
        "t": "temperature",
        "representation": "representation",
        "bank": "bank",
        "epoch": "epoch evaluated",
        **_TRAINING,
    },
    CLUSTERING: {
        "matching": "matching",
        "split": "split",
        "head": "head",
        "epoch": "epoch evaluated",
        **_TRAINING,
        "runs": "runs",
    },
}
"""By metric, the settings of which its protocol consists, in words; each stated, or "" where it is
not known: k, t; representation "embedding" or "features"; bank "recomputed" or "memory"; epoch
"last", "best" on the test images, or its number."""
_KNN_NAME = re.compile(r"knn-(?P<k>\d+)-(?P<t>\d+(?:\.\d+)?)@(?P<representation>\w+)")

Protocol = Mapping[str, str]
"""A value for each of a metric's `SETTINGS`."""


@dataclass(frozen=True)
class Entry:
    """One published value.

    Attributes:
        file: the file it stands in.
        source: repository, commit and file, or paper, that it was read from.
        table: the table there.
        dataset: the suite's name of the data set.
        published: the row's name in the source.
        method: the suite's name of the method; empty where the row is only quoted.
        variant: what sets the row apart from the method as published; empty for the latter.
        quoted: why the suite cannot measure it; empty where it can.
        metric: "kNN" or "clustering accuracy".
        protocol: see `SETTINGS`.
        value: in percent; None where the source prints a dash.
        note: what a reader should know.
    """

    file: str
    source: str
    table: str
    dataset: str
    published: str
    method: str
    variant: str
    quoted: str
    metric: str
    protocol: Protocol
    value: float | None
    note: str


class Published(NamedTuple):
    """A published value beside which a measured one may stand, with what differs."""

    value: float
    """In percent."""
    differs: tuple[str, ...]
    """What differs from the protocol that was asked for, or is not known, in words."""
    entry: Entry

    @property
    def same_protocol(self) -> bool:
        """Whether the value was measured by the very protocol that was asked for."""
        return not self.differs

    @property
    def mark(self) -> str:
        """What has to stand beside the value: "same protocol", or in what it is another one."""
        if self.same_protocol:
            return "same protocol"
        return f"other protocol: {'; '.join(self.differs)}"


def published_value(
    dataset: str, method: str, metric: str, protocol: Protocol, variant: str = ""
) -> Published | None:
    """Return the first of `published_values`, whose protocol is the nearest; None without any."""
    values = published_values(dataset, method, metric, protocol, variant)
    return values[0] if values else None


def published_values(
    dataset: str, method: str, metric: str, protocol: Protocol, variant: str = ""
) -> tuple[Published, ...]:
    """Return all published values of a method, those whose protocol differs least first.

    Args:
        dataset: the suite's name of a data set.
        method: the suite's name of a method.
        metric: one of `SETTINGS`.
        protocol: how the measured value was measured: each of the metric's settings, "" where it
            is not known, which never counts as the same.
        variant: as `names.csv` states it; other variants of the method are not looked at.

    Raises:
        UsageProblem: there is no such metric or setting, or a setting is left out.
    """
    _require_protocol(metric, protocol)
    wanted = dataset, method, metric, variant
    found = [
        Published(entry.value, differences(metric, protocol, entry.protocol), entry)
        for entry in entries()
        if (entry.dataset, entry.method, entry.metric, entry.variant) == wanted
        and entry.value is not None
        and method
    ]
    return tuple(sorted(found, key=lambda published: len(published.differs)))


def differences(metric: str, asked: Protocol, published: Protocol) -> tuple[str, ...]:
    """Return in words what differs between two protocols of a metric, or is not known of either.

    Args:
        metric: one of `SETTINGS`.
        asked: of the measured value.
        published: of the published one.
    """
    words = []
    for key, name in SETTINGS[metric].items():
        here, there = asked.get(key, ""), published.get(key, "")
        if not there:
            words.append(f"{name} not stated" + (f" (here {here})" if here else ""))
        elif not here:
            words.append(f"{name} {there} (here not known)")
        elif not _equal(here, there):
            words.append(f"{name} {there} (here {here})")
    return tuple(words)


def knn_protocol(
    name: str, *, bank: str, epoch: str, network: str, epochs: int, batch: int
) -> Protocol:
    """Return the protocol of a kNN accuracy that the suite measured.

    Args:
        name: the suite's name of the metric's protocol, such as "knn-200-0.1@embedding".
        bank: "recomputed" or "memory".
        epoch: "last", "best" or a number.
        network: the backbone's name.
        epochs: that the training took, of all rounds.
        batch: images of a batch.

    Raises:
        UsageProblem: the name is of another form.
    """
    parts = _KNN_NAME.fullmatch(name)
    if parts is None:
        raise UsageProblem(
            f"Protocol {shown(name)}: expected knn-K-TEMPERATURE@REPRESENTATION, such as "
            "knn-200-0.1@embedding. Name it so, or give the settings one by one."
        )
    training = {"network": network, "epochs": str(epochs), "batch": str(batch)}
    return {**parts.groupdict(), "bank": bank, "epoch": epoch, **training}


@cache
def entries() -> tuple[Entry, ...]:
    """Return all published values of `FILES`, in their order."""
    folder = published_folder()
    return tuple(entry for file in FILES for entry in read(folder / file, folder / NAMES))


def read(path: Path, names: Path) -> list[Entry]:
    """Read one file of published values.

    Args:
        path: a CSV file of `COLUMNS`.
        names: a CSV file of `NAME_COLUMNS` that has a line for each of the file's methods.

    Raises:
        DataProblem: a file is missing or a line is not of the form above; it names the line.
    """
    known = {
        (row["file"], row["published"]): row for _, row in _lines(names, NAME_COLUMNS)
    }  # by file and published name
    found: list[Entry] = []
    seen: set[tuple[str, ...]] = set()
    for line, row in _lines(path, COLUMNS):
        try:
            entry = _entry(path.name, row, known.get((path.name, row["method"])))
            identity = (*(row[name] for name in COLUMNS[:5]), str(sorted(entry.protocol.items())))
            if identity in seen:
                raise ValueError("the same table, data set, method, metric and protocol as before")
        except ValueError as error:
            raise DataProblem(f"{path}, line {line}: {error}. Mend the line.") from error
        seen.add(identity)
        found.append(entry)
    return found


def published_folder() -> Path:
    """Return the folder of published values: in the repository, or where the wheel carries it."""
    here = Path(__file__).parents[1]
    installed = here / "published"
    return installed if installed.is_dir() else here.parent / "results" / "published"


def _entry(file: str, row: Mapping[str, str], name: Mapping[str, str] | None) -> Entry:
    """Return what a line states; a ValueError says what is wrong with it."""
    metric = row["metric"]
    if name is None:
        raise ValueError(f"expected a method of {NAMES}, found {shown(row['method'])}")
    if bool(name["method"]) == bool(name["quoted"]):
        raise ValueError(f"{NAMES}: expected a method or a reason to quote {row['method']}")
    for column, choices in (("dataset", DATASETS), ("metric", SETTINGS)):
        if row[column] not in choices:
            expected = ", ".join(choices)
            raise ValueError(f"expected a {column} of {expected}, found {shown(row[column])}")
    if not row["source"] or not row["table"]:
        raise ValueError("expected a source and a table, found none")
    return Entry(
        file=file,
        source=row["source"],
        table=row["table"],
        dataset=DATASETS[row["dataset"]],
        published=row["method"],
        method=name["method"],
        variant=name["variant"],
        quoted=name["quoted"],
        metric=metric,
        protocol=_protocol(metric, row["protocol"]),
        value=_percent(row["value"]),
        note=row["note"],
    )


def _percent(text: str) -> float | None:
    if not text:
        return None
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError(f"expected a value of 0 to 100 or none, found {text}")
    return value


def _protocol(metric: str, text: str) -> Protocol:
    pairs = [setting.split("=", 1) for setting in text.split("; ")]
    keys = [pair[0] for pair in pairs]
    if keys != list(SETTINGS[metric]) or any(len(pair) != 2 for pair in pairs):
        expected = "; ".join(f"{key}=" for key in SETTINGS[metric])
        raise ValueError(f"expected a protocol of the form {expected}, found {shown(text)}")
    return dict(pairs)


def _lines(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a CSV file with their numbers."""
    expected = list(columns)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            found = list(reader.fieldnames or ())
            if found != expected:
                raise DataProblem(
                    f"{path}: expected columns {', '.join(expected)}; found "
                    f"{', '.join(found) or 'none'}. Mend the first line."
                )
            lines = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataProblem(f"{path} cannot be read: {error}. Restore the file.") from error
    for number, row in lines:
        if None in row or None in row.values():
            raise DataProblem(f"{path}, line {number}: expected {len(expected)} values. Mend it.")
    return lines


def _require_protocol(metric: str, protocol: Protocol) -> None:
    if metric not in SETTINGS:
        raise unknown_name("published metric", metric, SETTINGS)
    for key in protocol:
        if key not in SETTINGS[metric]:
            raise unknown_name(f"setting of a {metric} protocol", key, SETTINGS[metric])
    if missing := [key for key in SETTINGS[metric] if key not in protocol]:
        raise UsageProblem(
            f"Protocol of {metric}: expected {', '.join(SETTINGS[metric])}; {', '.join(missing)} "
            'left out. State each, as "" where it is not known.'
        )


def _equal(one: str, other: str) -> bool:
    """Return whether two values are the same, 0.1 and 0.10 too."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other
