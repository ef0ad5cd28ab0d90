import pytest
from pydantic import ValidationError

from benchmarks.common.errors import UsageProblem
from benchmarks.data.transforms.settings import Augmentation
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe import Recipe, read, resolve


def test_paper_recipe_is_the_papers_section_4_1():
    paper = read("paper").recipe
    assert (paper.backbone, paper.embedding_size, paper.epochs) == ("resnet18", 128, 200)
    assert (paper.batch_size, paper.lr, paper.momentum, paper.weight_decay) == (
        128,
        0.03,
        0.9,
        5e-4,
    )
    assert not paper.nesterov
    assert paper.knn_protocol == "knn-200-0.1"
    assert paper.augmentation == Augmentation()  # the authors' values are its defaults


@pytest.mark.parametrize(
    ("recipe", "epoch", "factor"),
    [
        ("paper", 0, 1.0),
        ("paper", 119, 1.0),
        ("paper", 120, 0.1),
        ("paper", 159, 0.1),
        ("paper", 160, 0.01),
        ("paper", 199, 0.01),
        ("published-code", 300, 0.1),
        ("current-code", 160, 0.05),
        ("current-code", 200, 0.01),
    ],
)
def test_learning_rate_schedules(recipe, epoch, factor):
    read_recipe = read(recipe).recipe
    rate = read_recipe.lr * read_recipe.schedule_of(read_recipe.epochs).factor(epoch)
    assert rate == pytest.approx(0.03 * factor)


def test_the_recipe_of_stl10_is_the_papers_but_for_the_pooling():
    paper, recipe = read("paper").recipe, read("stl10").recipe
    named = {"name": "", "description": "", "backbone": ""}
    assert recipe.backbone == "resnet18-topleft7"
    assert recipe.model_copy(update=named) == paper.model_copy(update=named)


def test_every_shipped_recipe_reads_and_carries_its_name():
    for name in recipes.names():
        assert read(name).recipe.name == name
        assert read(name).recipe.description


def test_file_takes_fields_of_its_base_and_options_of_the_command(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "base: quick\nlr: 0.06\naugmentation: {hue: 0.1}\nseeds: 3\nmethods: [nce, invaspread]\n"
    )
    content = read(str(file))
    quick = read("quick").recipe
    assert content.recipe.name == "mine"
    assert content.recipe.lr == 0.06
    assert content.recipe.backbone == quick.backbone
    assert content.recipe.augmentation.hue == 0.1
    assert content.recipe.augmentation.brightness == quick.augmentation.brightness
    assert content.options == {"seeds": 3, "methods": ["nce", "invaspread"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 0.1", "learning_rate"),
        ("epoch: 3", "Did you mean epochs"),
        ("epochs: 0", "epochs"),
        ("backbone: resnet81", "Did you mean resnet18"),
        ("augmentation: {blurr: 0.5}", "Did you mean blur"),
        ("base: papre", "Did you mean paper"),
        ("- a list", "expected `field: value` lines"),
        ("epochs: [", "not valid YAML"),
        ("{nesterov: true, momentum: 0}", "nesterov"),
    ],
)
def test_wrong_file_is_a_usage_problem_that_names_the_place(tmp_path, text, message):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(UsageProblem, match=message):
        read(str(file))


def test_unknown_recipe_suggests_near_ones():
    with pytest.raises(UsageProblem, match="Did you mean quick"):
        read("quik")


def test_missing_file_is_named():
    with pytest.raises(UsageProblem, match=r"nowhere.yaml"):
        read("nowhere.yaml")


def test_resolve_changes_fields_and_transforms():
    changed = resolve(read("paper").recipe, {"epochs": 2, "augmentation.flip": 0.0})
    assert changed.epochs == 2
    assert changed.augmentation.flip == 0.0
    assert changed.augmentation.hue == 0.4
    with pytest.raises(UsageProblem, match="Did you mean batch_size"):
        resolve(read("paper").recipe, {"batchsize": 2})
    with pytest.raises(UsageProblem, match=r"lr\.x"):
        resolve(read("paper").recipe, {"lr.x": 2})


def test_recipes_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        Recipe(name="x").epochs = 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1\nlr: 2", "line 2, column 1: the key 'lr' stands twice"),
        ("base: [paper]", "base: expected the name or the file of one recipe"),
        ("base: null", "base: expected"),
        ("base: wrong.yaml", "a base of itself"),
        ("epochs: 2020-13-45", "epochs: .*integer"),
        ("lr: 0b_", "not valid YAML"),
        ("x: " + "[" * 2000, "nests too deep"),
        ("x: &a [*a]", "contains itself"),
        ("augmentation: null", "augmentation"),
        ("5: 3", "Unknown field of recipe"),
        ("lr: .nan", "lr: .*finite"),
        ("lr_factors: {-1: 0.1}", "lr_factors"),
        ("lr_factors: {1: .inf}", "lr_factors"),
        ("lr_factors: {0: -1}", "lr_factors"),
        ("linear_c: .inf", "wrong.yaml: linear_c: "),
        ("name: a/b", "name: expected at most 64"),
    ],
)
def test_what_no_recipe_can_be_is_refused_in_one_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(UsageProblem, match=message) as problem:
        read("wrong.yaml")
    assert str(problem.value).isprintable()


def test_bases_in_a_circle_and_what_is_no_text_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"description: caf\xe9")
    (tmp_path / "empty.yaml").write_text("")
    for name, message in (("a", "a base of itself"), ("folder", "a folder"), ("latin", "0xe9")):
        with pytest.raises(UsageProblem, match=message):
            read(f"{name}.yaml")
    assert read("empty.yaml").recipe.name == "empty"


def test_a_file_called_as_a_recipe_of_the_suite_is_told_apart(tmp_path):
    file = tmp_path / "digits.yaml"
    file.write_text("base: digits\nlr: 0.5")
    content = read(str(file))
    assert content.recipe.name.startswith("digits-")
    assert content.recipe.lr == 0.5
    assert "is called digits-" in content.notes[0]
    file.write_text("base: digits\nlr: 0.25")
    assert read(str(file)).recipe.name != content.recipe.name
    file.write_text("base: digits")  # the very same
    assert read(str(file)) == read("digits")
    file.write_text("base: digits\nlr: 0.5\nname: mine")
    assert read(str(file)).recipe.name == "mine"
    with pytest.raises(UsageProblem, match="a recipe of the suite"):
        resolve(read(str(file)).recipe, {"name": "paper"})


def test_home_folder_and_numbers_with_an_exponent(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("lr: 1e-3")
    assert read("~/mine.yaml").recipe.lr == 1e-3
