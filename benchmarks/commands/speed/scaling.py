"""What a loss costs as the number of instances grows: embeddings are drawn, no network runs."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.commands.speed.record import Scaling
from benchmarks.commands.speed.timing import repeated
from methods import Batch, Method
from methods.base import views_of
from methods.invaspread import InvaSpread
from methods.nce import NCE
from methods.npsoftmax import NPSoftmax

INSTANCES = (10_000, 50_000, 130_000, 400_000, 1_300_000)


class _Embedded(nn.Module):
    """Stands for an encoder whose outputs are known."""

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size

    def forward(self, embeddings: Tensor) -> Tensor:
        return embeddings


def scaling(
    device: torch.device,
    batch_size: int,
    embedding_size: int,
    budget: float,
    sizes: Sequence[int] = INSTANCES,
) -> list[Scaling]:
    """Return what loss, gradient and memory update take, for each number of instances.

    Args:
        device: where.
        batch_size: images a step.
        embedding_size: d.
        budget: seconds for each figure.
        sizes: numbers of instances.
    """

    def cost(kind: type[Method], instances: int) -> float:
        method = kind(_Embedded(embedding_size), instances).to(device)
        return 1000 * repeated(
            partial(_step, method, batch_size, embedding_size, device), device, budget
        )

    spread = cost(InvaSpread, batch_size)
    return [
        Scaling(instances=n, npsoftmax=cost(NPSoftmax, n), nce=cost(NCE, n), invaspread=spread)
        for n in sizes
    ]


def _step(method: Method, batch_size: int, embedding_size: int, device: torch.device) -> None:
    views = tuple(
        torch.randn(batch_size, embedding_size, device=device, requires_grad=True)
        for _ in views_of(method.views)
    )
    batch = Batch(torch.randint(method.instances, (batch_size,), device=device), views)
    method.loss(batch).backward()  # type: ignore[no-untyped-call]
    method.after_step(batch)
