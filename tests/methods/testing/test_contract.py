"""Checks that `check_method` and the trial before training share."""

import math

import numpy as np
import pytest
import torch

from methods import Method
from methods.testing import contract
from methods.testing.contract import MethodCheckError


def declaring(**members):
    """Return a sound class, not registered, with some members replaced."""

    class Declaring(Method):
        paper = "x"

        def loss(self, batch):
            return batch.views[0].sum()

    Declaring.name = "declaring"
    for name, value in members.items():
        setattr(Declaring, name, value)
    return Declaring


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"paper": ""}, "like paper"), ({"paper": 3}, "like paper"),
        ({"paper": "\udcff"}, "like paper"),
        ({"paper": "a\nb"}, "like paper"), ({"paper": "a" * 201}, "like paper"),
        ({"views": "2"}, "views"), ({"views": True}, "views"),
        ({"views": 0}, "views"), ({"revision": 0}, "revision"), ({"revision": "a"}, "revision"),
        ({"drop_last": 1}, "drop_last"), ({"uses_labels": 1}, "uses_labels"),
        ({"uses_labels": True}, "set_labels not defined"),
        ({"views": ()}, "views"), ({"views": (1,)}, "views"), ({"views": None}, "views"),
        ({"rounds": 0}, "rounds"), ({"rounds": 1.0}, "rounds"), ({"rounds": True}, "rounds"),
        ({"family": "metric"}, "family"), ({"family": None}, "family"), ({"family": []}, "family"),
        ({"figures": lambda self: {}}, "figures"), ({"embed_all": None}, "train.embeddings"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused(members, message):
    contract.check_declaration(declaring())
    with pytest.raises(MethodCheckError, match=message):
        contract.check_declaration(declaring(**members))


def test_side_metrics_become_floats():
    found = contract.as_metrics(
        {"a": 1, "b": np.float32(0.5), "c": torch.tensor(2.0), "d": math.nan, "e": 10**400}
    )
    assert found.pop("d") != found["a"]
    assert found == {"a": 1.0, "b": 0.5, "c": 2.0, "e": math.inf}
    assert all(type(value) is float for value in found.values())
    assert contract.not_finite({"a": 1.0, "d": math.nan, "e": -math.inf}) == ["d", "e"]


@pytest.mark.parametrize(
    "name",
    ["knn", "epoch", "loss", "lr", "train_seconds", "recall_at_16", "pooled_nmi", "nmi", "linear",
     "alignment", "attribute_auc_wings", "assignment_test_mean",
     "", "a b", "a|b", "a" * 65, "é", 3, None],
)  # fmt: skip
def test_a_reserved_or_malformed_name_of_a_side_metric_is_refused(name):
    with pytest.raises(MethodCheckError, match=r"metrics\(\)"):
        contract.as_metrics({name: 1.0})


@pytest.mark.parametrize("value", ["0.5", None, torch.zeros(2), [1.0], 1j, {}])
def test_a_side_metric_that_is_no_number_is_refused(value):
    with pytest.raises(MethodCheckError, match="to return floats"):
        contract.as_metrics({"mine": value})
    with pytest.raises(MethodCheckError, match="to return a dict"):
        contract.as_metrics([value])


@pytest.mark.parametrize(
    "order",
    [[0, 1], torch.tensor([0.0]), torch.tensor([[[0]]]), torch.tensor([[0, 10]]),
     torch.tensor([], dtype=torch.int64),
     torch.tensor([-1, 0, 1]), torch.tensor([0, 1, 10]), torch.tensor([0, 1], dtype=torch.int32)],
)  # fmt: skip
def test_an_order_of_wrong_type_or_range_is_refused(order):
    with pytest.raises(MethodCheckError, match=r"sample\(\)"):
        contract.check_order(order, 10)


def test_an_order_must_fill_a_batch():
    contract.check_order(None, 10, 4)
    contract.check_order(torch.arange(4), 10, 4)
    contract.check_order(torch.arange(4).view(2, 2), 10, 4)
    with pytest.raises(MethodCheckError, match="at least the 4 images of a batch, got 3"):
        contract.check_order(torch.arange(3), 10, 4)


@pytest.mark.parametrize("loss", [0.5, None, torch.zeros(3), torch.zeros(1), torch.tensor(1)])
def test_a_loss_that_is_no_float_scalar_is_refused(loss):
    contract.check_loss(torch.tensor(0.5))
    with pytest.raises(MethodCheckError, match="scalar float tensor"):
        contract.check_loss(loss)


@pytest.mark.parametrize("epochs", [-1, 2.0, "3", None, True])
def test_epochs_that_are_no_count_are_refused(epochs):
    contract.check_epochs(0, 5)
    with pytest.raises(MethodCheckError, match=r"epochs\(5\)"):
        contract.check_epochs(epochs, 5)


def test_a_memory_has_a_row_per_image():
    contract.check_memory(None, 4)
    contract.check_memory(torch.zeros(4, 2), 4)
    for wrong in (torch.zeros(3, 2), torch.zeros(4), [[0.0]] * 4):
        with pytest.raises(MethodCheckError, match=r"\(4, d\)"):
            contract.check_memory(wrong, 4)


@pytest.mark.parametrize(
    "rows",
    [torch.zeros(3, 2), torch.zeros(4), [[0.0]] * 4, None, torch.zeros(4, 2, 1),
     torch.zeros(4, 2).long()],
)  # fmt: skip
def test_a_representation_has_a_row_per_image(rows):
    contract.check_representations({"embedding": torch.zeros(4, 2)}, 4)
    with pytest.raises(MethodCheckError, match=r"representation mine to be \(4, d\) floats"):
        contract.check_representations({"embedding": torch.zeros(4, 2), "mine": rows}, 4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_representation_is_finite(value):
    rows = torch.zeros(4, 2)
    rows[3, 1] = value
    with pytest.raises(MethodCheckError, match="mine to be finite"):
        contract.check_representations({"mine": rows}, 4)


@pytest.mark.parametrize("name", ["memory", "predictions", "", "A", "a@b", "a b", "é", 3, "a" * 33])
def test_a_reserved_or_malformed_name_of_a_representation_is_refused(name):
    with pytest.raises(MethodCheckError, match="names such as embedding or features"):
        contract.check_representations({name: torch.zeros(4, 2)}, 4)


@pytest.mark.parametrize("found", [None, {}, [torch.zeros(4, 2)], torch.zeros(4, 2)])
def test_representations_are_a_dict(found):
    with pytest.raises(MethodCheckError, match="a dict of names and rows"):
        contract.check_representations(found, 4)


@pytest.mark.parametrize(
    "found", [torch.zeros(4, 3), torch.zeros(1, 3, 4), torch.zeros(4, 1, 3), [[0.0]], 3]
)
def test_predictions_are_of_heads_images_and_classes(found):
    contract.check_prediction(None, 4)
    contract.check_prediction(torch.zeros(2, 4, 3), 4)
    with pytest.raises(MethodCheckError, match=r"\(heads, 4, classes\)"):
        contract.check_prediction(found, 4)


@pytest.mark.parametrize(
    "facts",
    [{"schedule": "cosine"}, {"schedule": None}, {"lr_scale": -1.0}, {"lr_scale": "1"},
     {"momentum": math.nan}, {"weight_decay": None}, {"rate": 1.0}],
)  # fmt: skip
def test_a_group_with_another_override_is_refused(facts):
    sound = {"lr_scale": 0, "schedule": "constant", "momentum": 0.5, "weight_decay": 1e-4}
    contract.check_groups([{"params": [], **sound}, {"params": []}])
    with pytest.raises(MethodCheckError, match=next(iter(facts))):
        contract.check_groups([{"params": [], **facts}])
