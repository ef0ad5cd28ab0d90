"""Recipes in which single methods have fields of their own."""

import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.training.recipe import Recipe, for_method, key_fields, read, resolve
from benchmarks.training.recipe.overrides import check_methods

TEXT = """
base: quick
for_method:
  simclr:
    optimiser: lars
    lr: 1.2
    schedule: cosine
    warmup_epochs: 2
    augmentation: {blur: 0.5, hue: 0.1}
  nce: {epochs: 30, partners: neighbour}
"""


def written(tmp_path, text: str = TEXT) -> Recipe:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return read(str(file)).recipe


def test_a_method_has_its_fields_and_the_others_have_the_recipe_s(tmp_path):
    recipe, quick = written(tmp_path), read("quick").recipe
    own = for_method(recipe, "simclr")
    assert (own.optimiser, own.lr, own.schedule, own.warmup_epochs) == ("lars", 1.2, "cosine", 2)
    assert own.lr_factors == {}  # the steps of quick belong to its schedule
    assert (own.augmentation.blur, own.augmentation.hue) == (0.5, 0.1)
    assert own.augmentation.saturation == quick.augmentation.saturation
    assert (own.name, own.epochs, own.batch_size) == ("mine", quick.epochs, quick.batch_size)
    assert for_method(recipe, "nce").epochs == 30
    assert for_method(recipe, "nce").positive == "neighbour"
    for method in ("invaspread", "nce", "simclr"):
        assert for_method(recipe, method).for_method == {}
        assert for_method(recipe, method).methods == quick.methods
    unnamed = {"name": "", "description": "", "for_method": {}}
    assert for_method(recipe, "invaspread").model_copy(update=unnamed) == quick.model_copy(
        update=unnamed
    )


def test_the_command_overrides_both(tmp_path):
    recipe = written(tmp_path)
    changes = {"lr": 0.5, "epochs": 4, "augmentation.blur": 1.0}
    own = for_method(recipe, "simclr", changes)
    assert (own.lr, own.epochs, own.augmentation.blur) == (0.5, 4, 1.0)
    assert (own.optimiser, own.augmentation.hue) == ("lars", 0.1)
    assert for_method(recipe, "invaspread", changes).lr == 0.5


def test_a_key_holds_the_method_s_own_recipe_alone(tmp_path):
    recipe, quick = written(tmp_path), read("quick").recipe
    assert key_fields(for_method(recipe, "invaspread")) == key_fields(quick)
    stated = resolve(quick, {"epochs": 30, "positive": "neighbour"})
    assert key_fields(for_method(recipe, "nce")) == key_fields(stated)


def test_the_section_survives_a_record(tmp_path):
    recipe = written(tmp_path)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert resolve(recipe, {"epochs": 20}).for_method == recipe.for_method
    assert "for_method" not in read("quick").recipe.model_dump()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{simclr: {optimiser: adam}}",
            r"mine\.yaml|mine: for_method\.simclr: optimiser: .*'lars'",
        ),
        ("{simclr: {optimiser: lars, momentum: 0}}", "for_method.simclr: momentum: expected above"),
        ("{simclr: {warmup_epochs: 13}}", "for_method.simclr: warmup_epochs: expected 0 to 12"),
        ("{simclr: {lrr: 1}}", "field of .*for_method.simclr 'lrr'. Did you mean lr"),
        ("{simclr: {knn_k: 5}}", "for_method.simclr: knn_k: .* all methods of a comparison share"),
        ("{simclr: {backbone: resnet18}}", "for_method.simclr: backbone: "),
        ("{simclr: {for_method: {}}}", "for_method.simclr: for_method: "),
        ("{simclr: {augmentation: {blur: 2}}}", "for_method.simclr: augmentation.*blur"),
        ("{simclr: 3}", "for_method.simclr: "),
        ("[simclr]", "for_method: "),
    ],
)
def test_what_is_wrong_is_said_when_the_recipe_is_read(tmp_path, section, message):
    with pytest.raises(UsageProblem, match=message) as problem:
        written(tmp_path, f"base: quick\nfor_method: {section}\n")
    assert str(problem.value).isprintable()


def test_an_unknown_method_is_refused(tmp_path):
    recipe = written(tmp_path, "base: quick\nfor_method: {invaspred: {lr: 1}}\n")
    with pytest.raises(UsageProblem, match=r"recipe mine: for_method: .*Did you mean invaspread"):
        check_methods(recipe)
    check_methods(written(tmp_path, "base: quick\nfor_method: {invaspread: {lr: 1}}\n"))
