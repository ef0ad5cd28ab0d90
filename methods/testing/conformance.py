"""What `methods.testing.check_method` asks of a method at work: a function for each subject."""

import io
import math
from collections.abc import Callable

import torch
from torch import Tensor

from methods.testing import contract
from methods.testing.contract import describe, require
from methods.testing.toy import BATCH_SIZE, INSTANCES, Trial

New = Callable[[], Trial]
PRECISIONS = {"fp32": False, "bf16 autocast": True}


def construction(new: New) -> None:
    """It can be built with an encoder, the number of instances and the given options."""
    contract.check_instance(new().method)


def start_epoch(new: New) -> None:
    """`start_epoch` runs, and `epochs` and `sample` return what they should."""
    method = started(new).method
    contract.check_epochs(method.epochs(5), 5)
    order, again = (method.sample(torch.Generator().manual_seed(1)) for _ in range(2))
    contract.check_order(order, INSTANCES, BATCH_SIZE if method.drop_last else 1)
    if order is None:
        return
    require(
        again is not None and torch.equal(order, again),
        "expected sample() to return the same order for generators of the same seed; draw from "
        "the generator only",
    )


def rounds(new: New) -> None:
    """Every round can be started, and is followed by a finite loss."""
    trial = started(new)
    for number in range(1, trial.method.rounds):
        trial.train(1)
        trial.start_epoch(0, number)
        value = trial.loss()
        require(
            bool(value.isfinite()), f"expected a finite loss in round {number + 1}, got {value}"
        )


def loss(new: New) -> None:
    """A finite fp32 scalar, in both precisions and on a short last batch."""
    trial = started(new)
    for precision, autocast in PRECISIONS.items():
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            value = trial.loss()
        require(
            isinstance(value, Tensor) and value.ndim == 0 and value.dtype == torch.float32,
            f"expected a float32 scalar in {precision}, got {describe(value)}; compute logits with "
            "methods.blocks.logits.similarity and reduce with mean()",
        )
        require(bool(value.isfinite()), f"expected a finite value in {precision}, got {value}")
    if not trial.method.drop_last:
        value = trial.method.loss(trial.batch(3))
        require(
            bool(value.isfinite()),
            f"expected a finite value for a short last batch, got {value}; or set drop_last = True",
        )


def gradient(new: New) -> None:
    """Finite in both precisions, and not zero everywhere."""
    trial = started(new)
    for precision, autocast in PRECISIONS.items():
        trial.method.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            value = trial.loss()
        if not value.requires_grad:
            return
        value.backward()  # type: ignore[no-untyped-call]
        gradients = {n: p.grad for n, p in trial.method.named_parameters() if p.grad is not None}
        broken = [name for name, values in gradients.items() if not values.isfinite().all()]
        require(
            not broken,
            f"expected finite numbers in {precision}, got NaN or infinity for {', '.join(broken)}; "
            "keep log, sqrt and division away from 0",
        )
        require(
            any(bool(values.any()) for values in gradients.values()),
            f"expected numbers other than 0 in {precision}; is the embedding detached?",
        )


def parameter_groups(new: New) -> None:
    """Each trainable parameter stands once, with known overrides."""
    method = new().method
    groups = method.parameter_groups()
    contract.check_groups(groups)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    require(
        sorted(listed) == sorted(id(p) for p in method.parameters() if p.requires_grad),
        "expected every parameter with requires_grad exactly once; freeze with requires_grad_",
    )


def after_step(new: New) -> None:
    """Two steps leave a finite state, and `metrics` and `memory` return what they should."""
    trial = started(new)
    trial.train(2)
    state = trial.method.state_dict()
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    require(not broken, f"expected a finite state, got NaN or infinity in {', '.join(broken)}")
    metrics = contract.as_metrics(trial.method.metrics())
    broken = contract.not_finite(metrics)
    require(
        not broken,
        f"expected metrics() to return finite floats, got {', '.join(broken)} = NaN or infinity; "
        "leave out the unknown ones",
    )
    contract.check_memory(trial.method.memory(), INSTANCES)


def representations(new: New) -> None:
    """Unit fp32 rows that depend on their own image only and leave the method as it is."""
    trial = started(new)
    trial.train(3)
    method = trial.method.eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    images = trial.images[:BATCH_SIZE]
    with torch.no_grad():
        together, alone = method.representations(images), method.representations(images[:3])
        with torch.autocast("cpu", torch.bfloat16):
            mixed = method.representations(images)
        contract.check_prediction(method.predict(images), BATCH_SIZE)
    for precision, found in zip(PRECISIONS, (together, mixed), strict=True):
        contract.check_representations(found, BATCH_SIZE)
        for name, rows in found.items():
            require(
                rows.dtype == torch.float32,
                f"expected representation {name} in float32 in {precision}, got {describe(rows)}",
            )
            require(
                torch.allclose(rows.norm(dim=1), torch.ones(BATCH_SIZE), atol=1e-4),
                f"expected representation {name} to have rows of unit L2 norm in {precision}; end "
                "with methods.normalise",
            )
    require(
        list(together) == list(alone) == list(mixed),
        f"expected the same representations for all images, got {list(together)}, {list(alone)}",
    )
    training = [name for name, module in method.named_modules() if module.training]
    require(
        not training, f"expected evaluation mode to be kept, but it trains: {', '.join(training)}"
    )
    require(
        all(torch.equal(value, before[name]) for name, value in method.state_dict().items()),
        "expected no change of state in evaluation mode; are batch statistics updated?",
    )
    for name, rows in together.items():
        require(
            torch.allclose(alone[name], rows[:3], atol=1e-4),
            f"expected 3 images to give representation {name} alike alone and with others, in "
            "evaluation mode",
        )


def state_dict(new: New) -> None:
    """What is saved and loaded goes on as if it had not been interrupted."""
    trial = started(new)
    trial.train(3)
    file = io.BytesIO()
    torch.save(trial.method.state_dict(), file)
    file.seek(0)
    restored = new()
    restored.method.load_state_dict(torch.load(file, weights_only=True))
    for expected, got in zip(future(trial), future(restored), strict=True):
        require(
            math.isclose(expected, got, rel_tol=1e-4, abs_tol=1e-6),
            f"expected the loss {expected:.6g} after saving and loading, got {got:.6g}; keep "
            "what changes in parameters or buffers (register_buffer)",
        )


def future(trial: Trial) -> list[float]:
    """Return the loss now, after a further step, and in a further epoch."""
    losses = [trial.loss(1).item()]
    trial.train(1)
    losses.append(trial.loss(2).item())
    trial.start_epoch(1)
    return [*losses, trial.loss(3).item()]


def learning(new: New) -> None:
    """Forty steps on a batch lower the loss on it, at some time and at some learning rate.

    A loss may be far larger than usual, so that smaller rates are tried too. What `after_step`
    moves (the keys of a queue come to be those of this very batch) may raise the loss as fast as
    training lowers it: then it must fall without, unless it moves what training has moved.
    """
    first = started(new).loss()
    if not first.requires_grad:
        return
    hooks = (True,) if _moves_trained(started(new)) else (True, False)
    tries = [(rate, after) for after in hooks for rate in (0.03, 0.003, 0.0003)]
    require(
        any(_falls(started(new), rate, after) for rate, after in tries),
        f"expected the loss on a batch to fall in 40 steps on it, but it was never below the "
        f"first, {first.item():.4g}; is the encoder's gradient cut?",
    )


def _moves_trained(trial: Trial) -> bool:
    """Return whether `after_step` changes parameters that the optimiser has just changed."""
    trial.train(2, after_step=False)
    groups = trial.method.parameter_groups()
    trained = [parameter for group in groups for parameter in group["params"]]
    before = [parameter.detach().clone() for parameter in trained]
    trial.method.after_step(trial.batch())
    return any(not torch.equal(a, b) for a, b in zip(before, trained, strict=True))


def _falls(trial: Trial, rate: float, after_step: bool) -> bool:
    first = trial.loss().item()  # of this trial: each has random weights of its own
    for _ in range(8):
        trial.train(5, rate, after_step)
        if trial.loss().item() < first:
            return True
    return False


def started(new: New) -> Trial:
    """Return a trial at the start of its first epoch."""
    trial = new()
    trial.start_epoch(0)
    return trial


BEHAVIOUR = (
    construction,
    start_epoch,
    rounds,
    loss,
    gradient,
    parameter_groups,
    after_step,
    representations,
    state_dict,
    learning,
)
