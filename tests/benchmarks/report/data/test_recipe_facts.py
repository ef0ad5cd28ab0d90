import pytest

from benchmarks.report.data import recipe_facts
from benchmarks.runs import paper_tables
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.reader import asdict_recipe


def used(name, **changes):
    return recipe_facts.plain(asdict_recipe(recipes.resolve(recipes.read(name).recipe, changes)))


def test_the_papers_recipe_differs_in_nothing():
    assert recipe_facts.differences(used("paper")) == {}


def test_a_rarer_evaluation_trains_the_same():
    assert recipe_facts.differences(used("paper", evaluate_every=10)) == {}


def test_every_field_that_trains_otherwise_is_told():
    found = recipe_facts.differences(used("quick", **{"augmentation.hue": 0.1}))
    assert found["backbone"] == ("resnet10-16", "resnet18")
    assert found["train_images"] == (10_000, None)
    assert found["augmentation.hue"] == (0.1, 0.4)
    assert "evaluate_every" not in found
    assert "lr" not in found


@pytest.mark.parametrize(
    ("name", "changed", "label"),
    [
        ("paper", {}, "paper"),
        ("paper", {"epochs": 2}, "paper, epochs = 2 of 200"),
        ("quick", {"lr": 0.06}, "quick, lr = 0.06 instead of 0.03"),
        ("paper", {"train_images": 100}, "paper, train_images = 100"),
        ("mine", {"epochs": 2}, "mine, epochs = 2"),
    ],
)
def test_a_recipe_is_called_by_name_and_changes(name, changed, label):
    assert recipe_facts.label({"name": name}, changed) == label


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"augmentation.crop_scale": None}, "without crop"),
        ({"augmentation.jitter_probability": 0.0}, "without colour jitter"),
        ({"augmentation.flip": 0, "augmentation.grayscale": 0}, "without grayscale and flip"),
        (paper_tables.without(*paper_tables.TRANSFORMS), "without augmentation"),
        ({"augmentation.hue": 0.1}, "augmentation.hue = 0.1 instead of 0.4"),
        (
            {"augmentation.hue": 0.1, "augmentation.flip": 0.0},
            "without flip, augmentation.hue = 0.1 instead of 0.4",
        ),
        ({"augmentation.flip": 1}, "augmentation.flip = 1 instead of 0.5"),
    ],
)
def test_an_ablation_is_told_in_words(changed, words):
    assert recipe_facts.ablation(changed, used("quick")) == words


def test_a_recipe_that_crops_is_never_without_augmentation():
    changed = {"augmentation.flip": 0.0}
    assert recipe_facts.ablation(changed, used("unseen-quick")) == "without flip"


def test_what_the_recipe_leaves_out_already_is_not_told():
    crop = {"augmentation.crop_scale": None}
    assert recipe_facts.ablation(crop, used("digits")) == "without crop"
    rest = {**crop, "augmentation.jitter_probability": 0.0}
    assert recipe_facts.ablation(rest, used("digits")) == "without augmentation"


def test_the_recipe_of_the_papers_tables_belongs_to_the_data_set():
    names = ("cifar10", "stl10", "digits")
    assert [recipe_facts.paper_recipe(paper_tables.on(name)) for name in names] == [
        "paper", "stl10", "paper",
    ]  # fmt: skip
    assert recipe_facts.differences(used("quick"), "quick") == {}


def test_an_augmentation_comes_apart_and_together_again():
    recipe = used("quick")
    fields = recipe_facts.augmentation(recipe)
    assert fields["augmentation.crop_scale"] == [0.2, 1.0]
    assert recipe_facts.with_augmentation(recipe, fields) == recipe
    assert recipe_facts.with_augmentation({"name": "mine"}, {}) == {"name": "mine"}


@pytest.mark.parametrize(
    ("text", "slug"),
    [("Paper epochs-2", "paper-epochs-2"), ("a/../b <x>", "a-..-b-x"), ("../", "unnamed")],
)
def test_a_slug_is_safe_in_file_names(text, slug):
    assert recipe_facts.slug(text) == slug


@pytest.mark.parametrize(
    ("value", "field", "shown"),
    [
        (None, "train_images", "all"),
        (None, "other", "not set"),
        ({"120": 0.1, "160": 0.01}, "lr_factors", "120: 0.1, 160: 0.01"),
        ({}, "methods", "none"),
        ([0.2, 1.0], "crop_scale", "0.2 to 1"),
        (5e-4, "weight_decay", "0.0005"),
        ("resnet18", "backbone", "resnet18"),
    ],
)
def test_a_value_is_shown_in_words(value, field, shown):
    assert recipe_facts.shown(value, field) == shown


def test_an_unknown_name_is_no_recipe_of_the_suite():
    assert recipe_facts.builtin("mine") is None


def test_where_tables_of_a_data_set_differ_the_network_decides_on_the_papers_recipe():
    names = ("unseen", "unseen-scratch", "unseen-quick")
    found = [recipe_facts.paper_tables_of("products", used(name)) for name in names]
    assert list(map(recipe_facts.paper_recipe, found)) == [
        "unseen", "unseen-scratch", "unseen-scratch",
    ]  # fmt: skip
    started = [recipe_facts.paper_tables_of("products", {}, start) for start in (True, False)]
    assert list(map(recipe_facts.paper_recipe, started)) == ["unseen", "unseen-scratch"]
    only = recipe_facts.paper_tables_of("cub200", used("unseen-quick"))
    assert recipe_facts.paper_recipe(only) == "cub200"


def test_only_fields_of_the_augmentation_ablate():
    assert recipe_facts.ablates("augmentation.flip")
    assert not recipe_facts.ablates("lr")
    assert recipe_facts.augmented(used("quick"), used("paper")) == {}
    changed = used("quick", **{"augmentation.flip": 0.0, "lr": 0.1})
    assert recipe_facts.augmented(changed, used("quick")) == {"augmentation.flip": 0.0}


def test_a_method_is_named_with_its_settings():
    assert recipe_facts.named("nce", {}) == "nce"
    assert recipe_facts.named("mom", {"pool": 5, "margin": 1.0}) == "mom (pool = 5, margin = 1.0)"
