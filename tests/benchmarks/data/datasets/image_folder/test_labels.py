from pathlib import Path

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.image_folder.labels import Row, listed, read_rows
from benchmarks.data.datasets.image_folder.tree import ImageFile, LeftOut, Tree

ROOT = Path("/nowhere")


def layout(tmp_path: Path, content: str | bytes, images: int = 10):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    names = [f"{number}.png" for number in range(images)]
    tree = Tree(
        tuple(ImageFile(name, ROOT / name) for name in names),
        (LeftOut("gone.png", "link to nothing"), LeftOut(".h/", "hidden")),
    )
    return listed(tree, read_rows(path), path)


def named(entries) -> dict[str, str | None]:
    return {entry.name.removesuffix(".png"): entry.label for entry in entries}


def lines(*rows: str, header: str = "file,label,split") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["file,label", "File,LABEL", " label , file ", "x,FILE,Label"])
def test_columns_in_any_case_and_order(tmp_path, header, separator):
    columns = [name.strip().lower() for name in header.split(",")]
    content = [header.replace(",", separator)]
    for number, label in enumerate(("cat", "dog") * 5):
        cells = {"file": f"{number}.png", "label": label, "x": "?"}
        content.append(separator.join(cells[name] for name in columns))
    found = layout(tmp_path, "\r\n".join(content))
    assert named(found.test) == {"2": "cat", "3": "dog"}  # the second of every five
    assert len(found.train) == 8
    assert "no column split" in found.how
    assert not found.left_out


def test_the_split_is_as_stated(tmp_path):
    found = layout(
        tmp_path,
        lines(
            "0.png,a,train", "1.png,b,Training", "2.png,a,TEST", "./3.png,b,testing", "4.png,a,val"
        ),
    )
    assert named(found.train) == {"0": "a", "1": "b"}
    assert named(found.test) == {"2": "a", "3": "b"}
    reasons = [reason for _, reason in found.left_out]
    assert reasons.count("image not listed in labels.csv") == 5
    assert reasons.count("image of another held-out folder") == 1


def test_val_is_the_test_set_where_there_is_no_other(tmp_path):
    found = layout(tmp_path, lines("0.png,a,train", "1.png,b,train", "2.png,a,valid"), 3)
    assert named(found.test) == {"2": "a"}
    assert "val is the test set" in found.how


def test_images_without_a_label_are_trained_on_but_do_not_vote(tmp_path):
    found = layout(
        tmp_path, lines("0.png,a,train", "1.png,b,train", "2.png,,train", "3.png,a,test",
                        "4.png,,test"), 5,
    )  # fmt: skip
    assert named(found.train) == {"0": "a", "1": "b", "2": None}
    assert named(found.bank) == {"0": "a", "1": "b"}
    assert named(found.test) == {"3": "a"}
    assert found.left_out == [LeftOut("4.png", "test image without a label")]


def test_a_pool_with_labelled_test_images(tmp_path):
    rows = [f"{number}.png,,train" for number in range(4)]
    rows += [f"{number}.png,{'ab'[number % 2]},test" for number in range(4, 10)]
    found = layout(tmp_path, lines(*rows))
    assert set(named(found.train).values()) == {None}
    assert (len(found.bank), len(found.test)) == (4, 2)


def test_dates_may_be_stated_as_no_labels(tmp_path):
    found = layout(tmp_path, lines("0.png,", "1.png,", header="file,label"), 2)
    assert named(found.train) == {"0": None, "1": None}
    assert not found.test


def test_one_class_is_no_label(tmp_path):
    found = layout(tmp_path, lines("0.png,a", "1.png,a", header="file,label"), 2)
    assert named(found.train) == {"0": None, "1": None}
    assert found.notes == ("one class only (a), so treated as unlabelled",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("file,name\n0.png,a\n", "no column 'label': found file, name"),
        ("0.png,a\n1.png,b\n", "no column 'file'"),
        ("file,label,label\n0.png,a,b\n", "column 'label' is there twice"),
        (lines("0.png,a,train", "1.png,b"), "line 3: expected 3 columns, found 2"),
        (lines("0.png,a,b,train"), "line 2: expected 3 columns, found 4"),
        (lines(",a,train"), "line 2: expected the name of a file"),
        (lines("0.png,a,tset"), "line 2: split: expected train, test or val, found 'tset'"),
        (lines('0.png,"a,train'), "line 2"),
        (lines("x.png,a,train", "0.png,b,train"), r"1 files are not there: x.png (line 2)"),
        (lines("../0.png,a,train"), "../0.png (line 2)"),
        (lines("/etc/passwd,a,train"), "/etc/passwd (line 2)"),
        (lines("0.png,a,train", "0.png,b,test"), "listed twice: 0.png (lines 2 and 3)"),
        (lines("0.png,a,test", "1.png,b,test"), "expected images to train on, found none"),
        ("file,label\n0.png,été\n".encode("latin-1"), "expected the encoding UTF-8"),
        ("file,label\n0.png,a\n".encode("utf-16"), "expected the encoding UTF-8"),
    ],
)
def test_each_mistake_is_one_clear_line(tmp_path, content, words):
    with pytest.raises(DataProblem) as problem:
        layout(tmp_path, content)
    assert words in str(problem.value)
    assert "labels.csv" in str(problem.value)
    assert "\n" not in str(problem.value)


def test_files_that_are_left_out_may_be_listed(tmp_path):
    found = layout(tmp_path, lines("0.png,a", "1.png,b", "gone.png,a", ".h/2.png,b",
                                   header="file,label"), 2)  # fmt: skip
    assert named(found.train) == {"0": "a", "1": "b"}


def test_a_byte_order_mark_and_quotation_marks_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes('file,label\n"0.png","cat, big"\n'.encode("utf-8-sig"))
    assert read_rows(path) == [Row(2, "0.png", "cat, big", None)]


def test_windows_names_and_accents_are_found(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,label\na\\1.png,x\ne\u0301.png,y\n", encoding="utf-8")
    names = ("a/1.png", "é.png")
    tree = Tree(tuple(ImageFile(name, ROOT / name) for name in names))
    found = listed(tree, read_rows(path), path)
    assert {entry.name: entry.label for entry in found.train} == {"a/1.png": "x", "é.png": "y"}
