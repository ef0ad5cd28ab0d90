import copy

import numpy as np
import pytest
import torch
from torch import nn

from helpers.arrays import gaussian, unit
from methods import Batch
from methods.base import normalise
from methods.invaspread import InvaSpread, instance_spread_loss, select
from methods.testing.toy import Trial, toy_encoder

N, D = 128, 128
SAME = torch.eye(1, D).expand(N, D)
ORTHOGONAL = torch.eye(N, D)


def kept(candidates, scores, negatives, half):
    if negatives == "all":
        return candidates
    return sorted(candidates, key=lambda j: scores[j].item(), reverse=negatives == "hard")[:half]


def naive(
    first,
    second,
    temperature,
    negatives="all",
    denominator="no_self",
    detach=True,
    form="symmetric",
    reduction="mean",
    scaling="clean",
):
    """Double loop over scalars, after the equations of the paper and of its authors' code."""
    n = len(first)
    stop = torch.Tensor.detach if detach else lambda x: x
    authors = scaling == "authors" and negatives != "all"
    weight, total = 0.5 if authors else 1.0, torch.zeros((), dtype=first.dtype)
    if form == "symmetric":
        images, half = [*first, *second], n
        for i in range(2 * n):
            s = [images[i] @ stop(images[j]) / temperature for j in range(2 * n)]
            partner = (i + n) % (2 * n)
            pushed = [j for j in range(2 * n) if j not in (i, partner)]
            pushed = kept(pushed, s, negatives, half)
            counted = [partner, *pushed, *([i] if denominator == "self" else [])]
            z = sum(s[j].exp() for j in counted)
            total = total - (s[partner].exp() / z).log()
            total = total - weight * sum((1 - s[j].exp() / z).log() for j in pushed)
        count = 2 * n
    else:
        half = n // 2 + (n % 2 and n > 1)
        for i in range(n):  # Eq. 3: the augmented image is recognised
            s = [stop(first[k]) @ second[i] / temperature for k in range(n)]
            rivals = kept([k for k in range(n) if k != i], s, negatives, half)
            total = total - (s[i].exp() / sum(s[k].exp() for k in [i, *rivals])).log()
        for j in range(n):  # Eq. 4: x_j is not recognised as another instance i
            s = [stop(first[i]) @ first[j] / temperature for i in range(n)]
            pushed = kept([i for i in range(n) if i != j], s, negatives, half)
            z = sum(s[i].exp() for i in [*pushed, *([j] if denominator == "self" else [])])
            total = total - weight * sum((1 - s[i].exp() / z).log() for i in pushed)
        count = n
    return total if reduction == "sum" else total / (len(pushed) + 1 if authors else count)


@pytest.mark.parametrize("negatives", ["all", "hard", "easy"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"detach": False},
        {"denominator": "self"},
        {"reduction": "sum"},
        {"scaling": "authors"},
        {"scaling": "authors", "reduction": "sum"},
        {"form": "eq7"},
        {"form": "eq7", "denominator": "self", "detach": False, "reduction": "sum"},
        {"form": "eq7", "denominator": "self", "scaling": "authors"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("instances", "temperature"), [(5, 0.1), (4, 0.5)])
def test_value_and_gradient_are_those_of_a_double_loop(negatives, options, instances, temperature):
    found, expected = [], []
    for function, results in ((instance_spread_loss, found), (naive, expected)):
        first = unit(instances, 3).requires_grad_()
        second = unit(instances, 3) + 0.5 * unit(instances, 3, seed=1)
        second = (second / second.norm(dim=1, keepdim=True)).requires_grad_()
        loss = function(first, second, temperature, negatives, **options)
        results += [loss, *torch.autograd.grad(loss, (first, second))]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("first", "symmetric", "printed"),
    [(SAME, 6.539300, 5.848114), (ORTHOGONAL, 0.022866, 0.011482)],
    ids=["all equal", "perfect pairs"],
)
def test_golden_values_at_temperature_a_tenth(first, symmetric, printed):
    assert instance_spread_loss(first, first).item() == pytest.approx(symmetric, abs=2e-6)
    literal = instance_spread_loss(first, first, form="eq7", denominator="self")
    assert literal.item() == pytest.approx(printed, abs=2e-6)


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 6.96), ({"form": "eq7", "denominator": "self"}, 5.28)], ids=str
)
def test_golden_value_of_random_embeddings(options, expected):
    losses = [
        instance_spread_loss(unit(N, D, seed=s), unit(N, D, seed=50 + s), **options).item()
        for s in range(20)
    ]
    assert np.mean(losses) == pytest.approx(expected, abs=0.1)


def test_hard_negatives_are_128_of_254():
    first, second = unit(N, D), unit(N, D, seed=1)
    clean = instance_spread_loss(first, second, negatives="hard", reduction="sum")
    scores = torch.cat([first, second]) @ torch.cat([first, second]).T / 0.1
    diagonals = torch.eye(2 * N, dtype=torch.bool) | torch.eye(2 * N, dtype=torch.bool).roll(N, 1)
    own = torch.cat([scores.diagonal(N), scores.diagonal(-N)])[:, None]
    hard = scores.masked_fill(diagonals, -torch.inf).sort(1, descending=True).values[:, :128]
    z = own.exp() + hard.exp().sum(1, keepdim=True)
    expected = -((own.exp() / z).log().sum() + (1 - hard.exp() / z).log().sum())
    torch.testing.assert_close(clean, expected)
    mean = instance_spread_loss(first, second, negatives="hard", scaling="authors")
    total = instance_spread_loss(
        first, second, negatives="hard", scaling="authors", reduction="sum"
    )
    torch.testing.assert_close(mean, total / 129)


@pytest.mark.parametrize(("columns", "kept"), [(0, 0), (1, 1), (2, 2), (3, 2), (254, 128)])
def test_hard_and_easy_negatives_are_the_largest_and_smallest_of_each_row(columns, kept):
    logits = gaussian(3, columns)
    assert torch.equal(select(logits, "all"), logits)
    ranked = logits.sort(1).values
    for negatives, expected in (("hard", ranked[:, columns - kept :]), ("easy", ranked[:, :kept])):
        assert torch.equal(select(logits, negatives).sort(1).values, expected)


@pytest.mark.parametrize("temperature", [0.1, 0.05, 0.01])
@pytest.mark.parametrize("form", ["symmetric", "eq7"])
def test_perfect_pairs_have_finite_gradients(temperature, form):
    first, second = (ORTHOGONAL.clone().requires_grad_() for _ in range(2))
    loss = instance_spread_loss(first, second, temperature, form=form, detach=False)
    loss.backward()
    reference = naive_perfect_pairs(temperature) if form == "symmetric" else None
    if reference is not None:
        assert loss.item() == pytest.approx(reference, rel=1e-3, abs=1e-6)
    assert loss.isfinite()
    assert first.grad.isfinite().all()
    assert second.grad.isfinite().all()


def naive_perfect_pairs(temperature: float) -> float:
    strange = (2 * N - 2) * np.exp(-1 / temperature)
    return np.log1p(strange) - (2 * N - 2) * np.log1p(-np.exp(-1 / temperature) / (1 + strange))


@pytest.mark.parametrize("temperature", [0.05, 0.01])
def test_a_negative_that_is_recognised_for_sure_is_pushed_with_a_finite_gradient(temperature):
    """Rows 0 and 1 are one image under two names, and far from their own second views."""
    first = torch.eye(4, 8)
    first[1] = first[0]
    second = torch.eye(4, 8).roll(4, 1)
    second[0] = second[1] = -first[0]
    first.requires_grad_()
    second.requires_grad_()
    loss = instance_spread_loss(first, second, temperature)
    loss.backward()
    # four of the eight rows lose -log P(own) = 2 / temperature, and -log(1 - P(twin)) = about
    # 1 / temperature, since the orthogonal rows are all that remains beside the twin
    assert loss.item() == pytest.approx((4 * 3 / temperature) / 8, rel=0.05)
    for gradient in (first.grad, second.grad):
        assert gradient.isfinite().all()
    assert first.grad[0].norm() > 0.1


def test_autocast_changes_nothing():
    first, second = unit(N, D).float(), unit(N, D, seed=1).float()
    expected = instance_spread_loss(first, second, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        found = instance_spread_loss(first, second, 0.05)
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_widened(dtype):
    first, second = (unit(16, 32, seed=s).to(dtype).requires_grad_() for s in (0, 1))
    loss = instance_spread_loss(first, second)
    loss.backward()
    expected = instance_spread_loss(first.float(), second.float())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    assert first.grad.isfinite().all()


@pytest.mark.parametrize("form", ["symmetric", "eq7"])
@pytest.mark.parametrize("negatives", ["all", "hard", "easy"])
def test_one_instance_has_no_negatives_and_no_loss(form, negatives):
    first, second = unit(1, 8).requires_grad_(), unit(1, 8, seed=1).requires_grad_()
    loss = instance_spread_loss(first, second, negatives=negatives, form=form)
    loss.backward()
    assert loss.item() == 0
    assert not first.grad.any()


def test_two_instances_give_eq7_nothing_to_compare_with_but_the_self_term():
    first, second = unit(2, 8), unit(2, 8, seed=1)
    assert instance_spread_loss(first, second, form="eq7", denominator="self").isfinite()
    with pytest.raises(ValueError, match="at least 2 logits in the denominator"):
        instance_spread_loss(first, second, form="eq7")


def test_detaching_halves_the_gradient():
    norms = []
    for detach in (True, False):
        first, second = unit(N, D).requires_grad_(), unit(N, D, seed=1)
        instance_spread_loss(first, second, detach=detach).backward()
        along = (first.grad * first).sum(1, keepdim=True) * first
        norms.append((first.grad - along).detach())
    assert (norms[1].norm() / norms[0].norm()).item() == pytest.approx(2, abs=0.05)
    cosine = nn.functional.cosine_similarity(norms[0].flatten(), norms[1].flatten(), dim=0)
    assert cosine > 0.999


def test_arrays_are_accepted():
    first, second = unit(6, 4), unit(6, 4, seed=1)
    found = instance_spread_loss(first.numpy(), second.numpy())
    torch.testing.assert_close(found, instance_spread_loss(first, second))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second": torch.zeros(3, 4)}, r"second: expected shape \(2, 4\), got \(3, 4\)"),
        ({"first": torch.zeros(4)}, r"first: expected shape \(n, d\), got \(4,\)"),
        ({"temperature": 0.0}, "temperature: expected"),
        ({"negatives": "some"}, "negatives: expected 'all' or 'hard' or 'easy', got 'some'"),
        ({"denominator": "x"}, "denominator: expected"),
        ({"form": "eq8"}, "form: expected"),
        ({"reduction": "max"}, "reduction: expected"),
        ({"scaling": "x"}, "scaling: expected"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = {"first": torch.eye(2, 4), "second": torch.eye(2, 4)} | changes
    with pytest.raises(ValueError, match=message):
        instance_spread_loss(**arguments)


@pytest.mark.parametrize(
    "option", [{"temperature": -1.0}, {"form": "x"}, {"negatives": "x"}, {"bn_groups": 3}]
)
def test_the_constructor_refuses_wrong_options(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        InvaSpread(toy_encoder(), 10, **option)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_batch_statistics_are_those_of_a_group(groups):
    torch.manual_seed(0)
    method = InvaSpread(toy_encoder(), 8, bn_groups=groups)
    encoder = copy.deepcopy(method.encoder)
    views = torch.randn(8, 3, 8, 8), 3 * torch.randn(8, 3, 8, 8)
    passes = {1: [(0, 16)], 2: [(0, 8), (8, 16)], 4: [(0, 4), (4, 8), (8, 12), (12, 16)]}[groups]
    images = torch.cat(views)
    rows = torch.cat([normalise(encoder(images[start:end])) for start, end in passes])
    found = method.loss(Batch(torch.arange(8), views))
    torch.testing.assert_close(found, instance_spread_loss(rows[:8], rows[8:]))
    assert method.encoder.backbone[1].num_batches_tracked == groups


def test_options_reach_the_loss():
    options = {
        "temperature": 0.2,
        "negatives": "easy",
        "denominator": "self",
        "detach": False,
        "form": "eq7",
        "reduction": "sum",
        "scaling": "authors",
    }
    torch.manual_seed(0)
    trial = Trial(InvaSpread, options)
    batch = trial.batch()
    expected = instance_spread_loss(*trial.method.embed_views(batch), **options)
    torch.testing.assert_close(trial.method.loss(batch), expected)
