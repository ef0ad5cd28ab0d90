import csv
from pathlib import Path

import pytest

import methods
from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.runs import published
from benchmarks.runs.published import (
    CLUSTERING,
    COLUMNS,
    FILES,
    KNN,
    NAME_COLUMNS,
    NAMES,
    SETTINGS,
    differences,
    entries,
    knn_protocol,
    published_value,
    published_values,
    read,
)

INVASPREAD = {
    "k": "200", "t": "0.1", "representation": "embedding", "bank": "recomputed",
    "epoch": "best", "network": "resnet18", "epochs": "200", "batch": "128",
}  # fmt: skip


def rows(file: str) -> list[dict[str, str]]:
    with (published.published_folder() / file).open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@pytest.mark.parametrize("file", [*FILES, NAMES])
def test_a_file_has_its_columns_and_no_line_twice(file):
    found = rows(file)
    assert tuple(found[0]) == (NAME_COLUMNS if file == NAMES else COLUMNS)
    assert len({tuple(row.values()) for row in found}) == len(found)
    assert all(value == value.strip() for row in found for value in row.values())


@pytest.mark.parametrize("file", FILES)
def test_every_line_is_read(file):
    folder = published.published_folder()
    found = read(folder / file, folder / NAMES)
    assert [entry.published for entry in found] == [row["method"] for row in rows(file)]
    for entry in found:
        assert tuple(entry.protocol) == tuple(SETTINGS[entry.metric])
        assert entry.value is None or 1 < entry.value < 100
        assert entry.value is not None or "not reported" in entry.note
        assert "@" in entry.source


def test_every_name_is_a_method_of_the_suite_or_quoted():
    files = {path.stem.rstrip("_") for path in Path(methods.__file__).parent.glob("*.py")}
    modules = {stem.replace("_", "-") for stem in files} | {"moco-v2"}
    for row in rows(NAMES):
        assert bool(row["method"]) != bool(row["quoted"])
        if row["method"]:
            assert row["method"] in modules | set(methods.names(labelled=True))
    used = {(file, row["method"]) for file in FILES for row in rows(file)}
    assert used == {(row["file"], row["published"]) for row in rows(NAMES)}


def test_data_sets_are_those_of_the_suite():
    assert set(published.DATASETS.values()) <= set(datasets.names())
    assert {entry.dataset for entry in entries()} == set(published.DATASETS.values())


def values(file: str, table: str, metric: str = KNN, **settings: str) -> dict:
    return {
        (entry.published, entry.dataset): entry.value
        for entry in entries()
        if (entry.file, entry.table, entry.metric) == (file, table, metric)
        and all(entry.protocol[key] == value for key, value in settings.items())
    }


def test_super_and_stands_as_printed():
    wide = {"resnet18", "resnet18-sobel2"}
    found = {
        (entry.published, entry.dataset, entry.protocol["network"] in wide): entry.value
        for entry in entries()
        if entry.file == "super_and.csv"
    }
    assert len(found) == 48
    sets = ("cifar10", "cifar100", "svhn")
    wanted = [(True, (89.2, 61.5, 94.9)), (False, (75.6, 42.7, 91.9))]
    for network, expected in wanted:
        assert tuple(found["Super-AND", name, network] for name in sets) == expected
    assert tuple(found["Lemniscate", name, True] for name in sets) == (80.8, 50.7, 93.6)
    assert tuple(found["AND", name, True] for name in sets) == (86.3, 57.2, 94.4)
    assert found["Counting", "svhn", True] is None


def test_two_stage_stands_as_printed():
    first = values("tsuc.csv", "1", CLUSTERING)
    assert len(first) == 36
    sets = ("cifar10", "cifar100-20", "stl10")
    assert [first["Our Model", name] for name in sets] == [81.0, 35.3, 66.5]
    assert [first["IIC", name] for name in sets] == [61.7, 25.7, 59.6]
    third = values("tsuc.csv", "3", CLUSTERING)
    assert list(third.values()) == [58.2, 56.0, 19.5, 38.3, 49.9, 68.4, 81.0]


def test_the_notebook_stands_as_printed():
    table = [e.value for e in entries() if (e.file, e.table) == ("moco_cifar10.csv", "results")]
    assert table == [82.6, 86.3, 88.7, 85.3, 88.5, 89.7]
    curve = [e for e in entries() if (e.file, e.table) == ("moco_cifar10.csv", "curve")]
    assert [e.protocol["epoch"] for e in curve] == [str(number) for number in range(1, 201)]
    at = [curve[number - 1].value for number in (1, 20, 100, 200)]
    assert at == [31.98, 61.38, 78.06, 82.58]


@pytest.mark.parametrize(
    ("batch", "epochs", "first", "last"),
    [("128", "200", 84.2, 74.3), ("512", "200", 81.9, 68.6), ("512", "800", 85.9, 80.0)],
)
def test_lightly_stands_as_printed(batch, epochs, first, last):
    found = values("lightly_cifar10.csv", "cifar10", batch=batch, epochs=epochs)
    assert len(found) == 12
    assert (found["BarlowTwins", "cifar10"], found["SMoG", "cifar10"]) == (first, last)


def test_the_same_protocol_is_said_to_be_the_same():
    found = published_value("cifar10", "invaspread", KNN, {**INVASPREAD, "t": "0.10"})
    assert (found.value, found.differs) == (83.6, ())
    assert found.same_protocol
    assert found.mark == "same protocol"


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("k", "20"), ("t", "0.07"), ("representation", "features"), ("bank", "memory"),
        ("epoch", "last"), ("network", "resnet50"), ("epochs", "12"), ("batch", "256"),
    ],
)  # fmt: skip
def test_each_setting_alone_makes_another_protocol(key, other):
    found = published_value("cifar10", "invaspread", KNN, {**INVASPREAD, key: other})
    assert not found.same_protocol
    (words,) = found.differs
    assert INVASPREAD[key] in words
    assert other in words
    assert words in found.mark


def test_what_the_source_does_not_state_never_counts_as_the_same():
    (found,) = published_values("svhn", "invaspread", KNN, INVASPREAD)[:1]
    assert found.value == 91.3
    assert "bank not stated (here recomputed)" in found.differs
    unknown = dict.fromkeys(INVASPREAD, "")
    assert not published_value("svhn", "invaspread", KNN, unknown).same_protocol
    assert not published_value("cifar10", "invaspread", KNN, unknown).same_protocol


def test_the_nearest_protocol_comes_first():
    asked = {**INVASPREAD, "representation": "features", "epochs": "800", "batch": "512"}
    found = published_values("cifar10", "byol", KNN, asked)
    assert [value.value for value in found] == [91.0, 86.8, 86.9]
    counts = [len(value.differs) for value in found]
    assert counts == sorted(counts)
    assert found[0].same_protocol


def test_every_value_with_another_protocol_has_a_mark():
    for entry in entries():
        for value in published_values(
            entry.dataset, entry.method, entry.metric, entry.protocol, entry.variant
        ):
            assert value.same_protocol == (
                value.entry.protocol == entry.protocol and "" not in entry.protocol.values()
            )


def test_variants_and_quoted_rows_are_not_taken_for_the_method():
    hungarian = dict.fromkeys(SETTINGS[CLUSTERING], "")
    found = published_values("cifar10", "tsuc", CLUSTERING, hungarian)
    assert {value.entry.published for value in found} == {"Our Model"}
    (one,) = published_values("cifar10", "tsuc", CLUSTERING, hungarian, "without temperature")
    assert one.value == 19.5
    assert published_values("cifar10", "", CLUSTERING, hungarian) == ()


@pytest.mark.parametrize(
    ("dataset", "method"), [("digits", "invaspread"), ("cifar10", "mom"), ("cifar10", "nonsense")]
)
def test_without_a_published_value_there_is_none(dataset, method):
    assert published_value(dataset, method, KNN, INVASPREAD) is None


def test_a_dash_is_no_value():
    assert published_values("cifar10", "random-cnn", KNN, INVASPREAD) == ()


def test_a_wrong_question_is_refused():
    with pytest.raises(UsageProblem, match=r"Unknown published metric 'knn'.* Known: clust.*kNN"):
        published_value("cifar10", "and", "knn", INVASPREAD)
    with pytest.raises(UsageProblem, match=r"setting of a kNN protocol 'banks'.*Did you mean bank"):
        published_value("cifar10", "and", KNN, {**INVASPREAD, "banks": "memory"})
    short = {key: INVASPREAD[key] for key in ("k", "t")}
    with pytest.raises(UsageProblem, match=r"representation, bank, epoch, network, .* left out"):
        published_value("cifar10", "and", KNN, short)


def test_the_suites_names_of_protocols_are_understood():
    asked = knn_protocol(
        "knn-200-0.1@embedding",
        bank="recomputed",
        epoch="best",
        network="resnet18",
        epochs=200,
        batch=128,
    )
    assert differences(KNN, asked, INVASPREAD) == ()
    with pytest.raises(UsageProblem, match="'linear@features': expected knn-K-TEMPERATURE@"):
        knn_protocol("linear@features", bank="", epoch="", network="", epochs=1, batch=1)


LINE = {
    "source": "somebody@1", "table": "1", "dataset": "CIFAR-10", "method": "Theirs", "metric": KNN,
    "protocol": "; ".join(f"{key}={value}" for key, value in INVASPREAD.items()),
    "value": "50.5", "note": "",
}  # fmt: skip


def write(path: Path, columns, *lines) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.fixture
def names(tmp_path) -> Path:
    line = {"file": "own.csv", "published": "Theirs", "method": "nce", "variant": "", "quoted": ""}
    return write(tmp_path / NAMES, NAME_COLUMNS, line)


def test_a_file_of_ones_own_is_read(tmp_path, names):
    (entry,) = read(write(tmp_path / "own.csv", COLUMNS, LINE), names)
    assert (entry.method, entry.dataset, entry.value) == ("nce", "cifar10", 50.5)
    assert entry.protocol == INVASPREAD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "Others"}, "expected a method of names.csv, found 'Others'"),
        ({"dataset": "MNIST"}, "expected a dataset of CIFAR-10.* found 'MNIST'"),
        ({"metric": "top-1"}, "expected a metric of kNN, clustering accuracy, found 'top-1'"),
        ({"protocol": "k=200"}, "expected a protocol of the form k=; t=; .* found 'k=200'"),
        ({"protocol": ""}, "expected a protocol of the form"),
        ({"value": "150"}, "expected a value of 0 to 100"),
        ({"value": "nan"}, "expected a value of 0 to 100"),
        ({"value": "many"}, "could not convert"),
        ({"source": ""}, "expected a source and a table"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, names, change, words):
    path = write(tmp_path / "own.csv", COLUMNS, {**LINE, "table": "2"}, {**LINE, **change})
    with pytest.raises(DataProblem, match=rf"own\.csv, line 3: {words}"):
        read(path, names)


def test_the_same_value_twice_is_refused(tmp_path, names):
    path = write(tmp_path / "own.csv", COLUMNS, LINE, {**LINE, "value": "51"})
    with pytest.raises(DataProblem, match="line 3: the same table, data set, method"):
        read(path, names)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "expected columns source, .*; found none"),
        (b"source,value\n", "found source, value"),
        (b"\xff\xfe", "cannot be read"),
        (",".join(COLUMNS).encode() + b"\na,b\n", "line 2: expected 8 values"),
        (",".join(COLUMNS).encode() + b"\n1,2,3,4,5,6,7,8,9\n", "line 2: expected 8 values"),
        (",".join(COLUMNS).encode() + b'\n"1,2', "cannot be read"),
    ],
)
def test_what_is_no_such_table_is_worded(tmp_path, names, content, words):
    path = tmp_path / "own.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataProblem, match=words) as problem:
        read(path, names)
    assert str(path) in str(problem.value)
