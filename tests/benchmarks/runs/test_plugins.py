"""Methods from plug-in files, by the command line: their code in the key, and what goes wrong."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.runs import store
from benchmarks.runs.code_changes import CODE, with_newest_code
from benchmarks.runs.plan import choose, make_plan
from benchmarks.runs.spec import RunSpec
from benchmarks.training import checkpoint
from helpers.old_records import RECORD_1
from methods.base.code import Code, code_of, known
from methods.testing.contract import RESERVED_METRICS, RESERVED_PREFIXES

SOURCE = """
import torch
from methods import Method

class Mine(Method):
    name = "{name}"
    paper = "Nobody, 2030"

    def __init__(self, encoder, instances, *, weight=1.0):
        super().__init__(encoder, instances)
        self.weight = weight

    def loss(self, batch):
        first, second = self.embed_views(batch)
        return self.weight * {loss}
"""
NEAR = "(first - second).square().sum(1).mean()"
FAR = "-(first @ second.T / 0.1).log_softmax(1).diagonal().mean()"


def write(path: Path, loss: str = NEAR, name: str = "mine", more: str = "") -> Path:
    path.write_text(SOURCE.format(name=name, loss=loss) + more)
    return path


@pytest.fixture
def run_mine(bench, tmp_path, tiny_recipe):
    """Run the plug-in mine.py for an epoch; returns what was said."""

    def call(*words: str, status: int = 0, methods: str = "mine") -> str:
        plugin = str(tmp_path / "mine.py")
        usual = ["--plugin", plugin, "--recipe", str(tiny_recipe), "--epochs", "1"]
        return bench("run", *usual, "--methods", methods, *words, status=status).output

    return call


def folders(tmp_path: Path, name: str = "mine") -> list[Path]:
    return sorted((tmp_path / "results" / "runs").glob(f"digits-{name}-*"))


def record_in(folder: Path) -> dict:
    return json.loads((folder / store.RECORD).read_text())


def test_an_edited_plugin_is_trained_anew_and_says_so(run_mine, tmp_path):
    plugin = write(tmp_path / "mine.py")
    first = run_mine()
    assert "done: mine" in first
    assert "changed" not in first
    assert "reused: mine" in run_mine()
    (old,) = folders(tmp_path)
    before = (old / store.RECORD).read_bytes()

    write(plugin, FAR)
    edited = run_mine()
    assert "done: mine" in edited
    assert f"mine.py has changed ({record_in(old)['method']['sha256'][:8]} became" in edited
    assert f"since the finished run {old.name}" in edited
    assert len(folders(tmp_path)) == 2
    assert (old / store.RECORD).read_bytes() == before
    assert "reused: mine" in run_mine()

    write(plugin, NEAR)
    assert f"reused: mine s0 ({old.name})" in run_mine()


def test_the_record_names_file_digest_and_revision(run_mine, tmp_path):
    plugin = write(tmp_path / "mine.py", more="    revision = 3\n")
    run_mine(methods="mine,random-cnn")
    method = record_in(folders(tmp_path)[0])["method"]
    assert method["file"].endswith("mine.py")
    assert method["sha256"] == sha256(plugin.read_bytes()).hexdigest()
    assert (method["revision"], method["package"], method["version"]) == (3, None, None)
    own = record_in(folders(tmp_path, "random-cnn")[0])["method"]
    assert (own["file"], own["package"], own["revision"]) == (
        "methods/random_cnn.py", "instbench", 1,
    )  # fmt: skip


def test_records_without_code_are_still_read(tmp_path):
    (tmp_path / store.RECORD).write_text(json.dumps(RECORD_1))
    read = store.read_record(tmp_path)
    assert read is not None
    assert (read.method.revision, read.method.sha256) == (1, None)


def test_a_checkpoint_of_other_code_is_not_resumed(run_mine, tmp_path, monkeypatch):
    plugin = write(tmp_path / "mine.py")
    run_mine()
    (old,) = folders(tmp_path)
    (old / store.RECORD).unlink()  # as if it had been killed before the record
    assert "epoch 1" not in run_mine()  # the same code goes on
    (old / store.RECORD).unlink()
    write(plugin, FAR)
    said = run_mine()
    assert "epoch 1/1" in said
    assert (
        f"has changed ({sha256(SOURCE.format(name='mine', loss=NEAR).encode()).hexdigest()[:8]}"
        in said
    )
    assert f"since the checkpoint {old.name}" in said
    assert not (old / store.RECORD).exists()
    (new,) = set(folders(tmp_path)) - {old}
    (new / store.RECORD).unlink()
    assert "changed" not in run_mine()  # it goes on from a checkpoint of its own


def test_another_configuration_is_no_change_of_code(run_mine, tmp_path):
    plugin = write(tmp_path / "mine.py")
    run_mine()
    write(plugin, FAR)
    assert "has changed" not in run_mine("--set", "mine.weight=2")
    assert "has changed" not in run_mine("--set", "recipe.batch_size=16")
    assert "has changed" in run_mine()


@pytest.fixture
def key_of(digits_run):
    """Return the key of a run whose method's class has some members replaced."""

    def key(code: Code | None = None, **members) -> str:
        changed = type("Changed", (digits_run.method,), members)
        known[changed] = code or code_of(digits_run.method)
        return RunSpec(**{**vars_of(digits_run), "method": changed}).key

    return key


def vars_of(run: RunSpec) -> dict:
    return {name: getattr(run, name) for name in RunSpec.__dataclass_fields__}


@pytest.fixture
def digits_run(tiny_recipe):
    from benchmarks.data import datasets
    from benchmarks.training.recipe import read

    data = datasets.get("digits").load(datasets.default_root())
    (run,) = make_plan(
        choose(["nce"]), lambda *_: data, read(str(tiny_recipe)).recipe, 1, {}, "fp32"
    )
    return run


def test_own_methods_at_revision_1_keep_their_keys(digits_run):
    assert digits_run.code == {}
    assert digits_run.key == digits_run.key_without_code


def test_revision_digest_and_package_are_in_the_key(key_of):
    own = Code("methods/nce.py", "1" * 64, "instbench", "1", own=True)
    keys = [
        key_of(),
        key_of(code=own, revision=2),
        key_of(code=Code("a.py", "2" * 64)),
        key_of(code=Code("a.py", "3" * 64)),
        key_of(code=Code("a.py", "3" * 64, "package", "1.0")),
        key_of(code=Code("a.py", "3" * 64, "package", "1.1")),
        key_of(code=Code("a.py", "3" * 64), revision=2),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(code=own) == keys[0]  # the suite's digest is not in it
    assert key_of(code=Code("elsewhere/b.py", "2" * 64)) == keys[2]  # nor is the place of a file


def test_a_report_does_not_average_over_code(run_mine, bench, tmp_path):
    plugin = write(tmp_path / "mine.py")
    run_mine("--seeds", "2")
    old = {folder.name for folder in folders(tmp_path)}
    write(plugin, FAR)
    run_mine()
    bench("report")
    stored = store.read_all(tmp_path / "results", lambda text: None)
    said: list[str] = []
    kept = with_newest_code(stored, said.append)
    assert {run.folder.name for run in kept} == {run.folder.name for run in stored} - old
    assert len(said) == 2
    assert all("made with other code" in line for line in said)
    assert "made with other code" in (tmp_path / "results" / "report" / "report.html").read_text()


def test_force_makes_a_finished_run_anew_and_replaces_it_at_the_end(run_mine, tmp_path):
    write(tmp_path / "mine.py")
    run_mine()
    (folder,) = folders(tmp_path)
    first = record_in(folder)
    said = run_mine("--force")
    assert "epoch 1/1" in said
    assert "reused" not in said
    second = record_in(folder)
    assert second["final"] == first["final"]
    assert second["seconds"] != first["seconds"]
    assert not (folder / "anew").exists()
    assert "reused" in run_mine()


def test_a_forced_run_that_fails_loses_nothing(run_mine, bench, tmp_path, monkeypatch):
    write(tmp_path / "mine.py")
    run_mine()
    (folder,) = folders(tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(checkpoint, "save", full)
        assert "failed: mine" in run_mine("--force", status=1)
    after = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    assert after == before
    assert "finished" in bench("list", "runs").output
    assert "reused" in run_mine()


def test_a_forced_run_that_was_killed_while_it_replaced_the_old_one_is_completed(
    run_mine, tmp_path
):
    write(tmp_path / "mine.py")
    run_mine()
    (folder,) = folders(tmp_path)
    made = folder / "anew"
    made.mkdir()
    record = record_in(folder) | {"finished": "2030-01-01T00:00:00+00:00"}
    (made / store.RECORD).write_text(json.dumps(record))
    (made / store.EMBEDDINGS).write_bytes((folder / store.EMBEDDINGS).read_bytes())
    assert "reused" in run_mine()
    assert record_in(folder)["finished"] == record["finished"]
    assert not made.exists()


def test_force_and_a_time_limit_do_not_go_together(run_mine, tmp_path):
    write(tmp_path / "mine.py")
    assert "--force: expected no --for" in run_mine("--force", "--for", "1", status=2)


@pytest.mark.parametrize(
    "line", ["import sys; sys.exit(0)", "raise StopIteration", "import no_such_module"]
)
def test_a_plugin_that_fails_to_import_stops_nothing_and_ends_with_status_1(
    run_mine, tmp_path, line
):
    (tmp_path / "mine.py").write_text(line)
    said = run_mine(methods="random-cnn", status=1)
    assert "mine.py: fails to import" in said
    assert "done: random-cnn" in said
    said = run_mine(methods="mine,random-cnn", status=1)
    assert "failed: mine: not known" in said
    assert "reused: random-cnn" in said
    assert "fails to import" in run_mine(status=1)


@pytest.mark.parametrize(
    "body",
    [
        "    def epochs(self, planned): raise StopIteration\n",
        "    def metrics(self): raise SystemExit(0)\n",
        "    def metrics(self): return {'knn': 99.9, 'epoch': 77}\n",
        "    paper = None\n",
    ],
)
def test_a_broken_method_is_told_before_training_and_the_others_run(run_mine, tmp_path, body):
    write(tmp_path / "mine.py", name="a-mine", more=body)
    said = run_mine(methods="a-mine,random-cnn", status=1)
    assert "failed: a-mine: " in said
    assert "done: random-cnn" in said
    assert not folders(tmp_path, "a-mine")


LATE = """
    late = 0
    def metrics(self):
        Mine.late += 1
        if Mine.late > 1:  # not in the trial
            {}
        return {{}}
"""


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("raise SystemExit(0)", "SystemExit: 0 (mine.py:"),
        ("raise StopIteration", "StopIteration (mine.py:"),
        ("return {'knn': 99.9}", "leave the name 'knn' to the suite"),
        ("return {'mine': 'high'}", "floats, got 'high' for 'mine'"),
    ],
)
def test_what_is_only_known_in_training_fails_that_run_alone(run_mine, tmp_path, action, message):
    write(tmp_path / "mine.py", name="a-mine", more=LATE.format(action))
    said = run_mine(methods="a-mine,random-cnn", status=1)
    assert message in said
    assert "done: random-cnn" in said


def test_a_side_metric_that_is_not_finite_is_left_out_and_said(run_mine, tmp_path):
    write(tmp_path / "mine.py", more=LATE.format("return {'far': float('inf'), 'near': 1}"))
    said = run_mine()
    assert "metrics() gave NaN or infinity for far at epoch 1; left out" in said
    (folder,) = folders(tmp_path)
    measured = record_in(folder)["final"]["measurements"]
    assert measured["near"]["value"] == 1.0
    assert "far" not in measured


CLIPPED = """
    def __init__(self, encoder, instances, *, weight=1.0):
        super().__init__(encoder, instances)
        self.weight = min(weight, 1.0)
"""


def test_an_infinite_hyper_parameter_is_recorded_as_such(run_mine, tmp_path):
    write(tmp_path / "mine.py", more=CLIPPED)
    run_mine("--set", "mine.weight=inf")
    (folder,) = folders(tmp_path)
    method = record_in(folder)["method"]
    assert method["hyper_parameters"] == method["changed"] == {"weight": "inf"}
    assert "reused" in run_mine("--set", "mine.weight=.inf")


def test_a_function_as_a_default_makes_the_same_key_each_time(run_mine, tmp_path):
    plugin = write(tmp_path / "mine.py")
    text = plugin.read_text().replace("class Mine", "def near(x): return x\n\nclass Mine")
    plugin.write_text(text.replace("weight=1.0", "weight=1.0, own=near, act=torch.nn.ReLU"))
    run_mine()
    assert "reused" in run_mine()
    (folder,) = folders(tmp_path)
    assert record_in(folder)["method"]["hyper_parameters"] == {
        "weight": 1.0, "own": "near", "act": "torch.nn.modules.activation.ReLU",
    }  # fmt: skip


def test_all_beside_another_name_is_both():
    assert [c.method.name for c in choose(["all", "lifted"])] == [
        *(c.method.name for c in choose(["all"])), "lifted",
    ]  # fmt: skip


def test_a_broken_plugin_is_listed_and_the_status_is_1(bench, tmp_path):
    (tmp_path / "mine.py").write_text("import sys; sys.exit(0)")
    output = bench("list", "methods", "--plugin", "mine.py", status=1).output
    assert "plug-in mine.py: not available: " in output
    assert "invaspread" in output
    write(tmp_path / "odd.py", name="odd", more="    paper = None\n")
    assert (
        "odd: not available: expected a class attribute like paper"
        in bench("list", "methods", "--plugin", "odd.py").output
    )


def test_what_the_suite_measures_itself_is_reserved(bench, tmp_path, tiny_recipe):
    bench("run", "--methods", "random-cnn,npsoftmax", "--recipe", str(tiny_recipe), "--epochs", "1")
    for folder in (*folders(tmp_path, "random-cnn"), *folders(tmp_path, "npsoftmax")):
        recorded = (name.split("@")[0] for name in record_in(folder)["final"]["measurements"])
        measured = {*recorded, *store.read_epochs(folder).columns}
        free = {name for name in measured if not name.startswith(RESERVED_PREFIXES)}
        assert free <= RESERVED_METRICS


def test_code_json_is_beside_the_run(run_mine, tmp_path):
    write(tmp_path / "mine.py")
    run_mine()
    (folder,) = folders(tmp_path)
    stated = json.loads((folder / CODE).read_text())
    assert stated["sha256"] == record_in(folder)["method"]["sha256"]
    assert record_in(folder)["key"] != stated["configuration"]
